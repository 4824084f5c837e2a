/* core/base/text.h -- small operations on text. */
#ifndef CLEAVE_TEXT_H
#define CLEAVE_TEXT_H

#include "status.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

/* snprintf that fails instead of truncating. ERR_RUNTIME: the text does not fit; then out is "". */
status text_format(char *out, size_t bytes, const char *format, ...) __attribute__((format(printf, 3, 4)));
status text_vformat(char *out, size_t bytes, const char *format, va_list);

bool text_ends_with(const char *text, const char *end);

#endif
