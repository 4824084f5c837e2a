/* core/ref/bnact.c -- batch normalisation, then an optional shortcut, then an optional activation.
 *
 *   xh = (x - mean) / sqrt(var + eps)
 *   y  = act(gamma * xh + beta + z)
 *
 *   x, y, z [N, C, H, W] (z, the shortcut of a residual block, may be absent); the rest [C].
 *   Training: mean and var over the m = N*H*W values of a channel. var divides by m to normalise and by
 *   m - 1 in the running estimate: running = (1 - momentum) * running + momentum * batch.
 *   Otherwise, and where `frozen`: mean and var are the running ones, which do not depend on x.
 *
 * Source: [IS15] Ioffe & Szegedy 2015, Alg. 1 and 2; z: [He16] eq. 1.
 */
#include "ref.h"

#include <math.h>

/* The statistics of one channel, in training kept in `saved` from forward to backward: [C] of them. */
typedef struct channel_stats {
    double mean, inv; /* inv = 1 / sqrt(var + eps) */
} channel_stats;

/* Plain arrays of one channel are not contiguous: channel c of image n begins here. */
static int64_t plane(shape4 s, int n, int c)
{
    return at(s, n, c, 0, 0);
}

/* [IS15] Alg. 1, lines 1 and 2, and the running estimates for Alg. 2, line 10. */
static channel_stats batch_stats(const op *o, const op_args *a, int c)
{
    const bnact_desc d = o->bnact;
    const shape4 X = o->x;
    const int HW = X.h * X.w;
    const double m = (double)X.n * HW;
    const float *x = a->x;
    double mean = 0, var = 0;

    for (int n = 0; n < X.n; n++) {
        for (int i = 0; i < HW; i++) mean += x[plane(X, n, c) + i];
    }
    mean /= m;
    for (int n = 0; n < X.n; n++) {
        for (int i = 0; i < HW; i++) {
            const double t = x[plane(X, n, c) + i] - mean;
            var += t * t;
        }
    }
    var /= m;

    /* The only parameters that an operation writes (core/device/backend.h). */
    float *running_mean = (float *)a->param[2], *running_var = (float *)a->param[3];
    running_mean[c] = (float)((1 - d.momentum) * running_mean[c] + d.momentum * mean);
    running_var[c] = (float)((1 - d.momentum) * running_var[c] + d.momentum * var * m / (m - 1));

    return (channel_stats){ mean, 1 / sqrt(var + d.eps) };
}

/* y of one channel. */
static void normalise(const op *o, const op_args *a, int c, channel_stats stats)
{
    const bnact_desc d = o->bnact;
    const shape4 X = o->x;
    const int HW = X.h * X.w;
    const float *x = a->x, *z = d.add ? a->z : NULL, *gamma = a->param[0], *beta = a->param[1];
    float *y = a->y;

    for (int n = 0; n < X.n; n++) {
        for (int64_t i = plane(X, n, c); i < plane(X, n, c) + HW; i++) {
            const double xh = (x[i] - stats.mean) * stats.inv;
            y[i] = (float)act_forward(d.act, gamma[c] * xh + beta[c] + (z ? z[i] : 0));
        }
    }
}

void ref_bnact_forward(const op *o, const op_args *a)
{
    const bnact_desc d = o->bnact;
    const float *running_mean = a->param[2], *running_var = a->param[3];
    channel_stats *saved = a->saved;

#pragma omp parallel for
    for (int c = 0; c < o->x.c; c++) {
        channel_stats stats;
        if (o->training && !d.frozen) {
            stats = batch_stats(o, a, c);
        } else {
            stats = (channel_stats){ running_mean[c], 1 / sqrt((double)running_var[c] + d.eps) };
        }
        if (o->training) saved[c] = stats;
        normalise(o, a, c, stats);
    }
}

/* The statistics are those that forward has left. */
void ref_bnact_again(const op *o, const op_args *a)
{
    const channel_stats *saved = a->saved;
#pragma omp parallel for
    for (int c = 0; c < o->x.c; c++) normalise(o, a, c, saved[c]);
}

/* y = act(v), v = gamma * xh + beta + z. With g = dv = dy * act'(v):
 *
 *   dz = g          dbeta = sum g          dgamma = sum g * xh              (sums over the m values)
 *   dx = gamma * inv * (g - dbeta/m - xh * dgamma/m)
 *
 * The two last terms of dx are what x does through mean and through var: [IS15] sec. 3, simplified. Frozen
 * statistics do not move with x: there the two terms are left out. */
void ref_bnact_backward(const op *o, const op_args *a)
{
    const bnact_desc d = o->bnact;
    const shape4 X = o->x;
    const int HW = X.h * X.w;
    const double m = (double)X.n * HW;
    const float *x = a->x, *y = a->y, *dy = a->dy, *gamma = a->param[0];
    const channel_stats *saved = a->saved;
    float *dx = a->dx, *dz = d.add ? a->dz : NULL;

#pragma omp parallel for
    for (int c = 0; c < X.c; c++) {
        const double mean = saved[c].mean, inv = saved[c].inv;
        double dgamma = 0, dbeta = 0;

        for (int n = 0; n < X.n; n++) {
            for (int64_t i = plane(X, n, c); i < plane(X, n, c) + HW; i++) {
                const double g = act_backward(d.act, d.act ? y[i] : 0, dy[i]);
                dbeta += g;
                dgamma += g * (x[i] - mean) * inv;
            }
        }
        if (a->grad[0]) a->grad[0][c] = (float)dgamma;
        if (a->grad[1]) a->grad[1][c] = (float)dbeta;

        for (int n = 0; n < X.n; n++) {
            for (int64_t i = plane(X, n, c); i < plane(X, n, c) + HW; i++) {
                const double g = act_backward(d.act, d.act ? y[i] : 0, dy[i]);
                const double xh = (x[i] - mean) * inv;
                const double moved = d.frozen ? 0 : dbeta / m + xh * dgamma / m;
                if (dx) store(&dx[i], a->dx_add, gamma[c] * inv * (g - moved));
                if (dz) store(&dz[i], a->dz_add, g);
            }
        }
    }
}
