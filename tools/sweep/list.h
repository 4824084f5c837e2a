/* tools/sweep/list.h -- arrays that grow, and texts in memory of their own. */
#ifndef CLEAVE_SWEEP_LIST_H
#define CLEAVE_SWEEP_LIST_H

#include "../../core/base/status.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* Makes room for one more element, set to zero, in an array of n: list_grow(&array, n, sizeof *array);
 * n++. */
status list_grow(void *array, unsigned n, size_t element_bytes);
/* Appends a copy of the text. */
status list_add_text(char ***list, unsigned *n, const char *text);
void list_free_texts(char **list, unsigned n);
bool list_has_text(char *const *list, unsigned n, const char *text);

/* printf into new memory; *out is NULL on failure. The caller frees. */
status text_make(char **out, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The text in double quotes, escaped so that JSON and YAML read the same text back. */
void text_put_quoted(FILE *, const char *text);

#endif
