/* layers/conv.c -- convolution. (The kernel is not flipped: strictly, this is cross-correlation.)
 *
 *   y[n,k,p,q] = bias[k] + sum over c,r,s of w[k,c,r,s] * x[n, g*Cg + c, h, v]
 *       with row h = p*stride + r - pad and column v = q*stride + s - pad; outside the image x is 0
 *
 *   x [N, C, H, W]   w [K, Cg, R, R]   bias [K] or none   y [N, K, P, Q]
 *   P = floor((H + 2*pad - R) / stride) + 1, and Q from W in the same way
 *
 *   Groups: filter k belongs to group g = k / Kg and reads only the Cg = C/groups channels of that group, where
 *   Kg = K/groups. groups = 1 is the plain convolution, groups = C = K the depthwise one.
 *
 * Source: [LeCun98] sec. II; groups: [Krizhevsky12] sec. 3.5; depthwise: [Howard17] sec. 3.1.
 */
#include "loops.h"

static status infer(op *o)
{
    status st = OK;
    const conv_desc *d = &o->conv;
    if (d->out < 1 || d->kernel < 1 || d->stride < 1 || d->pad < 0 || d->groups < 1)
        FAIL(ERR_USAGE, "convolution: there is none of %d filters of %dx%d, stride %d, pad %d, groups %d",
             d->out, d->kernel, d->kernel, d->stride, d->pad, d->groups);
    if (o->x.c % d->groups || d->out % d->groups)
        FAIL(ERR_USAGE, "convolution: %d input and %d output channels do not both divide into %d groups",
             o->x.c, d->out, d->groups);
    o->y = (shape4){ o->x.n, d->out, window_positions(o->x.h, d->kernel, d->stride, d->pad),
                     window_positions(o->x.w, d->kernel, d->stride, d->pad) };
    if (o->y.h == 0 || o->y.w == 0)
        FAIL(ERR_USAGE, "convolution: a %dx%d kernel does not fit a %dx%d image with padding %d", d->kernel,
             d->kernel, o->x.h, o->x.w, d->pad);
out:
    return st;
}

static int params(const op *o, param_spec spec[OP_MAX_PARAMS])
{
    const conv_desc *d = &o->conv;
    const int Cg = o->x.c / d->groups, R = d->kernel;
    const int64_t fan_in = (int64_t)Cg * R * R, fan_out = (int64_t)d->out * R * R;
    spec[0] = (param_spec){ "weight", 4, { d->out, Cg, R, R }, true, PARAM_UNIFORM, fan_in, fan_out };
    spec[1] = (param_spec){ "bias", 1, { d->out }, true, PARAM_UNIFORM, fan_in, fan_out };
    return d->bias ? 2 : 1;
}

/* K*P*Q outputs, each a sum of Cg*R*R products. */
static int64_t macs(const op *o)
{
    return (int64_t)o->y.c * o->y.h * o->y.w * (o->x.c / o->conv.groups) * o->conv.kernel * o->conv.kernel;
}

static op_needs needs(const op *o)
{
    (void)o;
    return (op_needs){ .backward_x = true };
}

static void forward(const op *o, const op_args *a)
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

/* h = p*stride + r - pad, solved for p: the output row that reads input row h through kernel row r, or -1 if there is
 * none. The same holds for columns. `rows` is the number of output rows. */
static int output_row(int h, int r, conv_desc d, int rows)
{
    const int top = h + d.pad - r;
    if (top < 0 || top % d.stride != 0 || top / d.stride >= rows) return -1;
    return top / d.stride;
}

/* y[n,k,p,q] += w[k,c,r,s] * x[n,g*Cg+c,h,v]
 * so dx[n,g*Cg+c,h,v] is the sum of w[k,c,r,s] * dy[n,k,p,q] over all outputs that read this x. */
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

/* y[n,k,p,q] += w[k,c,r,s] * x[n,g*Cg+c,h,v]
 * so dw[k,c,r,s] is the sum of x[n,g*Cg+c,h,v] * dy[n,k,p,q] over all images and positions. */
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

/* y[n,k,p,q] = bias[k] + ...
 * so dbias[k] is the sum of dy[n,k,p,q] over all images and positions. */
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

static void backward(const op *o, const op_args *a)
{
    if (a->dx) backward_x(o, a);
    if (a->grad[0]) backward_w(o, a);
    if (o->conv.bias && a->grad[1]) backward_bias(o, a);
}

/* n2c3h5w5_o4k3s1p1, then g2 and b where there are groups, a bias */
static const layer_field fields[] = {
    { FIELD_INT, offsetof(op, conv.out), "_o" },
    { FIELD_INT, offsetof(op, conv.kernel), "k" },
    { FIELD_INT, offsetof(op, conv.stride), "s" },
    { FIELD_INT, offsetof(op, conv.pad), "p" },
    { FIELD_OPTIONAL, offsetof(op, conv.groups), "g" },
    { FIELD_FLAG, offsetof(op, conv.bias), "b" },
    { 0 },
};

const layer_type layer_conv = {
    .kind = OP_CONV,
    .name = "conv",
    .infer = infer,
    .params = params,
    .macs = macs,
    .needs = needs,
    .forward = forward,
    .backward = backward,
    .tolerance = 1e-5, /* Winograd's transforms have entries up to 8, and subtract: they lose a digit */
    .fields = fields,
    .usual = { .conv = { .groups = 1 } },
};
