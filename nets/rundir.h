/* nets/rundir.h -- the directory of a run: OUT/NAME-CONFIGHASH-sSEED, the same for the same config.
 *   config.yaml env.json metrics.jsonl metrics.csv best.safetensors last.safetensors status.json log.txt
 *   algorithms.txt (what the device chose by timing, if it did) */
#ifndef CLEAVE_RUNDIR_H
#define CLEAVE_RUNDIR_H

#include "../core/base/path.h"
#include "../core/base/status.h"
#include "../core/config/config.h"
#include "../core/device/backend.h"

typedef struct rundir {
    char path[2048];
} rundir;

/* OUT/NAME-HASH-sSEED for this config; touches nothing. */
status rundir_path(const config *, rundir *out);
status rundir_file(const rundir *, const char *name, file_path *out); /* PATH/NAME */

/* Another run of the same folder, and what sets it apart: "train.epochs (2, not 4), train.lr (0.1, not 0.05)", its value
 * and then that of the config. */
typedef struct run_near {
    rundir run; /* path "": there is none */
    char differs[512];
} run_near;
/* The run in OUT with the fewest keys that differ from this config, among those of the same name and seed if there is one.
 * Counts the keys that decide the weights, name and seed. Files that cannot be read are no runs. */
status rundir_nearest(const config *, run_near *out);

/* May a run be written there? ERR_USAGE: the directory exists and has files, but no config.yaml. */
status rundir_may_write(const rundir *);

/* Before net_compile: the device plans with the algorithms that it chose when this run began, if it began already. */
status rundir_load_tuning(const rundir *, backend *);
/* Makes the directory; writes config.yaml, env.json (versions, device, commit, command line) and algorithms.txt. From then
 * on, messages also go to its log.txt; if that cannot be opened, a warning says so. */
status rundir_create(const config *, const backend *, int argc, char **argv, rundir *out);

/* One line of metrics. Accuracies are in [0, 1]; a value that is not finite is null in JSON and empty in CSV. */
typedef struct run_epoch {
    int epoch; /* 0-based */
    double lr, train_loss, train_accuracy, test_loss, test_accuracy;
    double seconds, images_per_s; /* of the training part */
} run_epoch;

/* Appends one line to metrics.jsonl and metrics.csv, flushed to disk. */
status rundir_metrics(const rundir *, const run_epoch *);
/* Drops the lines of epochs >= `epoch` from both, because a resumed run will write them again. */
status rundir_truncate(const rundir *, int epoch);

/* status.json: {"state": "running|stopped|done|failed|diverged", "epoch", "epochs", "best_accuracy",
 * "best_epoch", "message", "updated", "host", "pid"}, replaced atomically. message NULL: "". */
status rundir_status(const rundir *, const char *state, int epoch, int epochs, double best_accuracy,
                     int best_epoch, const char *message);

/* ---- how far a run is: everyone who wants to know asks here ---- */

/* What the last checkpoint says. status.json is written after it, so a kill in between leaves status.json behind. */
typedef struct run_progress {
    bool begun;                          /* RUN/last.safetensors exists; if not, the rest is 0 */
    bool finished;                       /* all epochs are done */
    bool done;                           /* finished, and RUN/best.safetensors exists */
    int epoch, best_epoch;               /* finished epochs; -1: none was best yet */
    double best_accuracy, last_accuracy; /* test top-1; -1: none yet */
} run_progress;
/* `run`: the directory; `epochs`: how many its config asks for. ERR_DATA: last.safetensors is damaged, or has no state. */
status rundir_progress(const char *run, int epochs, run_progress *out);

/* status.json, corrected: "done" with the numbers of the last checkpoint if that has all epochs; "stopped" instead of
 * "running" if no process holds the run's lock. NULL: there is none. ERR_DATA: it is damaged. The caller deletes it. */
struct cJSON;
status rundir_status_read(const char *run, struct cJSON **out);

#endif
