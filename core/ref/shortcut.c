/* core/ref/shortcut.c -- the shortcut without parameters, for blocks that change the shape.
 *
 *   y[n, c + before, i, j] = x[n, c, i*stride, j*stride];  the other channels of y are 0
 *
 *   x [N, C, H, W]   y [N, out, P, Q], P = ceil(H / stride);  before = (out - C) / 2
 *   Every second pixel is dropped (stride 2), and channels of zeros are put before and behind.
 *
 * Source: [He16] sec. 3.3, option A.
 */
#include "ref.h"

void ref_shortcut_forward(const op *o, const op_args *a)
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

/* y[n, c+before, i, j] = x[n, c, i*stride, j*stride]: a pixel was copied once or dropped. */
void ref_shortcut_backward(const op *o, const op_args *a)
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
