/* core/base/lock.h -- one writer per folder: of a run, of an analysis, of a sweep.
 *
 * A lock of the kernel on DIR/lock (an "open file description" lock: works over NFS too). It goes with the
 * process, however that ends: a crash leaves no stale lock, only a file that is free. The file says who holds
 * it: process, host, time. Whoever gets the lock removes the half-written files of those that were killed. */
#ifndef CLEAVE_LOCK_H
#define CLEAVE_LOCK_H

#include "status.h"
#include <stdbool.h>
#include <stddef.h>

typedef struct dir_lock {
    int fd; /* + 1: a zeroed lock is none */
    char dir[4096];
    size_t there; /* so many bytes of dir name what was there before; lock_take made the rest */
} dir_lock;

typedef struct lock_holder {
    long pid; /* 0: not known (yet) */
    char host[256], since[32];
} lock_holder;

/* Makes the folder if it is missing and locks it. If another process has it: waits (a signal ends that:
 * STOPPED), or without `wait` fails with ERR_RUNTIME and who it is. Where the file system has no locks: a
 * warning, and it goes on.
 */
status lock_take(const char *dir, bool wait, dir_lock *out);
/* The same without waiting; a folder that another process has is no failure: *taken false. */
status lock_try(const char *dir, dir_lock *out, bool *taken);
/* Removes the file, and the folders that lock_take made and that nothing else is in. A zeroed lock is
 * harmless. */
void lock_release(dir_lock *);

/* Is the folder locked? By whom goes to *who (may be NULL). No such folder: no. */
bool lock_is_held(const char *dir, lock_holder *who);

#endif
