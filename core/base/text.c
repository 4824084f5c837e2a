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

int text_character(const char *text)
{
    const unsigned char *s = (const unsigned char *)text;
    const int bytes = !s[0]         ? 0
                      : s[0] < 0x80 ? 1
                      : s[0] < 0xc2 ? 0
                      : s[0] < 0xe0 ? 2
                      : s[0] < 0xf0 ? 3
                      : s[0] < 0xf5 ? 4
                                    : 0;
    for (int k = 1; k < bytes; k++)
        if ((s[k] & 0xc0) != 0x80) return 0;
    if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] >= 0xa0)) return 0; /* too long; a surrogate */
    if ((s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] >= 0x90)) return 0;
    return bytes;
}

void text_to_utf8(char *text)
{
    for (int n; *text; text += n ? n : 1)
        if (!(n = text_character(text))) *text = '?';
}

/* Code points of 2 and 3 bytes that a terminal obeys instead of showing: U+0080 to U+009F, U+2028 to U+202E, U+2066 to
 * U+2069. 0: another character. */
static unsigned hidden_point(const unsigned char *s, int n)
{
    if (n == 2 && s[0] == 0xc2 && s[1] < 0xa0) return s[1];
    const unsigned point =
        n == 3 ? (unsigned)(s[0] & 15) << 12 | (unsigned)(s[1] & 63) << 6 | (s[2] & 63) : 0;
    const bool hidden = (point >= 0x2028 && point <= 0x202e) || (point >= 0x2066 && point <= 0x2069);
    return hidden ? point : 0;
}

const char *text_visible(const char *text, char *out, size_t bytes)
{
    size_t at = 0;
    while (*text && bytes) {
        char piece[8];
        const unsigned char *s = (const unsigned char *)text;
        const int n = text_character(text);
        const unsigned point = hidden_point(s, n);
        if (point)
            snprintf(piece, sizeof piece, "\\u%04x", point);
        else if (n == 0 || s[0] < 0x20 || s[0] == 0x7f)
            snprintf(piece, sizeof piece, "\\x%02x", s[0]);
        else
            snprintf(piece, sizeof piece, "%.*s", n, text);
        const size_t length = strlen(piece);
        if (at + length >= bytes) break;
        memcpy(out + at, piece, length);
        at += length;
        text += n ? n : 1;
    }
    if (bytes) out[at] = '\0';
    return out;
}

bool text_is_formula(const char *text)
{
    return *text && strchr("=+-@\t\r", *text);
}
