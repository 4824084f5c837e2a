/* core/device/measure.h -- what tools/bench asks a device: where the time of its operations goes, and how fast its
 * library's convolutions are by themselves. */
#ifndef CLEAVE_MEASURE_H
#define CLEAVE_MEASURE_H

#include "backend.h"

/* Kinds of work that are told apart. */
typedef enum work_kind {
    WORK_OTHER,
    WORK_CONV, /* convolutions and linear layers */
    WORK_BN,   /* BN with its addition and activation */
    WORK_ELEMENTWISE,
    WORK_REORDER, /* between layouts */
    WORK_OPTIMIZER,
    WORK_KINDS
} work_kind;

typedef struct ceiling ceiling; /* the fastest convolutions that the device's library has */

struct backend_measure {
    /* From now on the device adds the seconds that it works to seconds[WORK_KINDS], which stays the caller's; NULL ends
     * that. */
    void (*count_work)(backend *, double *seconds);

    /* Times every algorithm and layout of the library for each direction of each convolution and keeps the fastest.
     * Equal convolutions are timed once; the first one reads images, so nobody needs its dx. Without BN and without
     * changes of layout: with these kernels no training step can be faster. */
    status (*ceiling_open)(backend *, const op *convs, int n, ceiling **out);
    /* Runs them once: seconds of all forward, backward-data and backward-weights convolutions, and the rate of the
     * library's best product of large matrices of the convolutions' type, result in f32. */
    status (*ceiling_run)(ceiling *, double seconds[3], double *gemm_gflops);
    void (*ceiling_close)(ceiling *); /* NULL is harmless */
};

#endif
