/* core/base/clock.c -- see clock.h. */
#include "clock.h"

static double seconds_of(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

double time_now(void)
{
    return seconds_of(CLOCK_MONOTONIC);
}

double time_unix(void)
{
    return seconds_of(CLOCK_REALTIME);
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
