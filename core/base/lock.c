/* core/base/lock.c -- the kernel does the work; what is left is to say who, and to tidy up. */
#include "lock.h"

#include "file.h"
#include "log.h"
#include "stop.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const struct timespec BETWEEN_TRIES = { 0, 200000000 };

static bool same_file(int fd, const char *path)
{
    struct stat a, b;
    return fstat(fd, &a) == 0 && stat(path, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

static bool without_locks(int error)
{
    return error == ENOLCK || error == ENOSYS || error == EOPNOTSUPP;
}

/* For people and for lock_is_held; the lock itself does not depend on it. */
static void sign(int fd)
{
    char host[256] = "", since[32] = "";
    time_t now = time(NULL);
    struct tm tm;
    if (gethostname(host, sizeof host - 1) != 0) host[0] = '\0';
    if (gmtime_r(&now, &tm)) strftime(since, sizeof since, "%Y-%m-%dT%H:%M:%SZ", &tm);
    if (ftruncate(fd, 0) == 0) dprintf(fd, "%ld %s %s\n", (long)getpid(), host, since);
}

static void read_holder(int fd, lock_holder *who)
{
    char text[320] = "";
    *who = (lock_holder){ 0 };
    if (pread(fd, text, sizeof text - 1, 0) > 0)
        sscanf(text, "%ld %255s %31s", &who->pid, who->host, who->since);
}

/* Length of the longest beginning of a path that exists: "runs" of "runs/demo/x". */
static size_t existing_part(const char *dir)
{
    char part[4096];
    snprintf(part, sizeof part, "%s", dir);
    while (!file_exists(part)) {
        char *slash = strrchr(part, '/');
        if (!slash) return 0;
        *slash = '\0';
    }
    return strlen(part);
}

static void remove_made_dirs(const dir_lock *l)
{
    char part[4096];
    snprintf(part, sizeof part, "%s", l->dir);
    while (strlen(part) > l->there && rmdir(part) == 0) {
        char *slash = strrchr(part, '/');
        if (!slash) break;
        *slash = '\0';
    }
}

/* Folders may vanish while they are made or before the file is, and the file before it is locked, when
 * lock_release of another process tidies up: then all is made anew. Not for ever: where nothing can be made (a
 * link to nothing, a working directory that was removed), it is the same error. */
enum { TRIES = 1000 };

status lock_try(const char *dir, dir_lock *out, bool *taken)
{
    status st = OK;
    char path[4200];
    struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
    int fd = -1;
    *out = (dir_lock){ 0 };
    *taken = false;
    TRY(text_format(out->dir, sizeof out->dir, "%s", dir));
    TRY(text_format(path, sizeof path, "%s/lock", dir));
    for (int tries = TRIES;; tries--) {
        out->there = existing_part(dir);
        errno = 0;
        st = file_make_dirs(dir);
        if (st != OK && errno == ENOENT && *dir && tries > 0) continue;
        if (st != OK) goto out;
        fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
        if (fd < 0 && errno == ENOENT && tries > 0) continue;
        if (fd < 0) FAIL(ERR_RUNTIME, "cannot write %s: %s", path, strerror(errno));
        int failed = fcntl(fd, F_OFD_SETLK, &whole) == 0 ? 0 : errno;
        if (failed == EAGAIN || failed == EACCES) goto out; /* another process has it */
        if (failed && !without_locks(failed)) FAIL(ERR_RUNTIME, "cannot lock %s: %s", path, strerror(failed));
        if (failed) log_warn("%s: this file system has no locks: start nothing else on this folder", dir);
        if (same_file(fd, path)) break;
        close(fd);
    }
    sign(fd);
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
        nanosleep(&BETWEEN_TRIES, NULL); /* a signal may cut it short */
    }
out:
    return st;
}

/* The file goes while it is still locked: whoever waits for it sees that and makes a new one. */
void lock_release(dir_lock *l)
{
    char path[4200];
    if (!l->fd) return;
    if (text_format(path, sizeof path, "%s/lock", l->dir) == OK) unlink(path);
    remove_made_dirs(l);
    close(l->fd - 1); /* nothing to flush: only the holder's name was written */
    l->fd = 0;
}

bool lock_is_held(const char *dir, lock_holder *who)
{
    char path[4200];
    struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
    if (text_format(path, sizeof path, "%s/lock", dir) != OK) return false;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return false;
    bool held = fcntl(fd, F_OFD_GETLK, &whole) == 0 && whole.l_type != F_UNLCK;
    if (held && who) read_holder(fd, who);
    close(fd);
    return held;
}
