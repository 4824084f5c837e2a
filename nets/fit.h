/* nets/fit.h -- the training loop: epochs of steps, an evaluation after each, checkpoints, metrics, TensorBoard. */
#ifndef CLEAVE_FIT_H
#define CLEAVE_FIT_H

#include "../core/format/safetensors.h"
#include "../data/dataset.h"
#include "run.h"
#include "rundir.h"

/* Compiles the cases that fit needs (nets/run.h): CASE_EVAL of train.batch images, CASE_TRAIN of min(train.batch, images)
 * and, if there is a remainder, CASE_TRAIN_LAST. train = NULL: only CASE_EVAL. */
status fit_compile(const config *, const dataset *train, net *, backend *);

/* Sets the values of a compiled net: net.weights of the config if given, else the architecture's initialisation
 * (docs/nets.md) from the seed. */
status fit_start_values(const config *, net *);

/* Is there a RUN/last.safetensors? It holds every value, so a training that resumes needs no start values, and runs on
 * after the file that those came from is gone. */
bool fit_can_resume(const rundir *);

typedef struct fit_job {
    const config *cfg;
    net *net; /* compiled by fit_compile; values loaded or initialised, unless `resume` and fit_can_resume */
    const dataset *train, *test;
    const rundir *run;
    const st_pair *meta;
    int n_meta;  /* further metadata for checkpoints (parent, cuts) */
    bool resume; /* continue from RUN/last.safetensors if it is there */
    /* Called after the evaluation of every epoch (0-based), before its checkpoint; NULL = none. For analysis.every.
     * If it fails, or returns STOPPED, the resumed run evaluates and calls it again. */
    status (*after_epoch)(void *ctx, net *, int epoch);
    void *ctx;
} fit_job;

typedef struct fit_result {
    double best_accuracy, last_accuracy; /* test top-1 in [0, 1] */
    int best_epoch, epochs;
    double train_seconds;
} fit_result;

/* Trains to the end. STOPPED: a signal came, the state is saved. ERR_DIVERGED: the last good checkpoint is kept. */
status fit(const fit_job *, fit_result *out);

/* Loss and top-1 over a data set in its own order; logits [n, classes] if not NULL. `kept`: the number that
 * net_keep_images gave its images, or NET_NOT_KEPT. STOPPED if a signal came. */
status fit_evaluate(net *, int eval_case, const config_data *, const dataset *, int kept, loss_stats *out,
                    float *logits);

#endif
