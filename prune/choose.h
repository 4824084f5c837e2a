/* prune/choose.h -- which units go: by Criterion I from the curve of an analysis, by an order to compare it
 * with, or by hand. */
#ifndef CLEAVE_CHOOSE_H
#define CLEAVE_CHOOSE_H

#include "../core/config/config.h"
#include "../nets/net.h"
#include "criterion.h"

struct cJSON; /* an analysis.json: graph/analysis.h */

typedef struct choice_unit {
    char name[64];
    double value; /* M or Q after this unit, or how much it changes the representation (1 - CKA); NaN: none */
    bool removable;
    criterion_decision decision;
} choice_unit;

typedef struct choice {
    const char *metric; /* "yang", "lu", "random", "last", "cka", "hand" */
    int count;          /* exactly so many were wanted; 0: as Criterion I decides, or by hand */
    pick_kind pick;
    uint64_t seed; /* of "random": prune.seed */
    int n_units;
    choice_unit *unit; /* the parent's units, in order of depth */
    char **cut;        /* names of those that go */
    unsigned n_cut;
} choice;

const char *choose_metric_name(metric_kind);

/* The curve's value (Q for METRIC_LU, else M) at a unit: that of the hook with the unit's name, or else of
 * NAME.raw (the points of hooks: lu2022). NaN where the analysis says null, or (returning false) has no such
 * layer or no number in it. */
bool choose_value(const struct cJSON *analysis, const char *unit, metric_kind, double *value);

/* How much a unit changes the representation: 1 - CKA of what goes in (what `before` puts out) and what comes
 * out. NaN where the analysis says null, or has no CKA, or not these layers. */
double choose_change(const struct cJSON *analysis, const char *before, const char *unit);

/* The caller frees the result of either with choice_free. */

/* prune.count = 0: by M or Q what Criterion I cuts; by another metric as many as it cuts by M. Else exactly
 * prune.count (prune/pick.h). random and last with a count want no analysis: it may be NULL.
 * random draws from the config's seed and prune.seed. */
status choose_by_curve(const net *parent, const struct cJSON *analysis, const config *, choice *out);
bool choose_wants_analysis(const config_prune *);

/* Cuts exactly the units named, skipping those the parent does not have any more. ERR_USAGE, in the words
 * of net_create, for a unit that there is not or that cannot go. */
status choose_by_hand(const net *parent, char *const *names, unsigned n, choice *out);

/* One line a unit, on stderr. */
void choice_log(const choice *);
void choice_free(choice *); /* a zeroed choice is harmless */

#endif
