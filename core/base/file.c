/* core/base/file.c -- see file.h. */
#include "file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define TEMPORARY ".cleave.tmp-" /* and the PID, at the end of a file's name */

bool file_exists(const char *path)
{
    struct stat s;
    return stat(path, &s) == 0;
}

bool file_is_dir(const char *path)
{
    struct stat s;
    return stat(path, &s) == 0 && S_ISDIR(s.st_mode);
}

bool file_is_newer(const char *path, const char *than)
{
    struct stat a, b;
    if (stat(path, &a) || stat(than, &b)) return false;
    if (a.st_mtim.tv_sec != b.st_mtim.tv_sec) return a.st_mtim.tv_sec > b.st_mtim.tv_sec;
    return a.st_mtim.tv_nsec >= b.st_mtim.tv_nsec;
}

static status make_dir(const char *path)
{
    status st = OK;
    if (mkdir(path, 0777) == 0) goto out;
    if (errno != EEXIST) FAIL(ERR_RUNTIME, "cannot make the folder %s: %s", path, strerror(errno));
    if (!file_exists(path)) FAIL(ERR_RUNTIME, "cannot make the folder %s: a link to nothing is there", path);
    if (!file_is_dir(path))
        FAIL(ERR_RUNTIME, "cannot make the folder %s: a file of this name is there", path);
out:
    return st;
}

status file_make_dirs(const char *path)
{
    status st = OK;
    char *copy = NULL;
    if (!*path) FAIL(ERR_RUNTIME, "cannot make a folder with an empty name");
    TRY_ALLOC(copy, strdup(path));
    for (char *p = copy + 1; *p; p++) {
        if (*p != '/') continue;
        *p = '\0';
        TRY(make_dir(copy));
        *p = '/';
    }
    TRY(make_dir(copy));
out:
    free(copy);
    return st;
}

/* ---- opening ---- */

static const char *kind_of(mode_t mode)
{
    return S_ISDIR(mode) ? "folder" : S_ISFIFO(mode) ? "pipe" : S_ISSOCK(mode) ? "socket" : "device";
}

/* Opening must not wait for a writer of a pipe. Later reads may: a writer that is there needs time. */
static status open_to_read(const char *path, size_t max_bytes, file_kind kind, int *out)
{
    status st = OK;
    struct stat s;
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    *out = -1;
    if (fd < 0 || fstat(fd, &s) != 0) FAIL(status_of_errno(errno, ERR_DATA), "%s: %s", path, strerror(errno));
    if (S_ISDIR(s.st_mode)) FAIL(ERR_DATA, "%s: %s", path, strerror(EISDIR));
    if (!S_ISREG(s.st_mode) && kind == FILE_REGULAR)
        FAIL(ERR_DATA, "%s: a %s, not a regular file", path, kind_of(s.st_mode));
    if (S_ISREG(s.st_mode) && s.st_size > 0 && (uint64_t)s.st_size > max_bytes)
        FAIL(ERR_DATA, "%s: %lld bytes are too many; the most is %zu", path, (long long)s.st_size, max_bytes);
    if (!S_ISREG(s.st_mode) && fcntl(fd, F_SETFL, 0) != 0) FAIL(ERR_DATA, "%s: %s", path, strerror(errno));
    *out = fd;
out:
    if (st != OK && fd >= 0) close(fd);
    return st;
}

status file_open(const char *path, int *fd)
{
    return open_to_read(path, SIZE_MAX, FILE_REGULAR, fd);
}

status file_open_to_append(const char *path, int *out)
{
    status st = OK;
    struct stat s;
    const int flags = O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
    const int fd = open(path, flags, 0666);
    *out = -1;
    if (fd < 0 && errno == ENXIO) FAIL(ERR_RUNTIME, "cannot write %s: not a regular file", path);
    if (fd < 0 || fstat(fd, &s) != 0) FAIL(ERR_RUNTIME, "cannot write %s: %s", path, strerror(errno));
    if (!S_ISREG(s.st_mode))
        FAIL(ERR_RUNTIME, "cannot write %s: a %s, not a regular file", path, kind_of(s.st_mode));
    *out = fd;
out:
    if (st != OK && fd >= 0) close(fd);
    return st;
}

/* ---- reading ---- */

/* Reads in growing pieces instead of asking fstat() for the size, so pipes and growing files can be read, too. */
static status read_all(const char *path, int fd, size_t max_bytes, char **text, size_t *size)
{
    status st = OK;
    for (size_t room = 0;;) {
        if (room - *size < 2) {
            room = room ? 2 * room : 4096;
            char *larger;
            TRY_ALLOC(larger, realloc(*text, room));
            *text = larger;
        }
        const ssize_t n = read(fd, *text + *size, room - *size - 1);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) FAIL(ERR_DATA, "%s: %s", path, strerror(errno));
        if (n == 0) break;
        *size += (size_t)n;
        if (*size > max_bytes) FAIL(ERR_DATA, "%s: more than %zu bytes; that is too much", path, max_bytes);
    }
    (*text)[*size] = '\0';
out:
    return st;
}

status file_read_within(const char *path, size_t max_bytes, file_kind kind, char **out, size_t *bytes)
{
    status st = OK;
    struct stat s;
    char *text = NULL;
    size_t size = 0;
    int fd = -1;
    TRY(open_to_read(path, max_bytes, kind, &fd));
    TRY(read_all(path, fd, max_bytes, &text, &size));
    if (size == 0 && fstat(fd, &s) == 0 && S_ISFIFO(s.st_mode))
        FAIL(ERR_DATA, "%s: a pipe that nobody has written to", path);
    *out = text;
    if (bytes) *bytes = size;
    text = NULL;
out:
    free(text);
    if (fd >= 0) close(fd);
    return st;
}

status file_read(const char *path, char **out, size_t *bytes)
{
    return file_read_within(path, FILE_MAX_BYTES, FILE_REGULAR, out, bytes);
}

/* ---- temporary files ---- */

static bool lock_to_write(int fd)
{
    struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
    return fcntl(fd, F_OFD_SETLK, &whole) == 0;
}

/* PID of NAME.cleave.tmp-PID; 0 for another name. */
static long writer_of(const char *name)
{
    const char *last = NULL;
    char *end;
    for (const char *at = name; (at = strstr(at, TEMPORARY)); at++) last = at;
    if (!last || last == name || last[strlen(TEMPORARY)] < '1' || last[strlen(TEMPORARY)] > '9') return 0;
    const long pid = strtol(last + strlen(TEMPORARY), &end, 10);
    return *end ? 0 : pid;
}

bool file_is_temporary(const char *name)
{
    return writer_of(name) != 0;
}

/* Removes a temporary file if its writer has ended. Whoever holds the lock lives, perhaps on another host, or in another
 * container whose PIDs are counted anew. Where the lock is free, the PID of a living process is that of a later one, if
 * nothing was written for a minute. `mine`: it has the name of a file that this process is about to make. */
static bool remove_leftover(int folder, const char *name, long pid, bool mine)
{
    enum { MINUTE = 60, DAY = 24 * 3600 };
    struct stat s;
    bool gone = false;
    const int fd = openat(folder, name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) return false;
    if (fstat(fd, &s) == 0 && S_ISREG(s.st_mode)) {
        const double age = difftime(time(NULL), s.st_mtime);
        const bool alive = kill((pid_t)pid, 0) == 0 || errno != ESRCH;
        if (lock_to_write(fd))
            gone = mine || !alive || age > MINUTE;
        else if (errno != EAGAIN && errno != EACCES) /* a file system without locks */
            gone = mine || (!alive && age > DAY);
    }
    if (gone) gone = unlinkat(folder, name, 0) == 0;
    close(fd);
    return gone;
}

void file_remove_leftovers(const char *folder)
{
    DIR *d = opendir(folder);
    if (!d) return;
    for (struct dirent *e; (e = readdir(d));) {
        const long pid = writer_of(e->d_name);
        if (pid) remove_leftover(dirfd(d), e->d_name, pid, false);
    }
    closedir(d);
}

/* ---- writing ---- */

/* If the path is a symbolic link, its target: that is what is replaced. */
static status follow_link(const char *path, file_path *out)
{
    status st = OK;
    struct stat s;
    char *target = lstat(path, &s) == 0 && S_ISLNK(s.st_mode) ? realpath(path, NULL) : NULL;
    TRY(path_set(out, "%s", target ? target : path));
out:
    free(target);
    return st;
}

/* A pipe or a device gets its data directly. Opening must not wait for a reader of a pipe. */
static int open_stream(const char *path)
{
    const int fd = open(path, O_WRONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd >= 0) fcntl(fd, F_SETFL, 0); /* if that fails, a slow reader makes a write fail: EAGAIN */
    return fd;
}

static bool is_at(int fd, const char *path)
{
    struct stat a, b;
    return fstat(fd, &a) == 0 && lstat(path, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

/* The file is new, so nothing is written through a link that somebody has put there; what a killed process of the same PID
 * has left is removed first. The lock tells other processes that the file's writer lives. One that has locked it earlier is
 * about to remove it: then another file is made. */
static int open_temporary(const file_writer *w)
{
    const int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
    const char *path = w->temporary.s;
    file_path folder = w->path;
    file_remove_leftovers(path_to_parent(&folder) ? folder.s : ".");
    for (int tries = 0; tries < 100; tries++) {
        const int fd = open(path, flags, 0666);
        if (fd < 0 && errno != EEXIST) return -1;
        if (fd < 0 && !remove_leftover(AT_FDCWD, path, getpid(), true)) break;
        if (fd < 0) continue;
        const bool contended = !lock_to_write(fd) && (errno == EAGAIN || errno == EACCES);
        if (!contended && is_at(fd, path)) return fd;
        close(fd);
    }
    errno = EEXIST;
    return -1;
}

status file_begin(file_writer *w, const char *path)
{
    status st = OK;
    struct stat s;
    int fd = -1;
    memset(w, 0, sizeof *w);
    TRY(follow_link(path, &w->path));
    const bool is_stream = stat(path, &s) == 0 && !S_ISREG(s.st_mode) && !S_ISDIR(s.st_mode);
    if (!is_stream) TRY(path_set(&w->temporary, "%s" TEMPORARY "%ld", w->path.s, (long)getpid()));
    fd = is_stream ? open_stream(w->path.s) : open_temporary(w);
    if (fd < 0) w->temporary.s[0] = '\0'; /* if there is one, it is not this writer's */
    if (fd < 0 && !is_stream && errno == EEXIST)
        FAIL(ERR_RUNTIME, "cannot write %s: something is in the way: %s" TEMPORARY "%ld", path, w->path.s,
             (long)getpid());
    if (fd < 0 && is_stream && errno == ENXIO)
        FAIL(ERR_RUNTIME, "cannot write %s: nobody reads from it", path);
    if (fd < 0 || !(w->f = fdopen(fd, "wb"))) FAIL(ERR_RUNTIME, "cannot write %s: %s", path, strerror(errno));
    fd = -1;
out:
    if (fd >= 0) close(fd);
    if (st != OK) file_abandon(w);
    return st;
}

status file_put(file_writer *w, const void *data, size_t bytes)
{
    status st = OK;
    if (bytes > 0 && fwrite(data, 1, bytes, w->f) != bytes)
        FAIL(ERR_RUNTIME, "cannot write %s: %s", w->path.s, strerror(errno));
out:
    return st;
}

/* Flushes the file's folder, so that a rename in it survives a power failure. Some file systems cannot flush a folder
 * (EINVAL); then there is nothing to do. */
static status sync_folder(const char *path)
{
    status st = OK;
    file_path folder;
    TRY(path_set(&folder, "%s", path));
    if (!path_to_parent(&folder)) TRY(path_set(&folder, "."));
    int fd = open(folder.s, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) goto out; /* a folder may be writable, but not readable */
    int failed = fsync(fd) != 0 && errno != EINVAL && errno != ENOTSUP ? errno : 0;
    close(fd); /* nothing was written through it */
    if (failed)
        FAIL(ERR_RUNTIME, "%s is written, but its folder cannot be flushed: %s", path, strerror(failed));
out:
    return st;
}

status file_commit(file_writer *w)
{
    status st = OK;
    const bool replaces = w->temporary.s[0] != '\0';
    if (fflush(w->f) != 0 || (replaces && fsync(fileno(w->f)) != 0))
        FAIL(ERR_RUNTIME, "cannot write %s: %s", w->path.s, strerror(errno));
    /* Still open, and so locked: nobody takes it for a leftover. */
    if (replaces && rename(w->temporary.s, w->path.s) != 0)
        FAIL(ERR_RUNTIME, "cannot replace %s: %s", w->path.s, strerror(errno));
    w->temporary.s[0] = '\0';
    const int closed = fclose(w->f); /* releases the stream even if it fails */
    w->f = NULL;
    if (closed != 0 && !replaces) /* after fsync, closing can lose nothing */
        FAIL(ERR_RUNTIME, "cannot write %s: %s", w->path.s, strerror(errno));
    if (replaces) TRY(sync_folder(w->path.s));
out:
    file_abandon(w);
    return st;
}

void file_abandon(file_writer *w)
{
    if (w->f) fclose(w->f); /* the result does not matter: the content is discarded */
    if (w->temporary.s[0]) unlink(w->temporary.s);
    w->f = NULL;
    w->temporary.s[0] = '\0';
}

status file_replace(const char *path, const void *data, size_t bytes)
{
    status st = OK;
    file_writer w;
    TRY(file_begin(&w, path));
    TRY(file_put(&w, data, bytes));
    TRY(file_commit(&w));
out:
    if (st != OK) file_abandon(&w);
    return st;
}

status file_remove_matching(const char *folder, const char *pattern)
{
    status st = OK;
    DIR *d = opendir(folder);
    if (!d) FAIL(ERR_RUNTIME, "%s: %s", folder, strerror(errno));
    for (struct dirent *e; (e = readdir(d));)
        if (!fnmatch(pattern, e->d_name, FNM_EXTMATCH) && unlinkat(dirfd(d), e->d_name, 0))
            FAIL(ERR_RUNTIME, "%s/%s cannot be removed: %s", folder, e->d_name, strerror(errno));
out:
    if (d) closedir(d);
    return st;
}

static bool write_all(int fd, const char *data, size_t left)
{
    while (left > 0) {
        ssize_t n = write(fd, data, left);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return false;
        data += n;
        left -= (size_t)n;
    }
    return true;
}

status file_append(const char *path, const void *head, size_t head_bytes, const void *data, size_t bytes)
{
    status st = OK;
    struct stat s;
    int fd = -1;
    TRY(file_open_to_append(path, &fd));
    if (fstat(fd, &s) != 0) FAIL(ERR_RUNTIME, "cannot write %s: %s", path, strerror(errno));
    if ((s.st_size == 0 && !write_all(fd, head, head_bytes)) || !write_all(fd, data, bytes) ||
        fsync(fd) != 0) {
        int why = errno;
        bool undone = ftruncate(fd, s.st_size) == 0;
        FAIL(ERR_RUNTIME, "cannot write %s: %s%s", path, strerror(why), undone ? "" : "; half of it is left");
    }
    int closed = close(fd);
    fd = -1;
    if (closed != 0) FAIL(ERR_RUNTIME, "cannot write %s: %s", path, strerror(errno));
out:
    if (fd >= 0) close(fd);
    return st;
}

uint64_t file_hash(const void *data, size_t bytes)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (const unsigned char *p = data, *end = p + bytes; p < end; p++) h = (h ^ *p) * 0x100000001b3u;
    return h;
}
