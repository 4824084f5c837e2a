/* core/base/log.h -- messages for people, on stderr, because stdout is for results, and if wanted also in a file of
 * the run directory. Any thread may log; messages do not mix. */
#ifndef CLEAVE_LOG_H
#define CLEAVE_LOG_H

#include "status.h"
#include <stdbool.h>

typedef enum log_level { LOG_QUIET, LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG } log_level;

void log_set_level(log_level); /* of stderr, LOG_INFO at first; the file always gets LOG_INFO and above */
log_level log_get_level(void);
status log_open(const char *path, bool append); /* also write to this file; NULL closes it */

/* Names of files, classes and layers come from outside: what a terminal would obey instead of showing (escape
 * sequences, line breaks) is spelled out, so a message is one line (text_visible).
 * No prefix: the message of an error names a tool or file. */
void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_warn(const char *format, ...)
    __attribute__((format(printf, 1, 2))); /* with the prefix "warning: " */
void log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Shows a line at the bottom of the terminal, for core/base/progress.c. It is erased before each message and drawn
 * again after it. At most 511 bytes, without newline; NULL or "" removes it. */
void log_bottom_line(const char *text);

#endif
