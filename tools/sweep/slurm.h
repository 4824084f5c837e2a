/* tools/sweep/slurm.h -- submits a sweep to Slurm as one job array; nothing keeps running on the machine
 * that submits.
 *
 * An element of the array is a training with all tasks that need it, one stage after the other. If the
 * training is done already, each case is an element. The batch script executes `sweep element`, so that
 * Slurm's signals reach it:
 *
 *   SIGUSR1  comes GRACE seconds before the time is up, and at preemption (--signal=B:USR1@GRACE). The
 *            running tool writes its checkpoint and ends with code 75. Then the element has Slurm queue it
 *            again (scontrol requeue).
 *   SIGTERM  comes from scancel, or from a preemption that requeues by itself: the same without the requeue.
 */
#ifndef CLEAVE_SWEEP_SLURM_H
#define CLEAVE_SWEEP_SLURM_H

#include "local.h"
#include "spec.h"

/* Submits every task that is not done and that no waiting or running array has. If there is none,
 * *elements is 0 and nothing is submitted. job: at least 64 bytes. ERR_RUNTIME with the message of sbatch. */
status slurm_submit(const sweep_plan *, const sweep_spec *, char *job, int *elements);

/* queued[n_tasks]: true for tasks of arrays that wait or run. All false where there is no Slurm. ERR_RUNTIME: it cannot be
 * asked, for want of memory, processes or open files; a task that is queued must not be submitted again. */
status slurm_queue(const sweep_plan *, bool *queued);

/* `sweep element FILE`: runs the element $SLURM_ARRAY_TASK_ID of a submission. */
status slurm_element(const char *file, pool_result *out);

#endif
