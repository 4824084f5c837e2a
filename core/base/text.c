/* core/base/text.c -- text.h and path.h. */
#include "text.h"
#include "path.h"

#include <stdio.h>
#include <string.h>

status text_vformat(char *out, size_t bytes, const char *format, va_list args)
{
    status st = OK;
    const int n = vsnprintf(out, bytes, format, args);
    if (n < 0 || (size_t)n >= bytes) {
        if (bytes) out[0] = '\0';
        FAIL(ERR_RUNTIME, "path too long: %d bytes, at most %zu", n, bytes ? bytes - 1 : 0);
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

status path_set(file_path *out, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const status st = text_vformat(out->s, sizeof out->s, format, args);
    va_end(args);
    return st;
}

bool text_ends_with(const char *text, const char *end)
{
    const size_t n = strlen(text), m = strlen(end);
    return n >= m && memcmp(text + n - m, end, m) == 0;
}

const char *path_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}
