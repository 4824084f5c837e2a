/* core/base/log.h -- messages for people: always on stderr (stdout belongs to results), optionally also in a
 * file of the run directory. Any thread may log; a message is written whole. */
#ifndef CLEAVE_LOG_H
#define CLEAVE_LOG_H

#include "status.h"
#include <stdbool.h>

typedef enum log_level { LOG_QUIET, LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG } log_level;

void log_set_level(log_level); /* of stderr; the file always gets LOG_INFO and above. Default LOG_INFO */
log_level log_get_level(void);
status log_open(const char *path, bool append); /* also write to this file; NULL closes it */

void log_error(const char *format, ...)
    __attribute__((format(printf, 1, 2))); /* as it is: it names tool or file */
void log_warn(const char *format, ...) __attribute__((format(printf, 1, 2))); /* prefixed "warning: " */
void log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* A line at the bottom of the terminal (core/base/progress.c) that steps aside for messages: erased before
 * each, drawn again after it. At most 511 bytes, without newline; NULL or "" takes it away. */
void log_bottom_line(const char *text);

#endif
