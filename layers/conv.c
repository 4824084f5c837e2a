/* layers/conv.c -- convolution, [LeCun98]; grouped and depthwise as in [Howard17].
 *   x [N, C, H, W], w [K, C/g, R, R], bias [K] or none, y [N, K, P, Q]
 *   P = floor((H + 2 pad - R) / stride) + 1, Q likewise */
#include "layer.h"

static status infer(op *o)
{
    status st = OK;
    const conv_desc *c = &o->conv;
    if (c->out < 1 || c->kernel < 1 || c->stride < 1 || c->pad < 0 || c->groups < 1)
        FAIL(ERR_USAGE, "convolution: %d filters of %dx%d, stride %d, pad %d, groups %d cannot be", c->out,
             c->kernel, c->kernel, c->stride, c->pad, c->groups);
    if (o->x.c % c->groups || c->out % c->groups)
        FAIL(ERR_USAGE,
             "convolution: %d groups divide neither or only one of %d input and %d output channels",
             c->groups, o->x.c, c->out);
    if (o->x.h + 2 * c->pad < c->kernel || o->x.w + 2 * c->pad < c->kernel)
        FAIL(ERR_USAGE, "convolution: a %dx%d kernel does not fit a %dx%d image with padding %d", c->kernel,
             c->kernel, o->x.h, o->x.w, c->pad);
    o->y = (shape4){ o->x.n, c->out, (o->x.h + 2 * c->pad - c->kernel) / c->stride + 1,
                     (o->x.w + 2 * c->pad - c->kernel) / c->stride + 1 };
out:
    return st;
}

static int params(const op *o, param_spec spec[OP_MAX_PARAMS])
{
    const conv_desc *c = &o->conv;
    int64_t window = (int64_t)c->kernel * c->kernel, fan_in = o->x.c / c->groups * window,
            fan_out = c->out * window;
    spec[0] = (param_spec){ .suffix = "weight",
                            .rank = 4,
                            .shape = { c->out, o->x.c / c->groups, c->kernel, c->kernel },
                            .trainable = true,
                            .init = PARAM_UNIFORM,
                            .fan_in = fan_in,
                            .fan_out = fan_out };
    spec[1] = (param_spec){ .suffix = "bias",
                            .rank = 1,
                            .shape = { c->out },
                            .trainable = true,
                            .init = PARAM_UNIFORM,
                            .fan_in = fan_in,
                            .fan_out = fan_out };
    return c->bias ? 2 : 1;
}

static int64_t macs(const op *o)
{
    return (int64_t)o->y.c * o->y.h * o->y.w * (o->x.c / o->conv.groups) * o->conv.kernel * o->conv.kernel;
}

const layer_type layer_conv = { OP_CONV, "conv", infer, params, macs };
