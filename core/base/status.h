/* core/base/status.h -- how errors travel.
 *
 * A function that can fail returns a status. The place of the failure stores one line that a user can act on (file,
 * line, numbers, what would be right); its callers only pass the code up:
 *
 *     status net_load(net *n, const char *path)
 *     {
 *         status st = OK;
 *         FILE *f = fopen(path, "rb");
 *         if (!f) FAIL(ERR_DATA, "%s: %s", path, strerror(errno));
 *         TRY(read_header(f, n));
 *     out:
 *         if (f) fclose(f);
 *         return st;
 *     }
 *
 * The codes are the exit codes of the tools: main() returns the status. */
#ifndef CLEAVE_STATUS_H
#define CLEAVE_STATUS_H

#include <errno.h>
#include <stdbool.h>

typedef enum status {
    OK = 0,
    ERR_RUNTIME = 1,  /* out of memory, disk full, a library failed */
    ERR_USAGE = 2,    /* command line or config */
    ERR_DATA = 3,     /* a data file or checkpoint is missing, truncated or wrong */
    ERR_DIVERGED = 4, /* NaN or Inf in the loss */
    STOPPED = 75      /* a signal asked to stop; the state is saved and --resume continues (EX_TEMPFAIL) */
} status;

/* Stores this thread's message, one line of at most 1023 bytes, and returns `code`. */
status status_set(status code, const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Puts "PREFIX: " before the stored message, for context that only a caller knows. Returns `code`. */
status status_prefix(status code, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The code for a failed system call: ERR_RUNTIME if the machine or the process has run out of something (memory, open
 * files, processes), whatever file was asked for; else `otherwise`. */
status status_of_errno(int error, status otherwise);
/* Has the process run out of something since it began, as far as status_of_errno and TRY_ALLOC heard of it? Then what was
 * asked for and not found may well exist. */
bool status_ran_out(void);

/* The last message stored in this thread; "" if none. Valid until the next failure in this thread. */
const char *status_message(void);

/* Source position of the stored message ("core/config/config.c:120"), for --debug logs. */
const char *status_place(void);

/* Fails here: stores the message and jumps to the function's exit. Needs `status st` and a label `out`. */
#define FAIL(code, ...)                                                                                      \
    do {                                                                                                     \
        st = status_set((code), __FILE__, __LINE__, __VA_ARGS__);                                            \
        goto out;                                                                                            \
    } while (0)

/* Passes a failure up. */
#define TRY(expression)                                                                                      \
    do {                                                                                                     \
        if ((st = (expression)) != OK) goto out;                                                             \
    } while (0)

#define FAIL_OUT_OF_MEMORY() FAIL(status_of_errno(ENOMEM, ERR_RUNTIME), "out of memory")

/* Assigns the result of malloc or the like; fails if that is NULL. */
#define TRY_ALLOC(pointer, expression)                                                                       \
    do {                                                                                                     \
        if (!((pointer) = (expression))) FAIL_OUT_OF_MEMORY();                                               \
    } while (0)

#endif
