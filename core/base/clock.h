/* core/base/clock.h -- what time it is, and how long something took. */
#ifndef CLEAVE_CLOCK_H
#define CLEAVE_CLOCK_H

#include <time.h>

double time_now(void); /* seconds of a clock that only moves forward: for durations */

/* The present moment in UTC, "2026-11-30T20:28:35Z". */
typedef struct time_stamp {
    char s[32];
} time_stamp;
time_stamp time_stamp_now(void);

/* Any moment in UTC in strftime's format; "" for a moment that has no year. */
time_stamp time_stamp_of(time_t when, const char *format);

#endif
