/* prune/metric.h -- what prune orders the units by. A new metric is a line in the table of metric.c, with functions where
 * those of the other metrics do not fit, and its name in core/config.
 *
 * M and Q have a criterion (prune/criterion.h), which decides how many units are cut. The other metrics are there to
 * compare with: chance, depth, and the smallest change of the representation. */
#ifndef CLEAVE_METRIC_H
#define CLEAVE_METRIC_H

#include "../core/config/config.h"
#include "../nets/net.h"
#include "criterion.h"

struct cJSON; /* an analysis.json: graph/analysis.h */

typedef struct metric {
    const char *result, *member; /* of a layer of the analysis: the curve that Criterion I reads */
    /* The value of unit i; NaN: none. NULL: the metric needs no values, and with prune.count no analysis. */
    double (*value)(const struct cJSON *analysis, const net_unit *, int i, const struct metric *);
    /* Decides for exactly cfg->prune.count of n points in order of depth. ERR_USAGE: fewer can be removed. */
    status (*pick)(const criterion_point *, int n, const config *, criterion_decision *out);
    bool criterion; /* without prune.count, Criterion I decides; else as many are cut as it cuts by M */
    bool cka;       /* the analysis must hold CKA */
    bool drawn;     /* depends on prune.seed */
} metric;
const metric *metric_of(metric_kind);
const char *metric_name(metric_kind); /* "yang" */

/* The curve's value (Q for METRIC_LU, else M) at a unit: that of the hook with the unit's name, else that of NAME.raw (the
 * points of hooks: lu2022). NaN where the analysis says null, or (returning false) has no such layer or no number in
 * it. */
bool metric_curve_value(const metric *, const struct cJSON *analysis, const char *unit, double *value);
/* Does the analysis hold what the metric needs at every unit of the net? */
bool metric_is_in(const metric *, const struct cJSON *analysis, const net *);

/* ---- how `count` removable points are picked ---- */

/* One after the other, the point with the smallest gain over the last point kept before it (PICK_MOST: the largest); of
 * equals the deeper one. So the cuts for a count of n are among those for n + 1. Points without a value stay. */
status pick_by_gain(const criterion_point *, int n, int count, pick_kind, criterion_decision *out);
/* The points with the smallest value; of equals the deeper ones. Points without a value stay. */
status pick_smallest(const criterion_point *, int n, int count, criterion_decision *out);
/* Each seed (of the run) has its draws 0, 1, ... (prune.seed), independent of each other. */
status pick_random(const criterion_point *, int n, int count, uint64_t seed, uint64_t draw,
                   criterion_decision *out);
status pick_last(const criterion_point *, int n, int count, criterion_decision *out);

#endif
