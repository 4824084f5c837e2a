/* graph/epoch.h -- analysis.every: the analysis of a net while it trains, every so many epochs. */
#ifndef CLEAVE_EPOCH_H
#define CLEAVE_EPOCH_H

#include "../nets/rundir.h"
#include "analysis.h"

typedef struct epoch_analysis {
    const config *cfg;
    const dataset *test;
    const rundir *run;
    int eval_case; /* of the net, for batches of train.batch images */
    analyser *analyser;
} epoch_analysis;

/* Before net_compile. Without analysis.every, nothing is made, and epoch_analysis_wanted is false. Config, data, run and
 * net must outlive it. */
status epoch_analysis_open(epoch_analysis *, net *);
void epoch_analysis_close(epoch_analysis *); /* a zeroed one is harmless */
bool epoch_analysis_wanted(const epoch_analysis *);

/* For fit_job.after_epoch; ctx is an epoch_analysis. The curves of this epoch (from 0) into RUN/analysis/epoch-NNN (from
 * 1), and M, Q and the rings of all layers among the events of the training. */
status epoch_analysis_run(void *ctx, net *, int epoch);

#endif
