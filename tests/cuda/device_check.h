/* tests/cuda/device_check.h -- checks a cuda backend against the definition (layers/): operations, whole nets,
 * recorded steps, repeatability. The emulated device (test_emulated.c) and a GPU (gpu.c) are checked in the same way.
 * Only the backend's own libraries are needed, so that a machine that has nothing but a GPU can build it. */
#ifndef CLEAVE_TESTS_DEVICE_CHECK_H
#define CLEAVE_TESTS_DEVICE_CHECK_H

#include "../../core/device/backend.h"

typedef struct checked_net {
    const char *arch;
    char *const *remove; /* units to leave out: a smaller net is as good a test */
    unsigned n_remove;
    bool repeated; /* also train it twice and resumed, and in bf16 */
} checked_net;

typedef struct device_check {
    backend *cuda, *ref;
    const checked_net *nets;
    int n_nets, batch;
    bool emulated;
    bool kernels_only; /* leave out what needs cuDNN or cuBLAS: also nets */
    const char *only;  /* run only checks whose name contains this; NULL: all */
    /* Opens another device like `cuda`, with this number of multiprocessors; NULL where that is not possible. */
    status (*open_sized)(int multiprocessors, backend **out);
    double f32_limit; /* of max |cuda - ref| / max |ref| */
    double bf16_limit;
    double bf16_sums_limit; /* of sums of bf16 products that are kept in f32 */
} device_check;

/* Prints TAP (see tests/run) and returns the exit code. */
int device_check_run(const device_check *);

#endif
