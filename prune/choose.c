/* prune/choose.c -- see choose.h. */
#include "choose.h"
#include "../core/base/log.h"
#include "surgery.h"
#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

/* By Criterion I, or exactly prune.count. */
static status decide_points(const criterion_point *p, int n, const config *cfg, criterion_decision *d)
{
    const config_prune *how = &cfg->prune;
    const metric *m = metric_of(how->metric);
    const criterion_options options = { how->eps, how->floor, how->smooth, how->max_cut,
                                        how->keep_one_per_stage };
    return m->criterion && how->count == 0 ? criterion_cut(p, n, &options, d) : m->pick(p, n, cfg, d);
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

static void read_values(const net *parent, const cJSON *analysis, const metric *m, choice *c)
{
    const net_unit *unit = net_units(parent, &c->n_units);
    for (int i = 0; m->value && i < c->n_units; i++) c->unit[i].value = m->value(analysis, unit, i, m);
}

bool choose_needs_analysis(const config_prune *cfg)
{
    return cfg->count == 0 || metric_of(cfg->metric)->value;
}

/* For a metric that has no criterion: as many as Criterion I cuts by M. */
static status fill_count(const net *parent, const cJSON *analysis, config *cfg)
{
    status st = OK;
    choice by_m = { 0 };
    config yang = *cfg;
    config_prune *how = &cfg->prune;
    if (how->count > 0 || metric_of(how->metric)->criterion) goto out;
    yang.prune.metric = METRIC_YANG;
    TRY(choose_by_curve(parent, analysis, &yang, &by_m));
    how->count = (int)by_m.n_cut;
    log_info("Criterion I cuts %d by M: as many go by %s", how->count, metric_name(how->metric));
out:
    choice_free(&by_m);
    return st;
}

status choose_by_curve(const net *parent, const cJSON *analysis, const config *cfg, choice *out)
{
    status st = OK;
    config settings = *cfg; /* nothing in it is freed here */
    const config_prune *how = &settings.prune;
    choice c = { .metric = metric_name(how->metric) };
    TRY(fill_count(parent, analysis, &settings));
    c.count = how->count;
    c.kind = how->metric;
    c.pick = how->pick;
    c.seed = how->seed;
    TRY(list_units(parent, &c));
    read_values(parent, analysis, metric_of(how->metric), &c);
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

/* net_create checks which units exist and can be removed. */
static status check_names(const net *parent, char *const *names, unsigned n)
{
    status st = OK;
    char **all = NULL;
    unsigned n_all = 0, n_gone;
    net *pruned = NULL;
    char *const *gone = net_removed(parent, &n_gone);
    TRY(surgery_names(gone, n_gone, names, n, &all, &n_all));
    TRY(net_without(parent, all, n_all, &pruned));
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
        d->rule = d->cut ? RULE_PICKED : c.unit[i].removable ? RULE_SPARED : RULE_FIXED;
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
    if (isnan(value))
        snprintf(text, 16, "-");
    else
        snprintf(text, 16, format, value);
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

/* Appends "; WHAT 2 (layer1.0, layer1.1)": the removable units that `rule` keeps. */
static void append_kept(const choice *c, criterion_rule rule, const char *what, char *text, size_t bytes)
{
    char names[512] = "";
    int n = 0;
    for (int i = 0; i < c->n_units; i++) {
        size_t used = strlen(names);
        if (!c->unit[i].removable || c->unit[i].decision.rule != rule) continue;
        snprintf(names + used, sizeof names - used, "%s%s", n > 0 ? ", " : "", c->unit[i].name);
        n++;
    }
    size_t used = strlen(text);
    if (n > 0) snprintf(text + used, bytes - used, "%s%s %d (%s)", used > 0 ? "; " : "", what, n, names);
}

bool choice_why_none(const choice *c, char *text, size_t bytes)
{
    bool able = false;
    text[0] = '\0';
    for (int i = 0; i < c->n_units; i++) able |= c->unit[i].removable;
    if (!able)
        snprintf(text, bytes, "no unit of this net can be removed");
    else if (!strcmp(c->metric, "hand"))
        snprintf(text, bytes, "net.remove names no unit that is still there");
    else if (!metric_of(c->kind)->criterion)
        snprintf(text, bytes, "Criterion I cuts none by M, so none goes by %s", c->metric);
    else {
        append_kept(c, RULE_RISES, "the curve rises at", text, bytes);
        append_kept(c, RULE_FLOOR, "only prune.floor keeps", text, bytes);
        append_kept(c, RULE_STAGE, "only prune.keep_one_per_stage keeps", text, bytes);
        append_kept(c, RULE_FIRST, "the curve begins at", text, bytes);
        append_kept(c, RULE_NO_VALUE, "there is no value at", text, bytes);
    }
    return able;
}

void choice_free(choice *c)
{
    surgery_names_free(c->cut, c->n_cut);
    free(c->unit);
    *c = (choice){ 0 };
}
