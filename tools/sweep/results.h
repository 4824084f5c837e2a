/* tools/sweep/results.h -- numbers of one case by name, for columns of a table. */
#ifndef CLEAVE_SWEEP_RESULTS_H
#define CLEAVE_SWEEP_RESULTS_H

#include "state.h"

/* What a case has come to; each NULL until its stage is done. */
typedef struct case_results {
    bool trained;
    double best, last; /* test accuracies, shares of 1 */
    cJSON *analysis;   /* analysis.json */
    cJSON *prune;      /* prune.json */
    bool done;         /* all stages */
} case_results;

void results_read(const sweep_plan *, unsigned i, case_results *out);
void results_free(case_results *);

/* accuracy, last_accuracy; M, Q of the last layer, M_max, Q_max; removed; each number of prune.json by its
 * name. False for a name that is none of these; NaN while there is no such number. */
bool results_value(const case_results *, const char *name, double *out);

/* Shares are shown in percent; the number of digits after the point. */
double results_scale(const char *name);
int results_digits(const char *name);

#endif
