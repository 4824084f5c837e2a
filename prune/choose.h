/* prune/choose.h -- which units are cut: by a metric (prune/metric.h), or those named by hand. */
#ifndef CLEAVE_CHOOSE_H
#define CLEAVE_CHOOSE_H

#include "metric.h"

typedef struct choice_unit {
    char name[64];
    double value; /* the metric's; NaN: none */
    bool removable;
    criterion_decision decision;
} choice_unit;

typedef struct choice {
    const char *metric; /* its name, or "hand" */
    metric_kind kind;   /* unless by hand */
    int count;          /* exactly how many are cut; 0: as Criterion I decides, or by hand */
    pick_kind pick;
    uint64_t seed; /* prune.seed */
    int n_units;
    choice_unit *unit; /* the parent's units, in order of depth */
    char **cut;        /* names of those that are cut */
    unsigned n_cut;
} choice;

/* The caller frees the result of either with choice_free. */

/* prune.count = 0: by M or Q, what Criterion I cuts; by another metric, as many as it cuts by M. Else exactly prune.count.
 * `analysis` may be NULL unless choose_needs_analysis. */
status choose_by_curve(const net *parent, const struct cJSON *analysis, const config *, choice *out);
bool choose_needs_analysis(const config_prune *);

/* Cuts exactly the units named, skipping those that the parent no longer has. ERR_USAGE, in the words of net_create: a
 * unit is unknown or cannot be removed. */
status choose_by_hand(const net *parent, char *const *names, unsigned n, choice *out);

/* One line per unit, on stderr. */
void choice_log(const choice *);

/* Where n_cut is 0: why, without "nothing to cut", e.g. "the curve rises at 1 (layer3.1); only prune.floor keeps 2
 * (layer1.0, layer1.1)". Cut off if it does not fit. True: there are units that prune.count could cut. */
bool choice_why_none(const choice *, char *text, size_t bytes);

void choice_free(choice *); /* a zeroed choice is harmless */

#endif
