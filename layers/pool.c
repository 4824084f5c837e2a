/* layers/pool.c -- pooling: a window becomes one value.
 *
 *   POOL_MAX         y[n,c,p,q] = max over r,s of x[n, c, p*stride + r - pad, q*stride + s - pad]
 *                    outside the image x is -infinity; of equal values the first in row-major order counts
 *   POOL_AVG_GLOBAL  y[n,c,0,0] = 1/(H*W) * sum over h,w of x[n,c,h,w]           [Lin14] sec. 3.2
 *
 *   x [N, C, H, W]   y [N, C, P, Q]
 *   P = floor((H + 2*pad - R) / stride) + 1, and Q from W in the same way; for the average, P = Q = 1
 */
#include "loops.h"

#include <math.h>

static status infer(op *o)
{
    status st = OK;
    const pool_desc *d = &o->pool;
    if (d->kind == POOL_AVG_GLOBAL) {
        o->y = (shape4){ o->x.n, o->x.c, 1, 1 };
        goto out;
    }
    if (d->kernel < 1 || d->stride < 1 || d->pad < 0 || 2 * d->pad > d->kernel)
        FAIL(ERR_USAGE, "max pool: there is none with window %d, stride %d, pad %d", d->kernel, d->stride,
             d->pad);
    o->y = (shape4){ o->x.n, o->x.c, window_positions(o->x.h, d->kernel, d->stride, d->pad),
                     window_positions(o->x.w, d->kernel, d->stride, d->pad) };
    if (o->y.h == 0 || o->y.w == 0)
        FAIL(ERR_USAGE, "max pool: a %dx%d window does not fit a %dx%d image", d->kernel, d->kernel, o->x.h,
             o->x.w);
out:
    return st;
}

static bool takes_maximum(const op *o)
{
    return o->pool.kind == POOL_MAX;
}

static op_needs needs(const op *o)
{
    return (op_needs){ .backward_x = takes_maximum(o) };
}

/* The index in x of the maximum of one window; -1 if the whole window lies in the padding. Backward searches once more
 * instead of keeping the answer: there is nothing to store, and both passes agree by construction. */
static int64_t window_argmax(const op *o, const float *x, int n, int c, int p, int q)
{
    const pool_desc d = o->pool;
    const shape4 X = o->x;
    int64_t best = -1;

    for (int r = 0; r < d.kernel; r++) {
        const int h = p * d.stride + r - d.pad;
        if (h < 0 || h >= X.h) continue;
        for (int s = 0; s < d.kernel; s++) {
            const int w = q * d.stride + s - d.pad;
            if (w < 0 || w >= X.w) continue;
            const int64_t i = at(X, n, c, h, w);
            if (best < 0 || x[i] > x[best]) best = i;
        }
    }
    return best;
}

static void max_forward(const op *o, const op_args *a)
{
    const shape4 Y = o->y;
    const float *x = a->x;
    float *y = a->y;

#pragma omp parallel for collapse(2)
    for (int n = 0; n < Y.n; n++) {
        for (int c = 0; c < Y.c; c++) {
            for (int p = 0; p < Y.h; p++) {
                for (int q = 0; q < Y.w; q++) {
                    const int64_t i = window_argmax(o, x, n, c, p, q);
                    y[at(Y, n, c, p, q)] = i < 0 ? -INFINITY : x[i];
                }
            }
        }
    }
}

/* y[n,c,p,q] = x[i], i the argmax: x[i] gets the whole gradient. Windows may overlap, so gradients are added. */
static void max_backward(const op *o, const op_args *a)
{
    const shape4 X = o->x, Y = o->y;
    const float *x = a->x, *dy = a->dy;
    float *dx = a->dx;

#pragma omp parallel for collapse(2)
    for (int n = 0; n < Y.n; n++) {
        for (int c = 0; c < Y.c; c++) {
            if (!a->dx_add) {
                for (int i = 0; i < X.h * X.w; i++) dx[at(X, n, c, 0, 0) + i] = 0;
            }
            for (int p = 0; p < Y.h; p++) {
                for (int q = 0; q < Y.w; q++) {
                    const int64_t i = window_argmax(o, x, n, c, p, q);
                    if (i >= 0) dx[i] += dy[at(Y, n, c, p, q)];
                }
            }
        }
    }
}

static void avg_forward(const op *o, const op_args *a)
{
    const shape4 X = o->x;
    const int HW = X.h * X.w;
    const float *x = a->x;
    float *y = a->y;

#pragma omp parallel for
    for (int nc = 0; nc < X.n * X.c; nc++) {
        double sum = 0;
        for (int i = 0; i < HW; i++) sum += x[(int64_t)nc * HW + i];
        y[nc] = (float)(sum / HW);
    }
}

/* y[n,c] = sum / (H*W): every x of the plane has the same share. */
static void avg_backward(const op *o, const op_args *a)
{
    const shape4 X = o->x;
    const int HW = X.h * X.w;
    const float *dy = a->dy;
    float *dx = a->dx;

#pragma omp parallel for
    for (int nc = 0; nc < X.n * X.c; nc++) {
        for (int i = 0; i < HW; i++) store(&dx[(int64_t)nc * HW + i], a->dx_add, (double)dy[nc] / HW);
    }
}

static void forward(const op *o, const op_args *a)
{
    if (takes_maximum(o)) {
        max_forward(o, a);
    } else {
        avg_forward(o, a);
    }
}

static void backward(const op *o, const op_args *a)
{
    if (!a->dx) return;
    if (takes_maximum(o)) {
        max_backward(o, a);
    } else {
        avg_backward(o, a);
    }
}

static const char *const kind_words[] = { [POOL_MAX] = "_max", [POOL_AVG_GLOBAL] = "_avg", NULL };

/* n2c3h6w6_max_k2s2p0 or n2c3h6w6_avg */
static const layer_field fields[] = {
    { FIELD_CHOICE, offsetof(op, pool.kind), .words = kind_words },
    { FIELD_INT, offsetof(op, pool.kernel), "_k", .applies = takes_maximum },
    { FIELD_INT, offsetof(op, pool.stride), "s", .applies = takes_maximum },
    { FIELD_INT, offsetof(op, pool.pad), "p", .applies = takes_maximum },
    { 0 },
};

const layer_type layer_pool = {
    .kind = OP_POOL,
    .name = "pool",
    .infer = infer,
    .needs = needs,
    .forward = forward,
    .backward = backward,
    .tolerance = 1e-6,
    .fields = fields,
};
