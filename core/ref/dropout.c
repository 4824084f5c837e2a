/* core/ref/dropout.c -- dropout.
 *
 *   training:  y[i] = x[i] / (1 - p) with probability 1 - p, else 0
 *   otherwise: y[i] = x[i]
 *
 *   x, y [N, C, H, W], i the index in NCHW order. The division keeps the expectation, so that nothing has
 *   to be scaled at test time ("inverted" dropout). Source: [Srivastava14] sec. 4 and 10.
 *
 * The mask is not stored: the random number of element i is a function of (seed, layer, step, i), so
 * backward draws the same one again, as does every other device.
 */
#include "ref.h"

#include "../base/rng.h"

/* What element i is multiplied by in this step. */
static double factor(const op *o, const step_scalars *step, int64_t i)
{
    const dropout_desc d = o->dropout;
    if (!o->training) return 1;

    const float u =
        rng_uniform(step->seed, RNG_DROPOUT + (uint32_t)d.layer, (uint32_t)step->step, (uint64_t)i);
    return u >= d.p ? 1 / (1 - (double)d.p) : 0;
}

void ref_dropout_forward(const op *o, const op_args *a, const step_scalars *step)
{
    const float *x = a->x;
    float *y = a->y;

#pragma omp parallel for
    for (int64_t i = 0; i < shape_count(o->x); i++) y[i] = (float)(x[i] * factor(o, step, i));
}

/* y[i] = x[i] * factor(i) */
void ref_dropout_backward(const op *o, const op_args *a, const step_scalars *step)
{
    const float *dy = a->dy;
    float *dx = a->dx;
    if (!dx) return;

#pragma omp parallel for
    for (int64_t i = 0; i < shape_count(o->x); i++) store(&dx[i], a->dx_add, dy[i] * factor(o, step, i));
}
