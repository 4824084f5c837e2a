/* core/base/host.h -- the machine that this runs on. */
#ifndef CLEAVE_HOST_H
#define CLEAVE_HOST_H

typedef struct host_text {
    char s[256];
} host_text;

host_text host_name(void);      /* "" if the system has none */
host_text host_processor(void); /* "AMD EPYC 9654"; "unknown processor" if /proc/cpuinfo names none */

#endif
