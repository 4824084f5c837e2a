/* core/ref/linear.c -- the fully connected layer.
 *
 *   y[n,k] = act(bias[k] + sum over i of w[k,i] * x[n,i])
 *
 *   x [N, D], an image [C, H, W] flattened to D = C*H*W values   w [K, D]   bias [K]   y [N, K, 1, 1]
 */
#include "ref.h"

void ref_linear_forward(const op *o, const op_args *a)
{
    const linear_desc d = o->linear;
    const int N = o->x.n, K = d.out;
    const int64_t D = shape_image(o->x);
    const float *x = a->x, *w = a->param[0], *bias = a->param[1];
    float *y = a->y;

#pragma omp parallel for
    for (int n = 0; n < N; n++) {
        for (int k = 0; k < K; k++) {
            double sum = bias[k];
            for (int64_t i = 0; i < D; i++) sum += (double)w[k * D + i] * x[n * D + i];
            y[n * K + k] = (float)act_forward(d.act, sum);
        }
    }
}

/* y = act(v), so v's gradient is dy where the activation let v pass. */
static double dv(const op *o, const op_args *a, int64_t nk)
{
    const activation act = o->linear.act;
    const float *y = a->y, *dy = a->dy;
    return act_backward(act, act ? y[nk] : 0, dy[nk]);
}

/* v[n,k] += w[k,i] * x[n,i]: one x[n,i] has fed every output k. */
static void backward_x(const op *o, const op_args *a)
{
    const int N = o->x.n, K = o->linear.out;
    const int64_t D = shape_image(o->x);
    const float *w = a->param[0];
    float *dx = a->dx;

#pragma omp parallel for
    for (int n = 0; n < N; n++) {
        for (int64_t i = 0; i < D; i++) {
            double sum = 0;
            for (int k = 0; k < K; k++) sum += w[k * D + i] * dv(o, a, (int64_t)n * K + k);
            store(&dx[n * D + i], a->dx_add, sum);
        }
    }
}

/* v[n,k] += w[k,i] * x[n,i]: one w[k,i] has met every image n. */
static void backward_w(const op *o, const op_args *a)
{
    const int N = o->x.n, K = o->linear.out;
    const int64_t D = shape_image(o->x);
    const float *x = a->x;
    float *dw = a->grad[0];

#pragma omp parallel for
    for (int k = 0; k < K; k++) {
        for (int64_t i = 0; i < D; i++) {
            double sum = 0;
            for (int n = 0; n < N; n++) sum += x[n * D + i] * dv(o, a, (int64_t)n * K + k);
            dw[k * D + i] = (float)sum;
        }
    }
}

/* v[n,k] = bias[k] + ... */
static void backward_bias(const op *o, const op_args *a)
{
    const int N = o->x.n, K = o->linear.out;

    for (int k = 0; k < K; k++) {
        double sum = 0;
        for (int n = 0; n < N; n++) sum += dv(o, a, (int64_t)n * K + k);
        a->grad[1][k] = (float)sum;
    }
}

void ref_linear_backward(const op *o, const op_args *a)
{
    if (a->dx) backward_x(o, a);
    if (a->grad[0]) backward_w(o, a);
    if (a->grad[1]) backward_bias(o, a);
}
