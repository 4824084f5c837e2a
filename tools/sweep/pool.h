/* tools/sweep/pool.h -- the local launcher: so many processes at a time, each of one task, until all are
 * done. */
#ifndef CLEAVE_SWEEP_POOL_H
#define CLEAVE_SWEEP_POOL_H

#include "plan.h"

typedef struct pool_options {
    int jobs;  /* processes at a time; 0 = one a GPU, without GPUs one */
    int cores; /* to divide between them; 0 = those that this process may use */
    int gpus;  /* cuda:0 .. cuda:N-1 for tasks whose device is auto or cuda; -1 = look for them */
} pool_options;

typedef struct pool_result {
    int done, failed, stopped; /* tasks; done counts those that were done before */
    int not_begun;             /* for a failure of a stage before, or a stop */
    bool signalled;            /* by SIGINT, SIGTERM, ... */
    int signal_number;
} pool_result;

/* Runs the tasks for which wanted[task] holds (NULL: all) and that are not done. A failed task does not keep
 * others from running, except those that need its result. A task that another process holds is waited for.
 * SIGINT, SIGTERM, SIGHUP, SIGUSR1 and SIGUSR2 stop it: the running tasks get SIGTERM, save their state and
 * end, then pool_run returns; a second SIGINT kills them. If this process is killed, they get SIGTERM too.
 * How it went is in *out; an error is only what keeps the pool itself from working. */
status pool_run(const sweep_plan *, const bool *wanted, const pool_options *, pool_result *out);

/* GPUs that the CUDA plugin can open: 0 if it is missing or has no driver. */
int pool_count_gpus(void);
/* Cores that this process may use, as its affinity or Slurm says. */
int pool_count_cores(void);

#endif
