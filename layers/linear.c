/* layers/linear.c -- fully connected, with its activation: y = act(w x + bias)
 *   x [N, C, H, W] read as [N, C*H*W], w [K, C*H*W], bias [K], y [N, K, 1, 1] */
#include "layer.h"

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
    int64_t fan_in = shape_image(o->x);
    spec[0] = (param_spec){ .suffix = "weight",
                            .rank = 2,
                            .shape = { o->linear.out, fan_in },
                            .trainable = true,
                            .init = PARAM_UNIFORM,
                            .fan_in = fan_in,
                            .fan_out = o->linear.out };
    spec[1] = (param_spec){ .suffix = "bias",
                            .rank = 1,
                            .shape = { o->linear.out },
                            .trainable = true,
                            .init = PARAM_UNIFORM,
                            .fan_in = fan_in,
                            .fan_out = o->linear.out };
    return 2;
}

static int64_t macs(const op *o)
{
    return shape_image(o->x) * o->linear.out;
}

const layer_type layer_linear = { OP_LINEAR, "linear", infer, params, macs };
