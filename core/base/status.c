/* core/base/status.c -- see status.h. Each thread has its own message and place. */
#include "status.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

enum { MESSAGE_BYTES = 1024, PLACE_BYTES = 128 };

static _Thread_local char message[MESSAGE_BYTES];
static atomic_bool ran_out;
static _Thread_local char place[PLACE_BYTES];

/* The message is one line. Parts of it come from files, so newlines and escape sequences in a hostile name must not
 * reach the terminal. */
static void store(const char *text)
{
    size_t n = strnlen(text, MESSAGE_BYTES - 1);
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)text[i];
        message[i] = c == '\n' || c == '\r' || c == '\t' ? ' ' : c < 0x20 || c == 0x7f ? '?' : (char)c;
    }
    while (n > 0 && message[n - 1] == ' ') n--;
    message[n] = '\0';
}

/* Formats into a buffer of its own, because arguments may point into `message`. */
status status_set(status code, const char *file, int line, const char *format, ...)
{
    char text[MESSAGE_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    store(text);
    snprintf(place, sizeof place, "%s:%d", file, line);
    return code;
}

status status_prefix(status code, const char *format, ...)
{
    char text[2 * MESSAGE_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(text, MESSAGE_BYTES, format, args);
    va_end(args);
    size_t n = strlen(text);
    snprintf(text + n, sizeof text - n, ": %s", message);
    store(text);
    return code;
}

status status_of_errno(int error, status otherwise)
{
    if (error != ENOMEM && error != EMFILE && error != ENFILE && error != EAGAIN) return otherwise;
    ran_out = true;
    return ERR_RUNTIME;
}

bool status_ran_out(void)
{
    return ran_out;
}

const char *status_message(void)
{
    return message;
}

const char *status_place(void)
{
    return place;
}
