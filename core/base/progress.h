/* core/base/progress.h -- a progress bar on a terminal; where there is no terminal, nothing. (The caller logs a line
 * per epoch.) Nothing here can fail. */
#ifndef CLEAVE_PROGRESS_H
#define CLEAVE_PROGRESS_H

#include "clock.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct progress {
    char label[64], unit[16];
    int64_t total, done;
    int64_t
        before; /* how much of `done` is older than progress_start: a resumed epoch. The caller may set it */
    double started, drawn; /* time_now at the start and when the bar was last drawn */
    bool on;               /* the bar is shown: stderr is a terminal, and the level is LOG_INFO or above */
} progress;

/* `unit`: what `total` counts, "images"; the bar says how many of them are done in a second. NULL: the count means nothing
 * to people, and the bar shows no rate. */
void progress_start(progress *, const char *label, const char *unit, int64_t total);
/* `note` follows the bar: "loss 0.412 acc 85.1 %". The bar is redrawn at most ten times per second. */
void progress_update(progress *, int64_t done, const char *note);
void progress_end(progress *); /* erases the bar */

/* True if stderr is a terminal that can redraw a line, and messages are wanted. */
bool progress_is_shown(void);

#endif
