/* core/base/clock.h -- the time of day, and a clock for durations. */
#ifndef CLEAVE_CLOCK_H
#define CLEAVE_CLOCK_H

#include <time.h>

double time_now(void);  /* seconds of a clock that never goes back: for durations */
double time_unix(void); /* seconds since 1970 */

/* Now, in UTC: "2026-11-30T20:28:35Z". */
typedef struct time_stamp {
    char s[32];
} time_stamp;
time_stamp time_stamp_now(void);

/* `when` in UTC, in strftime's format; "" if its year is out of range or the text is longer than 31 bytes. */
time_stamp time_stamp_of(time_t when, const char *format);

#endif
