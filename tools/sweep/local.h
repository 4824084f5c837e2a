/* tools/sweep/local.h -- runs the tasks of a sweep on this machine, several processes at a time. */
#ifndef CLEAVE_SWEEP_LOCAL_H
#define CLEAVE_SWEEP_LOCAL_H

#include "tasks.h"

typedef struct pool_options {
    int jobs;  /* processes at a time; 0: one per GPU, or one if there is no GPU */
    int cores; /* divided between the processes; 0: all that this process may use */
    int gpus;  /* tasks whose device is auto or cuda get cuda:0 .. cuda:N-1; -1: count them */
} pool_options;

typedef struct pool_result {
    int done, failed, stopped; /* tasks; done includes those that were done before */
    int not_begun;             /* because a stage before failed, or the pool was stopped */
    bool signalled;            /* by SIGINT, SIGTERM, ... */
    int signal_number;
} pool_result;

/* Runs every task that is not done and for which wanted[task] holds (NULL: all tasks). If a task fails,
 * only those that need its result do not run. If another process has a task, waits for it.
 *
 * SIGINT, SIGTERM, SIGHUP (unless it is ignored: nohup), SIGUSR1 and SIGUSR2 stop the pool: the running tasks get SIGTERM, save their
 * state and end, then pool_run returns. A second SIGINT kills them. If this process is killed, its tasks
 * get SIGTERM.
 *
 * *out says how the tasks ended; an error means that the pool itself cannot work. */
status pool_run(const sweep_plan *, const bool *wanted, const pool_options *, pool_result *out);

/* How many GPUs the CUDA plugin can open; 0 if there is no plugin or no driver; -1 if the process that looks
 * cannot be started. */
int pool_count_gpus(void);
/* How many cores this process may use: threads_available(), or fewer if Slurm allocated fewer. */
int pool_count_cores(void);

/* The executable of another tool, beside this one. */
status tool_path(const char *tool, file_path *out);

#endif
