/* core/ref/conv.c -- convolution (cross-correlation, as all of deep learning calls it).
 *
 *   y[n,k,p,q] = bias[k] + sum over c,r,s of w[k,c,r,s] * x[n, g*Cg + c, h, v]
 *       row h = p*stride + r - pad, column v = q*stride + s - pad; outside of the image x is 0
 *
 *   x [N, C, H, W]   w [K, Cg, R, R]   bias [K]   y [N, K, P, Q]
 *   Groups: filter k belongs to group g = k / Kg and sees the channels of its group only, Cg = C/groups
 *   of them; Kg = K/groups. groups = 1 is the plain convolution, groups = C = K the depthwise one.
 *
 * Source: [LeCun98] sec. II; groups: [Krizhevsky12] sec. 3.5, depthwise: [Howard17] sec. 3.1.
 */
#include "ref.h"

void ref_conv_forward(const op *o, const op_args *a)
{
    const conv_desc d = o->conv;
    const shape4 X = o->x, Y = o->y;
    const int Cg = X.c / d.groups, Kg = d.out / d.groups;
    const shape4 W = { d.out, Cg, d.kernel, d.kernel };
    const float *x = a->x, *w = a->param[0], *bias = d.bias ? a->param[1] : NULL;
    float *y = a->y;

#pragma omp parallel for collapse(2)
    for (int n = 0; n < Y.n; n++) {
        for (int k = 0; k < Y.c; k++) {
            const int first = k / Kg * Cg; /* the first channel of this filter's group */
            for (int p = 0; p < Y.h; p++) {
                for (int q = 0; q < Y.w; q++) {
                    double sum = bias ? bias[k] : 0;
                    for (int c = 0; c < Cg; c++) {
                        for (int r = 0; r < d.kernel; r++) {
                            const int h = p * d.stride + r - d.pad;
                            if (h < 0 || h >= X.h) continue;
                            const float *w_row = &w[at(W, k, c, r, 0)];
                            const float *x_row = &x[at(X, n, first + c, h, 0)];
                            for (int s = 0; s < d.kernel; s++) {
                                const int v = q * d.stride + s - d.pad;
                                if (v >= 0 && v < X.w) sum += (double)w_row[s] * x_row[v];
                            }
                        }
                    }
                    y[at(Y, n, k, p, q)] = (float)sum;
                }
            }
        }
    }
}

/* h = p*stride + r - pad, solved for p: the output row that sees input row h through kernel row r.
 * -1 if there is none. The same holds for columns. */
static int output_row(int h, int r, conv_desc d, int rows)
{
    const int top = h + d.pad - r;
    if (top < 0 || top % d.stride != 0 || top / d.stride >= rows) return -1;
    return top / d.stride;
}

/* y[n,k,p,q] += w[k,c,r,s] * x[n,g*Cg+c,h,v]: one x gathers w * dy from every output that it has fed. */
static void backward_x(const op *o, const op_args *a)
{
    const conv_desc d = o->conv;
    const shape4 X = o->x, Y = o->y;
    const int Cg = X.c / d.groups, Kg = d.out / d.groups;
    const shape4 W = { d.out, Cg, d.kernel, d.kernel };
    const float *dy = a->dy, *w = a->param[0];
    float *dx = a->dx;

#pragma omp parallel for collapse(2)
    for (int n = 0; n < X.n; n++) {
        for (int c = 0; c < X.c; c++) {
            const int first = c / Cg * Kg; /* the first filter of this channel's group */
            for (int h = 0; h < X.h; h++) {
                for (int v = 0; v < X.w; v++) {
                    double sum = 0;
                    for (int r = 0; r < d.kernel; r++) {
                        const int p = output_row(h, r, d, Y.h);
                        if (p < 0) continue;
                        for (int s = 0; s < d.kernel; s++) {
                            const int q = output_row(v, s, d, Y.w);
                            if (q < 0) continue;
                            for (int k = first; k < first + Kg; k++) {
                                sum += (double)w[at(W, k, c % Cg, r, s)] * dy[at(Y, n, k, p, q)];
                            }
                        }
                    }
                    store(&dx[at(X, n, c, h, v)], a->dx_add, sum);
                }
            }
        }
    }
}

/* y[n,k,p,q] += w[k,c,r,s] * x[n,g*Cg+c,h,v]: one weight gathers x * dy over all images and positions. */
static void backward_w(const op *o, const op_args *a)
{
    const conv_desc d = o->conv;
    const shape4 X = o->x, Y = o->y;
    const int Cg = X.c / d.groups, Kg = d.out / d.groups;
    const shape4 W = { d.out, Cg, d.kernel, d.kernel };
    const float *dy = a->dy, *x = a->x;
    float *dw = a->grad[0];

#pragma omp parallel for collapse(2)
    for (int k = 0; k < Y.c; k++) {
        for (int c = 0; c < Cg; c++) {
            const int channel = k / Kg * Cg + c;
            for (int r = 0; r < d.kernel; r++) {
                for (int s = 0; s < d.kernel; s++) {
                    double sum = 0;
                    for (int n = 0; n < Y.n; n++) {
                        for (int p = 0; p < Y.h; p++) {
                            const int h = p * d.stride + r - d.pad;
                            if (h < 0 || h >= X.h) continue;
                            const float *dy_row = &dy[at(Y, n, k, p, 0)];
                            const float *x_row = &x[at(X, n, channel, h, 0)];
                            for (int q = 0; q < Y.w; q++) {
                                const int v = q * d.stride + s - d.pad;
                                if (v >= 0 && v < X.w) sum += (double)dy_row[q] * x_row[v];
                            }
                        }
                    }
                    dw[at(W, k, c, r, s)] = (float)sum;
                }
            }
        }
    }
}

/* y[n,k,p,q] = bias[k] + ... */
static void backward_bias(const op *o, const op_args *a)
{
    const shape4 Y = o->y;
    const float *dy = a->dy;
    float *dbias = a->grad[1];

    for (int k = 0; k < Y.c; k++) {
        double sum = 0;
        for (int n = 0; n < Y.n; n++) {
            for (int p = 0; p < Y.h; p++) {
                for (int q = 0; q < Y.w; q++) sum += dy[at(Y, n, k, p, q)];
            }
        }
        dbias[k] = (float)sum;
    }
}

void ref_conv_backward(const op *o, const op_args *a)
{
    if (a->dx) backward_x(o, a);
    if (a->grad[0]) backward_w(o, a);
    if (o->conv.bias && a->grad[1]) backward_bias(o, a);
}
