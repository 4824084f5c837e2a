/* tools/sweep/slurm.h -- the Slurm launcher: one job array, nothing left behind on the machine that submits.
 *
 * An element of the array is a training with all that needs it, one stage after the other; of a training that
 * is done already, each case is an element. The batch script becomes `sweep element`, which gets the signals
 * of Slurm itself: SIGUSR1, which --signal=B:USR1@GRACE asks for before the time is up or at preemption,
 * makes the running tool write its checkpoint and end with code 75; then the element has Slurm queue it again
 * (scontrol requeue). SIGTERM does the same without the requeue: that is scancel, or a preemption that
 * requeues by itself. */
#ifndef CLEAVE_SWEEP_SLURM_H
#define CLEAVE_SWEEP_SLURM_H

#include "pool.h"
#include "spec.h"

/* Submits what is neither done nor in an array that waits or runs already. Nothing left to submit is no
 * failure: *elements 0. job: at least 64 bytes. ERR_RUNTIME with what sbatch says. */
status slurm_submit(const sweep_plan *, const sweep_spec *, char *job, int *elements);

/* Which tasks are in arrays that wait or run: queued[n_tasks]. All false where Slurm cannot be asked. */
void slurm_queue(const sweep_plan *, bool *queued);

/* `sweep element FILE`: the element $SLURM_ARRAY_TASK_ID of a submission. */
status slurm_element(const char *file, pool_result *out);

#endif
