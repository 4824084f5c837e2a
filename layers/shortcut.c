/* layers/shortcut.c -- the shortcut without parameters, for blocks that change the shape.
 *
 *   y[n, c + before, i, j] = x[n, c, i*stride, j*stride];  the other channels of y are 0
 *
 *   x [N, C, H, W]   y [N, K, P, Q], P = ceil(H / stride), Q = ceil(W / stride);  before = (K - C) / 2, rounded down
 *   With stride 2, every second row and column is dropped. The channels of zeros come before and after those of x.
 *
 * Source: [He16] sec. 3.3, option A.
 */
#include "loops.h"

static status infer(op *o)
{
    status st = OK;
    const shortcut_desc *d = &o->shortcut;
    if (d->stride < 1 || d->out < o->x.c)
        FAIL(ERR_USAGE, "shortcut: there is none from %d to %d channels with stride %d", o->x.c, d->out,
             d->stride);
    o->y = (shape4){ o->x.n, d->out, (o->x.h + d->stride - 1) / d->stride,
                     (o->x.w + d->stride - 1) / d->stride };
out:
    return st;
}

static void forward(const op *o, const op_args *a)
{
    const int stride = o->shortcut.stride;
    const shape4 X = o->x, Y = o->y;
    const int before = (Y.c - X.c) / 2;
    const float *x = a->x;
    float *y = a->y;

#pragma omp parallel for
    for (int n = 0; n < Y.n; n++) {
        for (int k = 0; k < Y.c; k++) {
            const int c = k - before;
            const bool zero = c < 0 || c >= X.c;
            for (int i = 0; i < Y.h; i++) {
                for (int j = 0; j < Y.w; j++) {
                    y[at(Y, n, k, i, j)] = zero ? 0 : x[at(X, n, c, i * stride, j * stride)];
                }
            }
        }
    }
}

/* y[n, c+before, i, j] = x[n, c, i*stride, j*stride]: a pixel was copied once, or dropped and has no gradient. */
static void backward(const op *o, const op_args *a)
{
    const int stride = o->shortcut.stride;
    const shape4 X = o->x, Y = o->y;
    const int before = (Y.c - X.c) / 2;
    const float *dy = a->dy;
    float *dx = a->dx;
    if (!dx) return;

#pragma omp parallel for
    for (int n = 0; n < X.n; n++) {
        for (int c = 0; c < X.c; c++) {
            for (int h = 0; h < X.h; h++) {
                for (int w = 0; w < X.w; w++) {
                    const bool copied = h % stride == 0 && w % stride == 0;
                    const double g = copied ? dy[at(Y, n, c + before, h / stride, w / stride)] : 0;
                    store(&dx[at(X, n, c, h, w)], a->dx_add, g);
                }
            }
        }
    }
}

/* n2c16h6w6_o32s2 */
static const layer_field fields[] = {
    { FIELD_INT, offsetof(op, shortcut.out), "_o" },
    { FIELD_INT, offsetof(op, shortcut.stride), "s" },
    { 0 },
};

const layer_type layer_shortcut = {
    .kind = OP_SHORTCUT,
    .name = "shortcut",
    .infer = infer,
    .forward = forward,
    .backward = backward,
    .tolerance = 1e-7, /* copies, and one addition */
    .fields = fields,
};
