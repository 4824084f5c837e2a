/* prune/metric.c -- see metric.h. */
#include "metric.h"

#include "../core/base/json.h"
#include "../core/base/rng.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- values ---- */

/* The index of a unit's layer in the analysis: NAME, else NAME.raw; -1: none. */
static int find_layer(const cJSON *analysis, const char *unit)
{
    const cJSON *layer;
    char raw[80];
    int at = 0, found = -1;
    snprintf(raw, sizeof raw, "%s.raw", unit);
    cJSON_ArrayForEach(layer, cJSON_GetObjectItem(analysis, "layers"))
    {
        const char *name = json_text(layer, "name");
        if (!strcmp(name, unit)) return at;
        if (!strcmp(name, raw)) found = at;
        at++;
    }
    return found;
}

bool metric_curve_value(const metric *m, const cJSON *analysis, const char *unit, double *value)
{
    int at = find_layer(analysis, unit);
    const cJSON *layer = at < 0 ? NULL : cJSON_GetArrayItem(cJSON_GetObjectItem(analysis, "layers"), at);
    const cJSON *result = cJSON_GetObjectItem(layer, m->result),
                *number = cJSON_GetObjectItem(result, m->member);
    *value = json_number(result, m->member, NAN);
    return cJSON_IsNumber(number) || cJSON_IsNull(number);
}

bool metric_is_in(const metric *m, const cJSON *analysis, const net *n)
{
    int count;
    double value;
    const net_unit *unit = net_units(n, &count);
    for (int i = 0; i < count; i++)
        if (!metric_curve_value(m, analysis, unit[i].name, &value)) return false;
    return !m->cka || cJSON_GetObjectItem(analysis, "cka");
}

static double value_on_curve(const cJSON *analysis, const net_unit *unit, int i, const metric *m)
{
    double value;
    metric_curve_value(m, analysis, unit[i].name, &value);
    return value;
}

/* How much a unit changes the representation: 1 - CKA of its input (the output of the unit before it) and its output. NaN
 * where the analysis says null, or lacks CKA or one of these layers. */
static double change_by_cka(const cJSON *analysis, const net_unit *unit, int i, const metric *m)
{
    (void)m;
    if (i == 0) return NAN;
    const cJSON *matrix = cJSON_GetObjectItem(cJSON_GetObjectItem(analysis, "cka"), "matrix");
    const int before = find_layer(analysis, unit[i - 1].name), after = find_layer(analysis, unit[i].name);
    if (before < 0 || after < 0) return NAN;
    const cJSON *cka = cJSON_GetArrayItem(cJSON_GetArrayItem(matrix, before), after);
    return cJSON_IsNumber(cka) ? 1 - cka->valuedouble : NAN;
}

/* ---- picking ---- */

/* All points stay, each with its reason. ERR_USAGE: fewer than `count` can go. */
static status begin(const criterion_point *p, int n, int count, bool by_value, criterion_decision *d)
{
    status st = OK;
    int able = 0;
    for (int t = 0; t < n; t++) {
        bool silent = by_value && isnan(p[t].value);
        d[t] = (criterion_decision){ .smoothed = p[t].value, .gain = NAN };
        d[t].rule = !p[t].removable ? RULE_FIXED : silent ? RULE_NO_VALUE : RULE_SPARED;
        const char *fixed = p[t].fixed ? p[t].fixed : "it cannot be removed";
        snprintf(d[t].reason, sizeof d[t].reason, "stays%s%s", p[t].removable ? "" : ": ",
                 p[t].removable ? silent ? ": no value here" : "" : fixed);
        able += p[t].removable && !silent;
    }
    if (count > able) FAIL(ERR_USAGE, "prune.count: %d units are to go, but only %d can", count, able);
out:
    return st;
}

static void take(criterion_decision *d)
{
    d->cut = true;
    d->rule = RULE_PICKED;
}

/* The gain of each point over the last one kept before it. */
static void measure_gains(const criterion_point *p, int n, criterion_decision *d)
{
    int ref = -1;
    for (int t = 0; t < n; t++) {
        if (isnan(p[t].value)) continue;
        if (!d[t].cut) d[t].gain = ref < 0 ? NAN : p[t].value - p[ref].value;
        if (!d[t].cut) ref = t;
    }
}

status pick_by_gain(const criterion_point *p, int n, int count, pick_kind pick, criterion_decision *d)
{
    status st = OK;
    const double sign = pick == PICK_MOST ? -1 : 1;
    TRY(begin(p, n, count, true, d));
    for (int k = 0; k < count; k++) {
        int best = -1;
        measure_gains(p, n, d);
        for (int t = 0; t < n; t++) {
            if (d[t].cut || !p[t].removable || isnan(p[t].value)) continue;
            /* A removable first point has no gain: it goes last. */
            double gain = isnan(d[t].gain) ? INFINITY : sign * d[t].gain;
            double least = best < 0 ? INFINITY : isnan(d[best].gain) ? INFINITY : sign * d[best].gain;
            if (best < 0 || gain <= least) best = t;
        }
        take(&d[best]);
        if (isnan(d[best].gain))
            snprintf(d[best].reason, sizeof d[best].reason, "all that was left; the curve begins here");
        else
            snprintf(d[best].reason, sizeof d[best].reason, "%s gain of what was left: %+.3g",
                     pick == PICK_MOST ? "largest" : "smallest", d[best].gain);
    }
out:
    return st;
}

status pick_smallest(const criterion_point *p, int n, int count, criterion_decision *d)
{
    status st = OK;
    TRY(begin(p, n, count, true, d));
    for (int k = 0; k < count; k++) {
        int best = -1;
        for (int t = 0; t < n; t++) {
            if (d[t].cut || !p[t].removable || isnan(p[t].value)) continue;
            if (best < 0 || p[t].value <= p[best].value) best = t;
        }
        take(&d[best]);
        snprintf(d[best].reason, sizeof d[best].reason, "number %d of the smallest changes: %.3g", k + 1,
                 p[best].value);
    }
out:
    return st;
}

status pick_random(const criterion_point *p, int n, int count, uint64_t seed, uint64_t draw,
                   criterion_decision *d)
{
    status st = OK;
    int *order = NULL, cut = 0;
    TRY(begin(p, n, count, false, d));
    TRY_ALLOC(order, malloc(((size_t)n + 1) * sizeof *order));
    rng_permutation(seed, RNG_PRUNE, (uint32_t)(draw ^ draw >> 32), n, order);
    for (int k = 0; k < n && cut < count; k++) {
        int t = order[k];
        if (!p[t].removable) continue;
        take(&d[t]);
        snprintf(d[t].reason, sizeof d[t].reason, "drawn as number %d, seeds %llu and %llu", ++cut,
                 (unsigned long long)seed, (unsigned long long)draw);
    }
out:
    free(order);
    return st;
}

status pick_last(const criterion_point *p, int n, int count, criterion_decision *d)
{
    status st = OK;
    TRY(begin(p, n, count, false, d));
    for (int t = n - 1, cut = 0; t >= 0 && cut < count; t--) {
        if (!p[t].removable) continue;
        take(&d[t]);
        snprintf(d[t].reason, sizeof d[t].reason, "number %d from the end", ++cut);
    }
out:
    return st;
}

/* ---- the table ---- */

static status by_gain(const criterion_point *p, int n, const config *c, criterion_decision *d)
{
    return pick_by_gain(p, n, c->prune.count, c->prune.pick, d);
}

static status smallest(const criterion_point *p, int n, const config *c, criterion_decision *d)
{
    return pick_smallest(p, n, c->prune.count, d);
}

static status at_random(const criterion_point *p, int n, const config *c, criterion_decision *d)
{
    return pick_random(p, n, c->prune.count, c->seed, c->prune.seed, d);
}

static status last(const criterion_point *p, int n, const config *c, criterion_decision *d)
{
    return pick_last(p, n, c->prune.count, d);
}

/* clang-format off */
static const metric metrics[] = {
    [METRIC_YANG]   = { "yang", "M",    value_on_curve, by_gain, .criterion = true },
    [METRIC_LU]     = { "lu",   "mean", value_on_curve, by_gain, .criterion = true },
    [METRIC_RANDOM] = { "yang", "M",    NULL,           at_random, .drawn = true },
    [METRIC_LAST]   = { "yang", "M",    NULL,           last },
    [METRIC_CKA]    = { "yang", "M",    change_by_cka,  smallest, .cka = true },
};
/* clang-format on */

const metric *metric_of(metric_kind kind)
{
    return &metrics[kind];
}

const char *metric_name(metric_kind kind)
{
    return config_choice("prune.metric", (int)kind);
}
