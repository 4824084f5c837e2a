/* layers/bnact.c -- batch normalisation, then an optional shortcut, then an optional activation.
 *
 *   xh = (x - mean) / sqrt(var + eps)
 *   y  = act(gamma * xh + beta + z)
 *
 *   x, y, z [N, C, H, W] (z, the shortcut of a residual block, may be absent)
 *   gamma, beta, running_mean, running_var [C]
 *
 *   In training, mean and var are those of the m = N*H*W values of a channel in this batch. var divides by m to
 *   normalise, and by m - 1 in the running estimate: running = (1 - momentum) * running + momentum * batch.
 *   In evaluation, and where `frozen`, mean and var are the running ones. These do not depend on x.
 *
 * One layer and not three, because each pass over an activation costs as much as the arithmetic of all of them.
 * Source: [IS15] Alg. 1 and 2; z: [He16] eq. 1.
 */
#include "loops.h"

#include <math.h>

static status infer(op *o)
{
    status st = OK;
    if (!(o->bnact.eps > 0) || !(o->bnact.momentum >= 0 && o->bnact.momentum <= 1))
        FAIL(ERR_USAGE, "batch norm: eps %g or momentum %g out of range", (double)o->bnact.eps,
             (double)o->bnact.momentum);
    o->y = o->x;
out:
    return st;
}

static int params(const op *o, param_spec spec[OP_MAX_PARAMS])
{
    const int C = o->x.c;
    spec[0] = (param_spec){ "weight", 1, { C }, true, PARAM_ONE, 1, 1 };
    spec[1] = (param_spec){ "bias", 1, { C }, true, PARAM_ZERO, 1, 1 };
    spec[2] = (param_spec){ "running_mean", 1, { C }, false, PARAM_ZERO, 1, 1 };
    spec[3] = (param_spec){ "running_var", 1, { C }, false, PARAM_ONE, 1, 1 };
    return 4;
}

static bool uses_batch_statistics(const op *o)
{
    return o->training && !o->bnact.frozen;
}

static const char *unsupported(const op *o)
{
    if (uses_batch_statistics(o) && (int64_t)o->x.n * o->x.h * o->x.w < 2)
        return "batch normalisation needs at least two values per channel";
    return NULL;
}

/* The statistics of one channel. In training, forward leaves [C] of them in `saved` for backward. */
typedef struct channel_stats {
    double mean, inv; /* inv = 1 / sqrt(var + eps) */
} channel_stats;

static op_needs needs(const op *o)
{
    return (op_needs){ .saved = (size_t)o->x.c * sizeof(channel_stats),
                       .backward_x = true,
                       .backward_y = o->bnact.act != ACT_NONE,
                       .recompute = true };
}

/* In an NCHW array the values of a channel are not contiguous. Those of image n begin here. */
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

static void forward(const op *o, const op_args *a)
{
    const bnact_desc d = o->bnact;
    const float *running_mean = a->param[2], *running_var = a->param[3];
    channel_stats *saved = a->saved;

#pragma omp parallel for
    for (int c = 0; c < o->x.c; c++) {
        channel_stats stats;
        if (uses_batch_statistics(o)) {
            stats = batch_stats(o, a, c);
        } else {
            stats = (channel_stats){ running_mean[c], 1 / sqrt((double)running_var[c] + d.eps) };
        }
        if (o->training) saved[c] = stats;
        normalise(o, a, c, stats);
    }
}

static void recompute(const op *o, const op_args *a)
{
    const channel_stats *saved = a->saved;
#pragma omp parallel for
    for (int c = 0; c < o->x.c; c++) normalise(o, a, c, saved[c]);
}

/* y = act(v), v = gamma * xh + beta + z. With g = dv = dy * act'(v), and sums over the m values of a channel:
 *
 *   dz = g          dbeta = sum g          dgamma = sum g * xh
 *   dx = gamma * inv * (g - dbeta/m - xh * dgamma/m)
 *
 * The last two terms of dx are there because mean and var depend on x: [IS15] sec. 3, simplified. Frozen statistics
 * do not, and the two terms are left out. */
static void backward(const op *o, const op_args *a)
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
                const double through_stats = d.frozen ? 0 : dbeta / m + xh * dgamma / m;
                if (dx) store(&dx[i], a->dx_add, gamma[c] * inv * (g - through_stats));
                if (dz) store(&dz[i], a->dz_add, g);
            }
        }
    }
}

/* n2c17h5w5_relu_add_frozen */
static const layer_field fields[] = {
    { FIELD_CHOICE, offsetof(op, bnact.act), .words = activation_words },
    { FIELD_FLAG, offsetof(op, bnact.add), "_add" },
    { FIELD_FLAG, offsetof(op, bnact.frozen), "_frozen" },
    { 0 },
};

const layer_type layer_bnact = {
    .kind = OP_BNACT,
    .name = "bnact",
    .infer = infer,
    .params = params,
    .unsupported = unsupported,
    .needs = needs,
    .forward = forward,
    .backward = backward,
    .recompute = recompute,
    .tolerance = 4e-6,
    .fields = fields,
    .usual = { .bnact = { .eps = 1e-5f, .momentum = 0.1f } },
};
