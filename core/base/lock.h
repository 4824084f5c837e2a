/* core/base/lock.h -- one writer per folder: the folder of a run, an analysis or a sweep.
 *
 * The kernel holds the lock on DIR/lock (an "open file description" lock, which works over NFS, too) and releases it
 * when the process ends in any way: a crash leaves the file, but it is not locked. The file names the holder: process,
 * host and time. Taking the lock removes temporary files of killed processes from the folder. */
#ifndef CLEAVE_LOCK_H
#define CLEAVE_LOCK_H

#include "path.h"
#include "status.h"

#include <stdbool.h>
#include <stddef.h>

typedef struct dir_lock {
    int fd; /* the file descriptor + 1, so that a zeroed dir_lock holds nothing */
    file_path dir;
    size_t existed; /* length of the part of dir that existed before; lock_take made the rest */
} dir_lock;

typedef struct lock_holder {
    long pid; /* 0: not known, or not yet written */
    char host[256], since[32];
} lock_holder;

/* Makes the folder if it is missing, and locks it. If another process holds the lock, waits for it; STOPPED: a signal
 * (core/base/stop.h) ended the wait. Without `wait`, ERR_RUNTIME says who holds it. ERR_RUNTIME, too: DIR/lock
 * is a link, or a file that this program did not write; it stays as it is. On a file system without locks,
 * warns and succeeds. */
status lock_take(const char *dir, bool wait, dir_lock *out);
/* The same without waiting: if another process holds the lock, *taken is false, and that is no failure. */
status lock_try(const char *dir, dir_lock *out, bool *taken);
/* Releases the lock. Removes DIR/lock and those folders that lock_take made and that are empty. A zeroed lock is
 * harmless. */
void lock_release(dir_lock *);

/* Is the folder locked? *who receives the holder; `who` may be NULL. False if there is no such folder. */
bool lock_is_held(const char *dir, lock_holder *who);

#endif
