/* tools/sweep/state.h -- how far a task is. Read from the files that there are, so that it is the same for
 * whoever asks: a sweep that starts again, status, an element of a Slurm array on another machine. */
#ifndef CLEAVE_SWEEP_STATE_H
#define CLEAVE_SWEEP_STATE_H

#include "../../core/base/json.h"
#include "plan.h"

typedef enum task_state {
    TASK_WAITING, /* not begun, or only a stage before it */
    TASK_QUEUED,  /* an element of a Slurm array has it; set by slurm_queue */
    TASK_RUNNING,
    TASK_STOPPED, /* begun; goes on from its last checkpoint */
    TASK_FAILED,
    TASK_DONE
} task_state;
extern const char *const task_state_name[];

typedef struct task_info {
    task_state state;
    int epoch, epochs;   /* finished, wanted; of an analysis 0 */
    double accuracy;     /* the best so far, a share of 1; NaN: none yet */
    double seconds_left; /* estimate from the last epoch's time; NaN: unknown */
    char host[256];      /* where it runs or ran last; "" */
    long pid;
    char reason[512]; /* why it failed or stopped; "" */
} task_info;

/* A failure to read is no failure: what cannot be read has not been done. */
void task_look(const sweep_plan *, int task, task_info *out);
/* Only whether it is TASK_DONE: the results are there, and no older than what they were made from. */
bool task_done(const sweep_plan *, int task);

/* DIR/tasks/ID/state.json: that process `pid` of this machine is at it, or how its attempt ended. */
status task_record(const sweep_plan *, int task, task_state, long pid, int exit_code, double seconds,
                   const char *reason);

/* Of a pruning that is done: its prune.json, and the name of the pruned run's folder ("" if nothing was cut).
 * NULL else. The caller deletes. */
cJSON *task_result(const sweep_plan *, int task);
const char *task_pruned_run(const cJSON *result);

#endif
