/* tools/sweep/child.h -- one task as a process: started, told to stop, its end understood. */
#ifndef CLEAVE_SWEEP_CHILD_H
#define CLEAVE_SWEEP_CHILD_H

#include "../../core/base/lock.h"
#include "state.h"
#include <sys/types.h>

typedef struct child {
    int task;
    pid_t pid; /* 0: this slot is free */
    dir_lock lock;
    double started; /* monotonic */
    long log_start; /* where in log.txt this attempt begins */
} child;

/* Starts the tool of a task whose folder's lock is in c->lock: messages to log.txt, --json to result.json,
 * which appears when it ends well. `threads` and `device` are given to it (device NULL: left as it is). It
 * gets SIGTERM when this process dies, and is in a process group of its own. */
status child_start(const sweep_plan *, child *c, int threads, const char *device);

void child_stop(const child *); /* SIGTERM */
void child_kill(const child *); /* SIGKILL to the whole group */

/* After waitpid: writes the record, releases the lock, frees the slot. `stopping`: this process asked for it.
 * *reason (at least 512 bytes) is why it did not end well; "" if it did. */
status child_end(const sweep_plan *, child *c, int wait_status, bool stopping, task_state *out, char *reason);

/* The executable of another tool: beside this one. */
status tool_path(const char *tool, char *out, size_t bytes);

#endif
