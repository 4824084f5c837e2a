/* tools/check/layercheck.h -- one layer on one device against the definition, layers/. */
#ifndef CLEAVE_CHECK_LAYERCHECK_H
#define CLEAVE_CHECK_LAYERCHECK_H

#include "problem.h"

#include "../../core/device/backend.h"

/* max |a - ref| / max |ref| of one output, and the largest that rounding explains. */
typedef struct layer_error {
    double error, allowed;
    const char *what; /* "y", "dx", "grad 0"; NULL: nothing was compared */
} layer_error;
static inline bool layer_error_ok(const layer_error *e)
{
    return !e->what || e->error <= e->allowed; /* NaN is not */
}

/* Of each pass the output with the largest error in relation to what is allowed. forward: y, the running statistics, the
 * loss; backward: dx, dz, the gradients of parameters. */
typedef struct layer_errors {
    layer_error forward, backward;
} layer_errors;

/* Runs the problem (problem.h) on both backends with the same random data, and compares. */
status layer_check(const char *problem, backend *ref, backend *b, layer_errors *out);

/* Layers as they occur in nets, and odd sizes. Every kind of layer is among them. NULL at the end. */
extern const char *const layer_problems[];

#endif
