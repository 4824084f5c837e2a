/* core/base/lock.c -- the kernel does the locking; this file records the holder and removes what is left over. */
#include "lock.h"

#include "clock.h"
#include "file.h"
#include "host.h"
#include "log.h"
#include "stop.h"
#include "text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* Nothing is opened through a link, and nobody is waited for. */
enum { LOCK_FLAGS = O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY };
enum { HOLDER_BYTES = 320 };
static const struct timespec BETWEEN_TRIES = { 0, 200000000 };

static bool same_file(int fd, const char *path)
{
    struct stat a, b;
    return fstat(fd, &a) == 0 && lstat(path, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

static void read_holder(int fd, lock_holder *who)
{
    char text[HOLDER_BYTES] = "";
    *who = (lock_holder){ 0 };
    if (pread(fd, text, sizeof text - 1, 0) > 0)
        sscanf(text, "%ld %255s %31s", &who->pid, who->host, who->since);
}

/* Is the open file one that write_holder has written, or a new one? A user's own file of this name is not to be touched. */
static bool is_lock_file(int fd)
{
    struct stat s;
    lock_holder who;
    if (fstat(fd, &s) != 0 || !S_ISREG(s.st_mode)) return false;
    if (s.st_size == 0) return true;
    read_holder(fd, &who);
    return who.pid > 0 && strlen(who.since) == strlen("2026-11-30T20:28:35Z") &&
           text_ends_with(who.since, "Z") && s.st_size < HOLDER_BYTES;
}

static bool no_locks_here(int error)
{
    return error == ENOLCK || error == ENOSYS || error == EOPNOTSUPP;
}

/* Writes the holder into the file, for people and for lock_is_held; the lock itself does not need it. */
static void write_holder(int fd)
{
    if (ftruncate(fd, 0) == 0) dprintf(fd, "%ld %s %s\n", (long)getpid(), host_name().s, time_stamp_now().s);
}

/* Length of the longest prefix of a path that exists: 4, "runs", for "runs/demo/x" if there is no runs/demo. */
static size_t existing_part(const file_path *dir)
{
    file_path part = *dir;
    while (!file_exists(part.s))
        if (!path_to_parent(&part)) return 0;
    return strlen(part.s);
}

static void remove_made_dirs(const dir_lock *l)
{
    file_path part = l->dir;
    while (strlen(part.s) > l->existed && rmdir(part.s) == 0 && path_to_parent(&part)) continue;
}

/* lock_release in another process may remove folders while this one makes them, and the file before this one locks
 * it. Then lock_try starts over. It gives up after TRIES, because a folder that can never be made (below a link to
 * nothing, or a working directory that was removed) gives the same error. */
enum { TRIES = 1000 };

status lock_try(const char *dir, dir_lock *out, bool *taken)
{
    status st = OK;
    file_path file;
    struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
    int fd = -1;
    *out = (dir_lock){ 0 };
    *taken = false;
    TRY(path_set(&out->dir, "%s", dir));
    TRY(path_set(&file, "%s/lock", dir));
    for (int tries = TRIES;; tries--) {
        out->existed = existing_part(&out->dir);
        errno = 0;
        st = file_make_dirs(dir);
        if (st != OK && errno == ENOENT && *dir && tries > 0) continue;
        if (st != OK) goto out;
        fd = open(file.s, O_RDWR | O_CREAT | LOCK_FLAGS, 0666);
        if (fd < 0 && errno == ENOENT && tries > 0) continue;
        if (fd < 0 && errno == ELOOP)
            FAIL(ERR_RUNTIME, "cannot lock %s: %s is a symbolic link, not a lock", dir, file.s);
        if (fd < 0) FAIL(ERR_RUNTIME, "cannot write %s: %s", file.s, strerror(errno));
        if (!is_lock_file(fd))
            FAIL(ERR_RUNTIME,
                 "cannot lock %s: %s is not a lock of this program; move it, or choose another folder", dir,
                 file.s);
        int failed = fcntl(fd, F_OFD_SETLK, &whole) == 0 ? 0 : errno;
        if (failed == EAGAIN || failed == EACCES) goto out; /* another process holds it */
        if (failed && !no_locks_here(failed))
            FAIL(ERR_RUNTIME, "cannot lock %s: %s", file.s, strerror(failed));
        if (failed) log_warn("%s: this file system has no locks: start nothing else on this folder", dir);
        if (same_file(fd, file.s)) break;
        close(fd);
    }
    write_holder(fd);
    file_remove_leftovers(dir);
    out->fd = fd + 1;
    fd = -1;
    *taken = true;
out:
    if (fd >= 0) close(fd);
    return st;
}

static void describe(const char *dir, char *out, size_t bytes)
{
    lock_holder who = { 0 };
    lock_is_held(dir, &who);
    if (who.pid)
        snprintf(out, bytes, "process %ld on %.120s works here since %s", who.pid, who.host, who.since);
    else
        snprintf(out, bytes, "another process works here");
}

status lock_take(const char *dir, bool wait, dir_lock *out)
{
    status st = OK;
    bool taken = false, said = false;
    char who[256];
    for (;;) {
        TRY(lock_try(dir, out, &taken));
        if (taken) break;
        describe(dir, who, sizeof who);
        if (!wait) FAIL(ERR_RUNTIME, "%s: %s", dir, who);
        if (!said) log_info("%s: %s; waiting for it", dir, who);
        said = true;
        if (stop_requested()) FAIL(STOPPED, "stopped by %s while waiting for %s", stop_signal(), dir);
        nanosleep(&BETWEEN_TRIES, NULL); /* a signal ends it early */
    }
out:
    return st;
}

/* The file is removed while it is still locked. A process that waits for it notices (same_file) and makes a new
 * one. */
void lock_release(dir_lock *l)
{
    file_path file;
    if (!l->fd) return;
    if (path_set(&file, "%s/lock", l->dir.s) == OK) unlink(file.s);
    remove_made_dirs(l);
    close(l->fd - 1); /* a failure would lose only the holder's name */
    l->fd = 0;
}

bool lock_is_held(const char *dir, lock_holder *who)
{
    file_path file;
    struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
    if (path_set(&file, "%s/lock", dir) != OK) return false;
    int fd = open(file.s, O_RDONLY | LOCK_FLAGS);
    if (fd < 0) return false;
    bool held = fcntl(fd, F_OFD_GETLK, &whole) == 0 && whole.l_type != F_UNLCK;
    if (held && who) read_holder(fd, who);
    close(fd);
    return held;
}
