/* layers/scale.c -- a factor for each channel, or one for all: an example of a new layer (tests/new_layer).
 *
 *   y[n,c,h,w] = weight[each ? c : 0] * x[n,c,h,w]
 *
 *   x, y [N, C, H, W]   weight [C] or [1]
 */
#include "loops.h"

static status infer(op *o)
{
    o->y = o->x;
    return OK;
}

static int n_weights(const op *o)
{
    return o->scale.each ? o->x.c : 1;
}

static int params(const op *o, param_spec spec[OP_MAX_PARAMS])
{
    spec[0] = (param_spec){ "weight", 1, { n_weights(o) }, true, PARAM_ONE, 1, 1 };
    return 1;
}

static op_needs needs(const op *o)
{
    (void)o;
    return (op_needs){ .backward_x = true };
}

/* The weight of element i of x. */
static int weight_of(const op *o, int64_t i)
{
    return o->scale.each ? (int)(i / (o->x.h * o->x.w) % o->x.c) : 0;
}

static void forward(const op *o, const op_args *a)
{
    const float *x = a->x, *weight = a->param[0];
    float *y = a->y;

#pragma omp parallel for
    for (int64_t i = 0; i < shape_count(o->x); i++) y[i] = (float)((double)weight[weight_of(o, i)] * x[i]);
}

/* y[i] = weight * x[i]
 * so dx[i] = weight * dy[i], and dweight is the sum of x[i] * dy[i] over all i that have this weight. */
static void backward(const op *o, const op_args *a)
{
    const float *x = a->x, *dy = a->dy, *weight = a->param[0];
    float *dx = a->dx, *dweight = a->grad[0];

#pragma omp parallel for
    for (int k = 0; k < n_weights(o); k++) {
        double sum = 0;
        for (int64_t i = 0; i < shape_count(o->x); i++) {
            if (weight_of(o, i) != k) continue;
            if (dx) store(&dx[i], a->dx_add, (double)weight[k] * dy[i]);
            sum += (double)x[i] * dy[i];
        }
        if (dweight) dweight[k] = (float)sum;
    }
}

/* n2c3h4w5_each */
static const layer_field fields[] = { { FIELD_FLAG, offsetof(op, scale.each), "_each" }, { 0 } };

const layer_type layer_scale = {
    .kind = OP_SCALE,
    .name = "scale",
    .infer = infer,
    .params = params,
    .needs = needs,
    .forward = forward,
    .backward = backward,
    .tolerance = 1e-6,
    .fields = fields,
};
