/* prune/criterion.c -- which units no longer pull the classes apart. docs/definitions.md:
 *
 *     eps = eps_rel * (max m - min m);  floor = floor_rel * max m
 *     p = first t with m[t] >= max m - eps;  ref = m[0]
 *     for t = 1 .. T-1:
 *         if removable[t] and (t > p or (ref >= floor and m[t] - ref <= eps)):  cut t
 *         else ref = m[t]
 *
 * While units are cut, the reference stays: small gains in a row add up, and the unit that completes a real gain is kept.
 * Points without a value are skipped. */
#include "criterion.h"
#include <math.h>
#include <stdarg.h>
#include <stdio.h>

typedef struct curve {
    double eps, floor, max; /* absolute */
    int first, peak;        /* the first point with a value; p above. -1: no point has a value */
} curve;

const char *criterion_rule_name(criterion_rule rule)
{
    static const char *const names[] = {
        [RULE_FIRST] = "first",     [RULE_FIXED] = "fixed",         [RULE_NO_VALUE] = "no_value",
        [RULE_RISES] = "rises",     [RULE_FLOOR] = "floor",         [RULE_STAGE] = "stage",
        [RULE_MAX_CUT] = "max_cut", [RULE_PLATEAU] = "plateau",     [RULE_DECLINE] = "decline",
        [RULE_PEAK] = "peak",       [RULE_SATURATED] = "saturated", [RULE_PICKED] = "picked",
        [RULE_SPARED] = "spared",
    };
    return names[rule];
}

__attribute__((format(printf, 3, 4))) static void say(criterion_decision *d, criterion_rule rule,
                                                      const char *format, ...)
{
    va_list args;
    d->rule = rule;
    va_start(args, format);
    vsnprintf(d->reason, sizeof d->reason, format, args); /* cutting off a long name does no harm */
    va_end(args);
}

static status check_options(const criterion_options *o)
{
    status st = OK;
    if (!(o->eps >= 0 && o->eps <= 1)) FAIL(ERR_USAGE, "prune.eps=%g: wanted 0 .. 1", o->eps);
    if (!(o->floor >= 0 && o->floor <= 1)) FAIL(ERR_USAGE, "prune.floor=%g: wanted 0 .. 1", o->floor);
    if (o->smooth < 1 || o->smooth % 2 == 0)
        FAIL(ERR_USAGE, "prune.smooth=%d: wanted an odd number of points, 1 or more", o->smooth);
    if (o->max_cut < 0) FAIL(ERR_USAGE, "prune.max_cut=%d: wanted 0 (no limit) or more", o->max_cut);
out:
    return st;
}

/* Mean of the values in the window around t, of those points that have one. */
static double moving_average(const criterion_point *p, int n, int t, int window)
{
    double sum = 0;
    int count = 0;
    if (!isfinite(p[t].value)) return NAN;
    for (int i = 0; i < n; i++) {
        if (i < t - window / 2 || i > t + window / 2 || !isfinite(p[i].value)) continue;
        sum += p[i].value;
        count++;
    }
    return sum / count;
}

static curve measure(const criterion_decision *d, int n, const criterion_options *o)
{
    curve c = { .first = -1, .peak = -1 };
    double max = -INFINITY, min = INFINITY;
    for (int t = 0; t < n; t++) {
        if (isnan(d[t].smoothed)) continue;
        if (c.first < 0) c.first = t;
        max = fmax(max, d[t].smoothed);
        min = fmin(min, d[t].smoothed);
    }
    if (c.first < 0) return c;
    c.eps = o->eps * (max - min);
    c.floor = o->floor * max;
    c.max = max;
    for (int t = n - 1; t >= 0; t--)
        if (d[t].smoothed >= max - c.eps) c.peak = t; /* NaN compares false */
    return c;
}

/* Why a point at or past c->peak may go. */
static void say_past_peak(const criterion_point *p, const curve *c, double gain,
                          const criterion_decision *all, criterion_decision *d)
{
    const char *peak = p[c->peak].name;
    const double value = all[c->peak].smoothed;
    if (value < c->max)
        say(d, RULE_SATURATED, "saturated: %s (%.3g) is within %.3g of the maximum (%.3g); %+.3g", peak,
            value, c->eps, c->max, gain);
    else
        say(d, RULE_PEAK, "after the peak at %s (%.3g): %+.3g", peak, value, gain);
}

/* Decides point t; `ref` is the last point kept before it. */
static void decide(const criterion_point *p, const curve *c, int t, int ref, criterion_decision *d)
{
    double value = d[ref].smoothed, gain = d[t].smoothed - value;
    bool started = value >= c->floor, still = gain <= c->eps, after = t > c->peak;
    d[t].gain = gain;
    d[t].cut = p[t].removable && (after || (started && still));
    if (!p[t].removable)
        say(&d[t], RULE_FIXED, "stays: %s", p[t].fixed ? p[t].fixed : "it cannot be removed");
    else if (after)
        say_past_peak(p, c, gain, d, &d[t]);
    else if (!still)
        say(&d[t], RULE_RISES, "rises: %+.3g > %.3g over %s", gain, c->eps, p[ref].name);
    else if (!started)
        say(&d[t], RULE_FLOOR, "only prune.floor keeps it: %+.3g over %s, which at %.3g is below %.3g", gain,
            p[ref].name, value, c->floor);
    else if (gain < 0)
        say(&d[t], RULE_DECLINE, "decline: %+.3g against %s (%.3g)", gain, p[ref].name, value);
    else
        say(&d[t], RULE_PLATEAU, "plateau: %+.3g <= %.3g over %s (%.3g)", gain, c->eps, p[ref].name, value);
}

/* The cut point with the largest gain, in `stage` or (stage < 0) in all; the first of equals; -1: none. */
static int largest_cut_gain(const criterion_point *p, const criterion_decision *d, int n, int stage)
{
    int best = -1;
    for (int t = 0; t < n; t++) {
        if (!d[t].cut || (stage >= 0 && p[t].stage != stage)) continue;
        if (best < 0 || d[t].gain > d[best].gain) best = t;
    }
    return best;
}

static void spare_stages(const criterion_point *p, int n, criterion_decision *d)
{
    for (int t = 0; t < n; t++) {
        bool empty = true;
        for (int i = 0; i < n; i++)
            if (p[i].stage == p[t].stage && !d[i].cut) empty = false;
        if (!empty) continue;
        criterion_decision *spared = &d[largest_cut_gain(p, d, n, p[t].stage)];
        spared->cut = false;
        say(spared, RULE_STAGE,
            "only prune.keep_one_per_stage keeps it: the largest gain (%+.3g) of a stage that would be empty",
            spared->gain);
    }
}

static void limit_cuts(const criterion_point *p, int n, int max_cut, criterion_decision *d)
{
    int cuts = 0;
    for (int t = 0; t < n; t++) cuts += d[t].cut;
    for (; cuts > max_cut; cuts--) {
        criterion_decision *spared = &d[largest_cut_gain(p, d, n, -1)];
        spared->cut = false;
        say(spared, RULE_MAX_CUT, "only prune.max_cut=%d keeps it: what is cut gains no more than its %+.3g",
            max_cut, spared->gain);
    }
}

status criterion_cut(const criterion_point *p, int n, const criterion_options *o, criterion_decision *d)
{
    status st = OK;
    if (n < 1) FAIL(ERR_USAGE, "the curve has no points");
    TRY(check_options(o));
    for (int t = 0; t < n; t++) d[t] = (criterion_decision){ .smoothed = moving_average(p, n, t, o->smooth) };
    curve c = measure(d, n, o);
    int ref = c.first;
    for (int t = 0; t < n; t++) {
        if (isnan(d[t].smoothed)) {
            d[t].gain = NAN;
            say(&d[t], RULE_NO_VALUE, "no value here: left alone");
        } else if (t == c.first) {
            say(&d[t], RULE_FIRST, "first point of the curve");
        } else {
            decide(p, &c, t, ref, d);
            if (!d[t].cut) ref = t;
        }
    }
    if (o->keep_one_per_stage) spare_stages(p, n, d);
    if (o->max_cut > 0) limit_cuts(p, n, o->max_cut, d);
out:
    return st;
}
