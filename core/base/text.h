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

/* Bytes of the UTF-8 character at the start of the text, 1 to 4; 0: there is none (a stray byte, an overlong form, a
 * surrogate, the end). */
int text_character(const char *);
/* Replaces each byte that is not part of a UTF-8 character by "?". */
void text_to_utf8(char *text);
/* A text from outside, such as a file's name, as it may be shown on a terminal: control characters, stray bytes and
 * marks that turn the direction of writing are spelled out (\x1b, \u202e), everything else stays. At most bytes - 1
 * bytes, whole characters. Returns out. */
const char *text_visible(const char *text, char *out, size_t bytes);

/* True for a text that a spreadsheet would run as a formula: it begins with = + - @, a tab or a carriage return. In a
 * CSV file it gets a "'" in front, which spreadsheets do not show. */
bool text_is_formula(const char *);

bool text_ends_with(const char *text, const char *end);

#endif
