/* tests/cuda/kernel_time.h -- how long a GPU works inside kernels, by CUPTI of the CUDA toolkit. CUPTI itself takes
 * time, so the time on the clock is measured in another run. */
#ifndef CLEAVE_TESTS_KERNEL_TIME_H
#define CLEAVE_TESTS_KERNEL_TIME_H

#include "../../core/base/status.h"
#include <stdint.h>

/* Kernels are recorded from here on. Call it before the steps are recorded as CUDA graphs. ERR_RUNTIME, with the
 * reason: the program was built without CUPTI, or CUPTI does not work here. */
status kernel_time_start(void);
typedef struct kernel_time {
    const char *name; /* CUPTI's */
    double seconds;
    int64_t launches;
} kernel_time;

enum { KERNEL_NAMES = 512 };
typedef struct kernel_times {
    double seconds; /* of all */
    int n;
    kernel_time kernel[KERNEL_NAMES]; /* each name once, the longest first; more are only in the sum */
} kernel_times;

/* All kernels that ended since the start or the last call. The device must be idle. ERR_RUNTIME: there was no kernel,
 * or records were lost. */
status kernel_times_read(kernel_times *);

#endif
