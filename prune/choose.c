/* prune/choose.c -- from the curve's points to names. */
#include "choose.h"
#include "../core/log.h"
#include "surgery.h"
#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const cJSON *find_layer(const cJSON *analysis, const char *name)
{
    const cJSON *layer;
    cJSON_ArrayForEach(layer, cJSON_GetObjectItem(analysis, "layers"))
    {
        const char *has = cJSON_GetStringValue(cJSON_GetObjectItem(layer, "name"));
        if (has && !strcmp(has, name)) return layer;
    }
    return NULL;
}

bool choose_value(const cJSON *analysis, const char *unit, metric_kind metric, double *value)
{
    char raw[80];
    snprintf(raw, sizeof raw, "%s.raw", unit);
    const cJSON *layer = find_layer(analysis, unit);
    if (!layer) layer = find_layer(analysis, raw);
    const cJSON *result = cJSON_GetObjectItem(layer, metric == METRIC_YANG ? "yang" : "lu");
    const cJSON *number = cJSON_GetObjectItem(result, metric == METRIC_YANG ? "M" : "mean");
    *value = cJSON_IsNumber(number) ? number->valuedouble : NAN; /* JSON has no NaN: null stands for it */
    return layer != NULL;
}

/* The parent's units with everything but decisions. */
static status list_units(const net *parent, choice *c)
{
    status st = OK;
    const net_unit *unit = net_units(parent, &c->n_units);
    TRY_ALLOC(c->unit, calloc((size_t)c->n_units + 1, sizeof *c->unit));
    for (int i = 0; i < c->n_units; i++) {
        snprintf(c->unit[i].name, sizeof c->unit[i].name, "%s", unit[i].name);
        c->unit[i].removable = unit[i].removable;
        c->unit[i].value = c->unit[i].decision.smoothed = c->unit[i].decision.gain = NAN;
    }
out:
    return st;
}

static status list_cuts(choice *c)
{
    status st = OK;
    TRY_ALLOC(c->cut, calloc((size_t)c->n_units + 1, sizeof *c->cut));
    for (int i = 0; i < c->n_units; i++) {
        if (!c->unit[i].decision.cut) continue;
        TRY_ALLOC(c->cut[c->n_cut], strdup(c->unit[i].name));
        c->n_cut++;
    }
out:
    return st;
}

static status decide(const net *parent, const config_prune *cfg, choice *c)
{
    status st = OK;
    criterion_point *point = NULL;
    criterion_decision *decision = NULL;
    const net_unit *unit = net_units(parent, &c->n_units);
    const criterion_options options = { cfg->eps, cfg->floor, cfg->smooth, cfg->max_cut,
                                        cfg->keep_one_per_stage };
    TRY_ALLOC(point, calloc((size_t)c->n_units + 1, sizeof *point));
    TRY_ALLOC(decision, calloc((size_t)c->n_units + 1, sizeof *decision));
    for (int i = 0; i < c->n_units; i++)
        point[i] = (criterion_point){ unit[i].name, c->unit[i].value, unit[i].removable, unit[i].stage,
                                      unit[i].reason };
    TRY(criterion_cut(point, c->n_units, &options, decision));
    for (int i = 0; i < c->n_units; i++) c->unit[i].decision = decision[i];
out:
    free(decision);
    free(point);
    return st;
}

status choose_by_curve(const net *parent, const cJSON *analysis, const config_prune *cfg, choice *out)
{
    status st = OK;
    choice c = { .metric = cfg->metric == METRIC_YANG ? "yang" : "lu" };
    TRY(list_units(parent, &c));
    for (int i = 0; i < c.n_units; i++) choose_value(analysis, c.unit[i].name, cfg->metric, &c.unit[i].value);
    TRY(decide(parent, cfg, &c));
    TRY(list_cuts(&c));
    *out = c;
    c = (choice){ 0 };
out:
    choice_free(&c);
    return st;
}

static bool contains(char *const *names, unsigned n, const char *name)
{
    for (unsigned i = 0; i < n; i++)
        if (!strcmp(names[i], name)) return true;
    return false;
}

/* net_create knows which units there are and which can go: ask it. */
static status check_names(const net *parent, char *const *names, unsigned n)
{
    status st = OK;
    char **all = NULL;
    unsigned n_all = 0, n_gone;
    net *pruned = NULL;
    char *const *gone = net_removed(parent, &n_gone);
    TRY(surgery_names(gone, n_gone, names, n, &all, &n_all));
    TRY(net_create(net_arch(parent), net_classes(parent), all, n_all, &pruned));
out:
    net_free(pruned);
    surgery_names_free(all, n_all);
    return st;
}

status choose_by_hand(const net *parent, char *const *names, unsigned n, choice *out)
{
    status st = OK;
    choice c = { .metric = "hand" };
    TRY(check_names(parent, names, n));
    TRY(list_units(parent, &c));
    for (int i = 0; i < c.n_units; i++) {
        criterion_decision *d = &c.unit[i].decision;
        d->cut = contains(names, n, c.unit[i].name);
        snprintf(d->reason, sizeof d->reason, "%s", d->cut ? "chosen by hand" : "stays");
    }
    TRY(list_cuts(&c));
    *out = c;
    c = (choice){ 0 };
out:
    choice_free(&c);
    return st;
}

/* "0.849", or "-" where there is no value. */
static const char *number_text(char text[16], const char *format, double value)
{
    snprintf(text, 16, isnan(value) ? "-" : format, value);
    return text;
}

void choice_log(const choice *c)
{
    char value[16], gain[16];
    log_info("%-14s %8s %8s  %-4s why", "unit", c->metric, "gain", "cut");
    for (int i = 0; i < c->n_units; i++) {
        const choice_unit *u = &c->unit[i];
        log_info("%-14s %8s %8s  %-4s %s", u->name, number_text(value, "%.4f", u->value),
                 number_text(gain, "%+.4f", u->decision.gain), u->decision.cut ? "cut" : "",
                 u->decision.reason);
    }
}

void choice_free(choice *c)
{
    surgery_names_free(c->cut, c->n_cut);
    free(c->unit);
    *c = (choice){ 0 };
}
