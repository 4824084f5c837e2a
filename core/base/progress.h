/* core/base/progress.h -- a bar on a terminal, nothing elsewhere (the caller logs one line an epoch itself).
 * Never fails: a missing terminal or width only makes it plainer. */
#ifndef CLEAVE_PROGRESS_H
#define CLEAVE_PROGRESS_H

#include "clock.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct progress {
    char label[64];
    int64_t total, done;
    double started, drawn; /* seconds, monotonic */
    bool on;               /* stderr is a terminal, and information is wanted there */
} progress;

void progress_start(progress *, const char *label, int64_t total);
/* `note` is shown behind the bar ("loss 0.412 acc 85.1 %"); redrawn at most ten times a second. */
void progress_update(progress *, int64_t done, const char *note);
void progress_end(progress *); /* erases the bar */

/* True if stderr is a terminal that can redraw a line, and messages are wanted. */
bool progress_is_shown(void);

#endif
