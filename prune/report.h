/* prune/report.h -- prune.json: what was cut, why, and what it changed. */
#ifndef CLEAVE_REPORT_H
#define CLEAVE_REPORT_H

#include "choose.h"
#include "cost.h"

typedef struct prune_report {
    const char *arch, *parent; /* parent: the checkpoint that was cut */
    const char *run;           /* the new run; NULL: none */
    const choice *choice;
    cost before, after;
    double accuracy_before, accuracy_cut, accuracy_after, accuracy_last; /* in [0, 1]; NaN: not measured */
} prune_report;

/* The fields of docs/files.md: arch, metric, removed, units, params_before, ... Accuracies that were not measured are
 * left out; values that are not a number are null. The caller deletes. */
status prune_report_json(const prune_report *, struct cJSON **out);

/* A few lines on stderr. */
void prune_report_log(const prune_report *);

#endif
