/* core/base/clock.c -- see clock.h. */
#include "clock.h"

double time_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

time_stamp time_stamp_of(time_t when, const char *format)
{
    time_stamp t = { "" };
    struct tm utc;
    if (!gmtime_r(&when, &utc) || !strftime(t.s, sizeof t.s, format, &utc)) t.s[0] = '\0';
    return t;
}

time_stamp time_stamp_now(void)
{
    return time_stamp_of(time(NULL), "%Y-%m-%dT%H:%M:%SZ");
}
