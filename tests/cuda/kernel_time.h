/* tests/cuda/kernel_time.h -- how long a GPU works inside kernels, by CUPTI of the CUDA toolkit. Recording takes time
 * itself: the clock on the wall is read in another run. */
#ifndef CLEAVE_TESTS_KERNEL_TIME_H
#define CLEAVE_TESTS_KERNEL_TIME_H

#include "../../core/base/status.h"
#include <stdint.h>

/* From here on kernels are recorded; before what they are part of is recorded as a CUDA graph. ERR_RUNTIME: the
 * program was built without CUPTI, or it does not work here, and why. */
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
    kernel_time kernel
        [KERNEL_NAMES]; /* each name once, the longest first; those that find no room are in the sum only */
} kernel_times;

/* Of all kernels that ended since the start or the last call; the device must be idle. ERR_RUNTIME: there was none, or
 * records were lost. */
status kernel_times_read(kernel_times *);

#endif
