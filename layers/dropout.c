/* layers/dropout.c -- dropout.
 *
 *   training:   y[i] = x[i] / (1 - p) with probability 1 - p, else 0
 *   evaluation: y[i] = x[i]
 *
 *   x, y [N, C, H, W], i the index in NCHW order. The division keeps the expectation, so that evaluation has nothing
 *   to scale ("inverted" dropout). Source: [Srivastava14] sec. 4 and 10.
 *
 * The mask is not stored. The random number of element i is a function of (seed, layer, step, i), so backward draws
 * the same mask as forward, and every device draws the same one.
 */
#include "loops.h"

#include "../core/base/rng.h"

static status infer(op *o)
{
    status st = OK;
    if (!(o->dropout.p >= 0 && o->dropout.p < 1))
        FAIL(ERR_USAGE, "dropout: p = %g is not in [0, 1)", (double)o->dropout.p);
    o->y = o->x;
out:
    return st;
}

/* What element i is multiplied by in this step. */
static double factor(const op *o, const step_scalars *step, int64_t i)
{
    const dropout_desc d = o->dropout;
    if (!o->training) return 1;

    const float u =
        rng_uniform(step->seed, RNG_DROPOUT + (uint32_t)d.layer, (uint32_t)step->step, (uint64_t)i);
    return u >= d.p ? 1 / (1 - (double)d.p) : 0;
}

static void forward(const op *o, const op_args *a)
{
    const float *x = a->x;
    float *y = a->y;

#pragma omp parallel for
    for (int64_t i = 0; i < shape_count(o->x); i++) y[i] = (float)(x[i] * factor(o, a->step, i));
}

/* y[i] = x[i] * factor(i) */
static void backward(const op *o, const op_args *a)
{
    const float *dy = a->dy;
    float *dx = a->dx;
    if (!dx) return;

#pragma omp parallel for
    for (int64_t i = 0; i < shape_count(o->x); i++) store(&dx[i], a->dx_add, dy[i] * factor(o, a->step, i));
}

/* n2c24h1w1_p0.5 */
static const layer_field fields[] = { { FIELD_FRACTION, offsetof(op, dropout.p), "_p" }, { 0 } };

const layer_type layer_dropout = {
    .kind = OP_DROPOUT,
    .name = "dropout",
    .infer = infer,
    .forward = forward,
    .backward = backward,
    .tolerance = 2e-7, /* a quotient, a product and a sum are rounded */
    .fields = fields,
};
