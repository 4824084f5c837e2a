/* prune/choose.h -- which units go: by Criterion I from the curve of an analysis, or by hand. */
#ifndef CLEAVE_CHOOSE_H
#define CLEAVE_CHOOSE_H

#include "../core/config.h"
#include "../nets/net.h"
#include "criterion.h"

struct cJSON; /* an analysis.json: graph/analysis.h */

typedef struct choice_unit {
    char name[64];
    double value; /* M or Q after this unit; NaN: none */
    bool removable;
    criterion_decision decision;
} choice_unit;

typedef struct choice {
    const char *metric; /* "yang", "lu", "hand" */
    int n_units;
    choice_unit *unit; /* the parent's units, in order of depth */
    char **cut;        /* names of those that go */
    unsigned n_cut;
} choice;

/* The curve's value at a unit: that of the hook with the unit's name, or else of NAME.raw (the points of
 * hooks: lu2022). NaN where the analysis says null, or (returning false) has no such layer. */
bool choose_value(const struct cJSON *analysis, const char *unit, metric_kind, double *value);

/* The caller frees the result of either with choice_free. */
status choose_by_curve(const net *parent, const struct cJSON *analysis, const config_prune *, choice *out);

/* Cuts exactly the units named, skipping those the parent does not have any more. ERR_USAGE, in the words
 * of net_create, for a unit that there is not or that cannot go. */
status choose_by_hand(const net *parent, char *const *names, unsigned n, choice *out);

/* One line a unit, on stderr. */
void choice_log(const choice *);
void choice_free(choice *); /* a zeroed choice is harmless */

#endif
