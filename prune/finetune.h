/* prune/finetune.h -- the pruned net becomes a run of its own, trained by the same protocol as any other. */
#ifndef CLEAVE_FINETUNE_H
#define CLEAVE_FINETUNE_H

#include "../data/dataset.h"
#include "../nets/fit.h"
#include "../nets/rundir.h"
#include "choose.h"

/* The parent's config with four changes: name = NAME-pruned (by M; else NAME-pruned-METRIC, by hand NAME-pruned-hand),
 * net.remove = the units removed before and now, net.weights = the parent checkpoint (with prune.init=scratch: none), and
 * train.epochs = prune.epochs, if that is given. So `train` could continue the run, and the same cut of the same parent
 * has the same run directory. The caller frees. */
status finetune_config(const config *parent, const char *checkpoint, const choice *, config **out);

typedef struct finetune_job {
    const config *cfg;      /* of finetune_config */
    const char *checkpoint; /* the parent's */
    const choice *choice;
    const dataset *train, *test;
    int argc; /* the command line, for env.json */
    char **argv;
} finetune_job;

/* Builds the pruned net, lets it inherit (with prune.init=scratch: initialises it) and trains it in *run, which it makes;
 * a run that was stopped is continued. Checkpoints carry `parent` and `cuts` (including the parent's own). */
status finetune(const finetune_job *, rundir *run, fit_result *out);

#endif
