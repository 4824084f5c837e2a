/* core/base/text.c -- see text.h. */
#include "text.h"

#include <stdio.h>
#include <string.h>

status text_vformat(char *out, size_t bytes, const char *format, va_list args)
{
    status st = OK;
    const int n = vsnprintf(out, bytes, format, args);
    if (n < 0 || (size_t)n >= bytes) {
        char start[64];
        snprintf(start, sizeof start, "%s", n < 0 || !bytes ? "" : out);
        if (bytes) out[0] = '\0';
        FAIL(ERR_RUNTIME, "path or text of %d bytes, but at most %zu fit: %s...", n, bytes ? bytes - 1 : 0,
             start);
    }
out:
    return st;
}

status text_format(char *out, size_t bytes, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const status st = text_vformat(out, bytes, format, args);
    va_end(args);
    return st;
}

bool text_ends_with(const char *text, const char *end)
{
    const size_t n = strlen(text), m = strlen(end);
    return n >= m && memcmp(text + n - m, end, m) == 0;
}
