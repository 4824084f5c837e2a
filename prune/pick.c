/* prune/pick.c -- see pick.h. */
#include "pick.h"

#include "../core/base/rng.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* Everything stays, for the reason that it has, and there are enough units to cut. */
static status begin(const criterion_point *p, int n, int count, bool by_value, criterion_decision *d)
{
    status st = OK;
    int able = 0;
    for (int t = 0; t < n; t++) {
        bool mute = by_value && isnan(p[t].value);
        d[t] = (criterion_decision){ .smoothed = p[t].value, .gain = NAN };
        const char *fixed = p[t].fixed ? p[t].fixed : "it cannot be removed";
        snprintf(d[t].reason, sizeof d[t].reason, "stays%s%s", p[t].removable ? "" : ": ",
                 p[t].removable ? mute ? ": no value here" : "" : fixed);
        able += p[t].removable && !mute;
    }
    if (count > able) FAIL(ERR_USAGE, "prune.count: %d units are to go, but only %d can", count, able);
out:
    return st;
}

/* Gains over the last point that stays before each. */
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
            /* A removable first point has no gain: it goes when all others are gone. */
            double gain = isnan(d[t].gain) ? INFINITY : sign * d[t].gain;
            double least = best < 0 ? INFINITY : isnan(d[best].gain) ? INFINITY : sign * d[best].gain;
            if (best < 0 || gain <= least) best = t;
        }
        d[best].cut = true;
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
        d[best].cut = true;
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
        d[t].cut = true;
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
        d[t].cut = true;
        snprintf(d[t].reason, sizeof d[t].reason, "number %d from the end", ++cut);
    }
out:
    return st;
}
