/* core/base/log.c -- see log.h. One lock protects stderr, the log file and the bottom line. */
#include "log.h"

#include "clock.h"
#include "file.h"
#include "text.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static log_level level = LOG_INFO;
static FILE *file;       /* NULL: none */
static char bottom[512]; /* the line at the bottom of the terminal; "": none */

void log_set_level(log_level l)
{
    pthread_mutex_lock(&lock);
    level = l;
    pthread_mutex_unlock(&lock);
}

log_level log_get_level(void)
{
    pthread_mutex_lock(&lock);
    log_level l = level;
    pthread_mutex_unlock(&lock);
    return l;
}

status log_open(const char *path, bool append)
{
    status st = OK;
    int fd = -1;
    pthread_mutex_lock(&lock);
    if (file) fclose(file); /* every line was flushed when it was written */
    file = NULL;
    if (!path) goto out;
    TRY(file_open_to_append(path, &fd));
    if ((!append && ftruncate(fd, 0) != 0) || !(file = fdopen(fd, "a")))
        FAIL(ERR_RUNTIME, "cannot write %s: %s", path, strerror(errno));
    fd = -1;
out:
    if (fd >= 0) close(fd);
    pthread_mutex_unlock(&lock);
    return st;
}

/* Moves to column 0 and erases to the end of the line. */
static const char *erase_bottom(void)
{
    return bottom[0] ? "\r\033[K" : "";
}

/* A single fprintf writes the whole message: stderr is unbuffered, and several processes may share it. Results are
 * not checked, because a full disk must not end a training just for its log. */
static void write_message(log_level l, const char *prefix, const char *format, va_list args)
{
    char written[2048], text[4096];
    vsnprintf(written, sizeof written, format, args);
    text_visible(written, text, sizeof text);
    pthread_mutex_lock(&lock);
    if (l <= level) fprintf(stderr, "%s%s%s\n%s", erase_bottom(), prefix, text, bottom);
    if (file && l <= LOG_INFO) {
        fprintf(file, "%s %s%s\n", time_stamp_now().s, prefix, text);
        fflush(file);
    }
    pthread_mutex_unlock(&lock);
}

#define WRITE(l, prefix)                                                                                     \
    do {                                                                                                     \
        va_list args;                                                                                        \
        va_start(args, format);                                                                              \
        write_message((l), (prefix), format, args);                                                          \
        va_end(args);                                                                                        \
    } while (0)

void log_error(const char *format, ...)
{
    WRITE(LOG_ERROR, "");
}

void log_warn(const char *format, ...)
{
    WRITE(LOG_WARN, "warning: ");
}

void log_info(const char *format, ...)
{
    WRITE(LOG_INFO, "");
}

void log_debug(const char *format, ...)
{
    WRITE(LOG_DEBUG, "");
}

void log_bottom_line(const char *text)
{
    pthread_mutex_lock(&lock);
    const char *erase = erase_bottom();
    text_visible(text ? text : "", bottom, sizeof bottom);
    fprintf(stderr, "%s%s", erase, bottom);
    pthread_mutex_unlock(&lock);
}
