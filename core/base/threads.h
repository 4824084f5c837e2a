/* core/base/threads.h -- how many OpenMP threads there are, and how they wait for each other. */
#ifndef CLEAVE_THREADS_H
#define CLEAVE_THREADS_H

#include "status.h"

/* Makes waiting threads sleep instead of spin. Call it first in main with main's argv. libgomp reads its settings
 * before main, so this sets OMP_WAIT_POLICY=passive and starts the program once more; a value set by the user stays.
 * A thread that spins at a barrier keeps a core busy that the thread it waits for may need, as soon as anything else
 * runs, such as the loader's thread or another job. Measured with resnet20 on 2 cores beside one busy process: 74
 * images/s spinning, 490 sleeping. */
void threads_sleep_when_waiting(char **argv);

/* First of all in main: kernels need half a megabyte of stack. Raises a lower soft limit (ulimit -s) and the size that new
 * threads get. ERR_RUNTIME: the hard limit is lower; ERR_USAGE: OMP_STACKSIZE is. */
status threads_check_stack(void);

enum { THREADS_MAX = 4096 };

/* For main, before any parallel work: checks OMP_NUM_THREADS and OMP_THREAD_LIMIT, which libgomp takes as they are, and
 * starts with threads_available() threads. A team always gets the threads that it asks for: with OMP_DYNAMIC it might
 * get fewer, for which oneDNN waits for ever. ERR_USAGE names the variable and what it takes. */
status threads_start(void);

/* How many threads this process can keep busy, at least 1: the smallest of the machine's cores, the process' affinity,
 * the CPU quota of its cgroup, OMP_NUM_THREADS (its first number) and the limits of OpenMP (OMP_THREAD_LIMIT;
 * OMP_MAX_ACTIVE_LEVELS=0 means one thread). */
int threads_available(void);

/* `asked`, or threads_available() if that is 0; but at most OMP_THREAD_LIMIT, and 1 with OMP_MAX_ACTIVE_LEVELS=0: says
 * once if that is fewer than asked. */
int threads_choose(int asked);

/* The CPU quota of a process in CPUs, rounded up; 0 if there is none. `self`: the list of its cgroups,
 * "/proc/self/cgroup". `root`: where cgroups are mounted, "/sys/fs/cgroup". Reads version 2 (cpu.max) and version 1
 * (cpu.cfs_quota_us, cpu.cfs_period_us). A group's limit holds for all groups inside it, so the smallest one counts. */
int threads_of_cgroup(const char *self, const char *root);

#endif
