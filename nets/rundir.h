/* nets/rundir.h -- the directory of a run: OUT/NAME-CONFIGHASH-sSEED, the same for the same config.
 *   config.yaml env.json metrics.jsonl metrics.csv best.safetensors last.safetensors status.json log.txt
 *   algorithms.txt (what the device chose by timing, if it did) */
#ifndef CLEAVE_RUNDIR_H
#define CLEAVE_RUNDIR_H

#include "../core/base/status.h"
#include "../core/config/config.h"
#include "../core/device/backend.h"

typedef struct run_epoch {
    int epoch;                                                       /* 0-based */
    double lr, train_loss, train_accuracy, test_loss, test_accuracy; /* accuracies in [0, 1] */
    double seconds, images_per_s;                                    /* of the training part */
} run_epoch;

typedef struct rundir {
    char path[2048];
} rundir;

/* OUT/NAME-HASH-sSEED for this config; touches nothing. */
status rundir_path(const config *, rundir *out);
/* Lets the device plan as it did when this run began, if it did: before net_compile. */
status rundir_choices(const rundir *, backend *);
/* Makes it; writes config.yaml, env.json (versions, device, commit, command line) and algorithms.txt. */
status rundir_create(const config *, const backend *, int argc, char **argv, rundir *out);
status rundir_file(const rundir *, const char *name, char *out, size_t bytes); /* PATH/name */

/* Appends one line to metrics.jsonl and metrics.csv, flushed to disk. */
status rundir_metrics(const rundir *, const run_epoch *);
/* Drops lines of epochs >= `epoch` from both: a resumed run writes them again. */
status rundir_truncate(const rundir *, int epoch);
/* status.json: {"state": "running|stopped|done|failed|diverged", "epoch", "epochs", "best_accuracy",
 * "best_epoch", "message", "updated", "host", "pid"}, replaced atomically. */
status rundir_status(const rundir *, const char *state, int epoch, int epochs, double best_accuracy,
                     int best_epoch, const char *message);

#endif
