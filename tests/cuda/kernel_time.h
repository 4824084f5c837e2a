/* tests/cuda/kernel_time.h -- how long a GPU works inside kernels, by CUPTI of the CUDA toolkit. Recording takes time
 * itself: the clock on the wall is read in another run. */
#ifndef CLEAVE_TESTS_KERNEL_TIME_H
#define CLEAVE_TESTS_KERNEL_TIME_H

#include "../../core/status.h"
#include <stdint.h>

/* From here on kernels are recorded; before what they are part of is recorded as a CUDA graph. ERR_RUNTIME: the
 * program was built without CUPTI, or it does not work here, and why. */
status kernel_time_start(void);
/* Seconds of all kernels that ended since the start or the last call, and how many; the device must be idle. */
status kernel_time_read(double *seconds, int64_t *kernels);

#endif
