/* tools/sweep/state.h -- how far each task is, and `sweep status`. All of it is read from files, so
 * whoever asks gets the same answer: a sweep that starts again, status, an element of a Slurm array on
 * another machine. */
#ifndef CLEAVE_SWEEP_STATE_H
#define CLEAVE_SWEEP_STATE_H

#include "../../core/base/json.h"
#include "tasks.h"

typedef enum task_state {
    TASK_WAITING, /* not begun; perhaps a stage before it is not done */
    TASK_BLOCKED, /* waiting for a task that failed; only sweep_status_print and sweep_status_json say so */
    TASK_QUEUED,  /* an element of a Slurm array will do it; only slurm_queue knows */
    TASK_RUNNING,
    TASK_STOPPED, /* begun; continues from its last checkpoint */
    TASK_FAILED,
    TASK_DONE,
    TASK_STATES
} task_state;
extern const char *const task_state_name[TASK_STATES];

typedef struct task_info {
    task_state state;
    int epoch, epochs;   /* finished, wanted; 0 for an analysis */
    double accuracy;     /* the best so far, 0 to 1; NaN: none yet */
    double seconds_left; /* estimated from the time of the last epoch; NaN: unknown */
    char host[256];      /* where it runs or ran last; "": unknown */
    long pid;            /* of the process that runs or ran it */
    char reason[512];    /* why it failed or stopped; "" otherwise */
} task_info;

/* Never fails: a task whose files cannot be read is not done. */
void task_look(const sweep_plan *, int task, task_info *out);
/* Is it TASK_DONE: are its results there, and not older than what they were made from? */
bool task_done(const sweep_plan *, int task);

/* Writes DIR/tasks/ID/state.json: process `pid` of this machine runs the task, or ended with this state. */
status task_record(const sweep_plan *, int task, task_state, long pid, int exit_code, double seconds,
                   const char *reason);

/* The prune.json of a pruning that is done, else NULL. The caller deletes it. */
cJSON *task_result(const sweep_plan *, int task);
/* The name of the pruned run's folder; "" if nothing was cut. */
const char *task_pruned_run(const cJSON *result);

/* ---- sweep status ---- */

/* Logs a line for each case, then one for each task that failed or stopped, with the reason.
 * queued[n_tasks], or NULL: the tasks that a Slurm array will do. n_in_state: how many tasks are in each
 * state. */
status sweep_status_print(const sweep_plan *, const bool *queued, int n_in_state[TASK_STATES]);
/* {sweep, dir, counts: {done, ..}, cases: [{settings, stages: {train: {task, state, epoch, epochs, accuracy,
 * seconds_left, host, reason}}}]}. The caller deletes *out. */
status sweep_status_json(const sweep_plan *, const bool *queued, cJSON **out);

/* "1:02:03", or "-" for NaN. */
typedef struct duration_text {
    char s[32];
} duration_text;
duration_text sweep_duration(double seconds);

#endif
