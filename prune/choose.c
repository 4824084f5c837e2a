/* prune/choose.c -- from the curve's points to names. */
#include "choose.h"
#include "../core/base/log.h"
#include "pick.h"
#include "surgery.h"
#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *choose_metric_name(metric_kind metric)
{
    static const char *const names[] = { "yang", "lu", "random", "last", "cka" };
    return names[metric];
}

/* The place of a unit's layer in the analysis: NAME or NAME.raw; -1: none. */
static int find_layer(const cJSON *analysis, const char *unit)
{
    const cJSON *layer;
    char raw[80];
    int at = 0, found = -1;
    snprintf(raw, sizeof raw, "%s.raw", unit);
    cJSON_ArrayForEach(layer, cJSON_GetObjectItem(analysis, "layers"))
    {
        const char *has = cJSON_GetStringValue(cJSON_GetObjectItem(layer, "name"));
        if (has && !strcmp(has, unit)) return at;
        if (has && !strcmp(has, raw)) found = at;
        at++;
    }
    return found;
}

/* JSON has no NaN: null stands for it. */
static double number_or_nan(const cJSON *number)
{
    return cJSON_IsNumber(number) ? number->valuedouble : NAN;
}

bool choose_value(const cJSON *analysis, const char *unit, metric_kind metric, double *value)
{
    int at = find_layer(analysis, unit);
    const cJSON *layer = at < 0 ? NULL : cJSON_GetArrayItem(cJSON_GetObjectItem(analysis, "layers"), at);
    const cJSON *result = cJSON_GetObjectItem(layer, metric == METRIC_LU ? "lu" : "yang");
    const cJSON *number = cJSON_GetObjectItem(result, metric == METRIC_LU ? "mean" : "M");
    *value = number_or_nan(number);
    return cJSON_IsNumber(number) || cJSON_IsNull(number);
}

double choose_change(const cJSON *analysis, const char *before, const char *unit)
{
    const cJSON *matrix = cJSON_GetObjectItem(cJSON_GetObjectItem(analysis, "cka"), "matrix");
    int i = find_layer(analysis, before), j = find_layer(analysis, unit);
    return i < 0 || j < 0 ? NAN : 1 - number_or_nan(cJSON_GetArrayItem(cJSON_GetArrayItem(matrix, i), j));
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

/* By Criterion I, or exactly cfg->count. */
static status decide_points(const criterion_point *p, int n, const config *cfg, criterion_decision *d)
{
    const config_prune *how = &cfg->prune;
    const criterion_options options = { how->eps, how->floor, how->smooth, how->max_cut,
                                        how->keep_one_per_stage };
    switch (how->metric) {
    case METRIC_RANDOM: return pick_random(p, n, how->count, cfg->seed, how->seed, d);
    case METRIC_LAST: return pick_last(p, n, how->count, d);
    case METRIC_CKA: return pick_smallest(p, n, how->count, d);
    case METRIC_YANG:
    case METRIC_LU: break;
    }
    return how->count > 0 ? pick_by_gain(p, n, how->count, how->pick, d) : criterion_cut(p, n, &options, d);
}

static status decide(const net *parent, const config *cfg, choice *c)
{
    status st = OK;
    criterion_point *point = NULL;
    criterion_decision *decision = NULL;
    const net_unit *unit = net_units(parent, &c->n_units);
    TRY_ALLOC(point, calloc((size_t)c->n_units + 1, sizeof *point));
    TRY_ALLOC(decision, calloc((size_t)c->n_units + 1, sizeof *decision));
    for (int i = 0; i < c->n_units; i++)
        point[i] = (criterion_point){ unit[i].name, c->unit[i].value, unit[i].removable, unit[i].stage,
                                      unit[i].reason };
    TRY(decide_points(point, c->n_units, cfg, decision));
    for (int i = 0; i < c->n_units; i++) c->unit[i].decision = decision[i];
out:
    free(decision);
    free(point);
    return st;
}

static void read_values(const cJSON *analysis, metric_kind metric, choice *c)
{
    for (int i = 0; i < c->n_units; i++) {
        choice_unit *u = &c->unit[i];
        if (metric == METRIC_CKA)
            u->value = i == 0 ? NAN : choose_change(analysis, c->unit[i - 1].name, u->name);
        else if (metric == METRIC_YANG || metric == METRIC_LU)
            choose_value(analysis, u->name, metric, &u->value);
    }
}

bool choose_wants_analysis(const config_prune *cfg)
{
    return cfg->count == 0 || (cfg->metric != METRIC_RANDOM && cfg->metric != METRIC_LAST);
}

/* Where the metric has no criterion of its own: as many as Criterion I cuts by M. */
static status fill_count(const net *parent, const cJSON *analysis, config *cfg)
{
    status st = OK;
    choice by_m = { 0 };
    config yang = *cfg;
    config_prune *how = &cfg->prune;
    if (how->count > 0 || how->metric == METRIC_YANG || how->metric == METRIC_LU) goto out;
    yang.prune.metric = METRIC_YANG;
    TRY(choose_by_curve(parent, analysis, &yang, &by_m));
    how->count = (int)by_m.n_cut;
    log_info("Criterion I cuts %d by M: as many go by %s", how->count, choose_metric_name(how->metric));
out:
    choice_free(&by_m);
    return st;
}

status choose_by_curve(const net *parent, const cJSON *analysis, const config *cfg, choice *out)
{
    status st = OK;
    config settings = *cfg; /* nothing in it is freed here */
    const config_prune *how = &settings.prune;
    choice c = { .metric = choose_metric_name(how->metric) };
    TRY(fill_count(parent, analysis, &settings));
    c.count = how->count;
    c.pick = how->pick;
    c.seed = how->seed;
    TRY(list_units(parent, &c));
    read_values(analysis, how->metric, &c);
    TRY(decide(parent, &settings, &c));
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
