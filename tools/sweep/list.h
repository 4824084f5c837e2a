/* tools/sweep/list.h -- arrays that grow, paths and texts that are allocated. */
#ifndef CLEAVE_SWEEP_LIST_H
#define CLEAVE_SWEEP_LIST_H

#include "../../core/base/status.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* Makes room for one more zeroed element in an array of `n`: list_grow(&array, n, sizeof *array), then n++.
 */
status list_grow(void *array, unsigned n, size_t element_bytes);
/* Appends a copy of the text. */
status list_add_text(char ***list, unsigned *n, const char *text);
void list_free_texts(char **list, unsigned n);
bool list_has_text(char *const *list, unsigned n, const char *text);

/* printf into new memory. The caller frees. */
status text_make(char **out, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* In double quotes, escaped as JSON and YAML read it. */
void text_put_quoted(FILE *, const char *text);

/* The last component of a path. */
const char *path_name(const char *path);

#endif
