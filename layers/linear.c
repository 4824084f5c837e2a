/* layers/linear.c -- the fully connected layer, with its activation.
 *
 *   y[n,k] = act(bias[k] + sum over i of w[k,i] * x[n,i])
 *
 *   x [N, D], an image [C, H, W] flattened to D = C*H*W values   w [K, D]   bias [K]   y [N, K, 1, 1]
 */
#include "loops.h"

static status infer(op *o)
{
    status st = OK;
    if (o->linear.out < 1) FAIL(ERR_USAGE, "linear: %d outputs", o->linear.out);
    o->y = (shape4){ o->x.n, o->linear.out, 1, 1 };
out:
    return st;
}

static int params(const op *o, param_spec spec[OP_MAX_PARAMS])
{
    const int64_t D = shape_image(o->x), K = o->linear.out;
    spec[0] = (param_spec){ "weight", 2, { K, D }, true, PARAM_UNIFORM, D, K };
    spec[1] = (param_spec){ "bias", 1, { K }, true, PARAM_UNIFORM, D, K };
    return 2;
}

static int64_t macs(const op *o)
{
    return shape_image(o->x) * o->linear.out;
}

static op_needs needs(const op *o)
{
    return (op_needs){ .backward_x = true, .backward_y = o->linear.act != ACT_NONE };
}

static void forward(const op *o, const op_args *a)
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

/* y = act(v): the gradient of v is dy where the activation let v pass, else 0. */
static double dv(const op *o, const op_args *a, int64_t nk)
{
    const activation act = o->linear.act;
    const float *y = a->y, *dy = a->dy;
    return act_backward(act, act ? y[nk] : 0, dy[nk]);
}

/* v[n,k] += w[k,i] * x[n,i]
 * so dx[n,i] is the sum of w[k,i] * dv[n,k] over all outputs k. */
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

/* v[n,k] += w[k,i] * x[n,i]
 * so dw[k,i] is the sum of x[n,i] * dv[n,k] over all images n. */
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

/* v[n,k] = bias[k] + ...
 * so dbias[k] is the sum of dv[n,k] over all images n. */
static void backward_bias(const op *o, const op_args *a)
{
    const int N = o->x.n, K = o->linear.out;

    for (int k = 0; k < K; k++) {
        double sum = 0;
        for (int n = 0; n < N; n++) sum += dv(o, a, (int64_t)n * K + k);
        a->grad[1][k] = (float)sum;
    }
}

static void backward(const op *o, const op_args *a)
{
    if (a->dx) backward_x(o, a);
    if (a->grad[0]) backward_w(o, a);
    if (a->grad[1]) backward_bias(o, a);
}

/* n3c24h1w1_o10_relu */
static const layer_field fields[] = {
    { FIELD_INT, offsetof(op, linear.out), "_o" },
    { FIELD_CHOICE, offsetof(op, linear.act), .words = activation_words },
    { 0 },
};

const layer_type layer_linear = {
    .kind = OP_LINEAR,
    .name = "linear",
    .infer = infer,
    .params = params,
    .macs = macs,
    .needs = needs,
    .forward = forward,
    .backward = backward,
    .tolerance = 4e-6,
    .fields = fields,
};
