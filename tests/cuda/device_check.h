/* tests/cuda/device_check.h -- a cuda backend against the definition (layers/): operations, whole nets,
 * recorded steps, repeatability. The same for the emulated device (test_emulated.c) and for a GPU (gpu.c),
 * and without any library but the backend's own, so that a bare machine with a GPU can build it. */
#ifndef CLEAVE_TESTS_DEVICE_CHECK_H
#define CLEAVE_TESTS_DEVICE_CHECK_H

#include "../../core/device/backend.h"

typedef struct checked_net {
    const char *arch;
    char *const *remove; /* units to leave out: a smaller net says as much */
    unsigned n_remove;
    bool repeated; /* also run it again, resumed, and in bf16 */
} checked_net;

typedef struct device_check {
    backend *cuda, *ref;
    const checked_net *nets;
    int n_nets, batch;
    bool emulated;
    bool kernels_only; /* not what cuDNN and cuBLAS do, nor nets */
    const char *only;  /* checks whose name has this in it; NULL: all */
    double f32_limit;  /* of max |cuda - ref| / max |ref| */
    double bf16_limit;
    double bf16_sums_limit; /* of sums of bf16 products that are kept in f32 */
} device_check;

/* Prints TAP (see tests/run) and returns the exit code. */
int device_check_run(const device_check *);

#endif
