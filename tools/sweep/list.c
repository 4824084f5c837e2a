/* tools/sweep/list.c -- see list.h. */
#include "list.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The capacity is always n rounded up to a power of two, so it is not stored. */
status list_grow(void *array, unsigned n, size_t element_bytes)
{
    status st = OK;
    void *old, *larger;
    memcpy(&old, array, sizeof old);
    if ((n & (n - 1)) == 0) { /* full or empty */
        TRY_ALLOC(larger, reallocarray(old, n ? 2 * (size_t)n : 1, element_bytes));
        memcpy(array, &larger, sizeof larger);
        old = larger;
    }
    memset((char *)old + n * element_bytes, 0, element_bytes);
out:
    return st;
}

status list_add_text(char ***list, unsigned *n, const char *text)
{
    status st = OK;
    TRY(list_grow(list, *n, sizeof **list));
    TRY_ALLOC((*list)[*n], strdup(text));
    (*n)++;
out:
    return st;
}

void list_free_texts(char **list, unsigned n)
{
    for (unsigned i = 0; i < n; i++) free(list[i]);
    free(list);
}

bool list_has_text(char *const *list, unsigned n, const char *text)
{
    for (unsigned i = 0; i < n; i++)
        if (strcmp(list[i], text) == 0) return true;
    return false;
}

status text_make(char **out, const char *format, ...)
{
    status st = OK;
    va_list args;
    va_start(args, format);
    int n = vasprintf(out, format, args);
    va_end(args);
    if (n < 0) {
        *out = NULL;
        FAIL(ERR_RUNTIME, "out of memory");
    }
out:
    return st;
}

void text_put_quoted(FILE *f, const char *text)
{
    fputc('"', f);
    for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
        if (*c == '"' || *c == '\\') fputc('\\', f);
        if (*c < 0x20)
            fprintf(f, "\\u%04x", *c);
        else
            fputc(*c, f);
    }
    fputc('"', f);
}
