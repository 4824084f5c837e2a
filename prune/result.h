/* prune/result.h -- prune.json: what was cut, why, and what changed. */
#ifndef CLEAVE_RESULT_H
#define CLEAVE_RESULT_H

#include "choose.h"
#include "cost.h"

typedef struct prune_result {
    const char *arch, *parent; /* parent: the checkpoint that was cut */
    const char *run;           /* the new run; NULL: none */
    const choice *choice;
    cost before, after;
    double accuracy_before, accuracy_cut, accuracy_after, accuracy_last; /* in [0, 1]; NaN: not measured */
} prune_result;

/* The fields of docs/files.md: arch, metric, removed, units, params_before, ... Accuracies that were not measured are
 * left out; other values that are not numbers are null. The caller deletes. */
status prune_result_json(const prune_result *, struct cJSON **out);

/* A few lines on stderr. */
void prune_result_log(const prune_result *);

#endif
