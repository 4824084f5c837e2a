/* nets/fit.h -- the training loop: epochs of steps, an evaluation after each, checkpoints, metrics. */
#ifndef CLEAVE_FIT_H
#define CLEAVE_FIT_H

#include "../data/dataset.h"
#include "checkpoint.h"
#include "run.h"
#include "rundir.h"

typedef struct fit_result {
    double best_accuracy, last_accuracy; /* test top-1 in [0, 1] */
    int best_epoch, epochs;
    double train_seconds;
} fit_result;

typedef struct fit_job {
    const config *cfg;
    net *net; /* compiled by fit_compile, values loaded or initialised */
    const dataset *train, *test;
    const rundir *run;
    const st_pair *meta;
    int n_meta;  /* further metadata for checkpoints (parent, cuts) */
    bool resume; /* go on from RUN/last.safetensors if it is there */
    /* Called after the evaluation of every epoch (0-based), before its checkpoint; NULL = none. For analysis.every.
     * If it fails, or returns STOPPED, the resumed run evaluates and calls it again. */
    status (*after_epoch)(void *ctx, net *, int epoch);
    void *ctx;
} fit_job;

/* Compiles the cases that fit needs. train = NULL: evaluation only, still as FIT_CASE_EVAL. That has train.batch images,
 * FIT_CASE_TRAIN min(train.batch, images); FIT_CASE_LAST, the partial last batch, exists only where there is a
 * remainder. */
enum { FIT_CASE_EVAL, FIT_CASE_TRAIN, FIT_CASE_LAST };
status fit_compile(const config *, const dataset *train, net *, backend *);

/* Sets the values of a compiled net: net.weights of the config if given, else the architecture's initialisation
 * (docs/nets.md) from the seed. */
status fit_start_values(const config *, net *);

/* Trains to the end. STOPPED: a signal came, state saved. ERR_DIVERGED: the last good checkpoint is kept. */
status fit(const fit_job *, fit_result *out);

/* Loss and top-1 over a data set in its own order; logits [n, classes] if not NULL. `kept`: what net_keep_images said
 * of its images, or NET_NOT_KEPT. STOPPED if a signal came. */
status fit_evaluate(net *, int eval_case, const config_data *, const dataset *, int kept, loss_stats *out,
                    float *logits);

#endif
