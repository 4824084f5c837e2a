/* layers/shortcut.c -- option A of [He16] sec. 3.3: the identity where the shape changes, without parameters:
 * every stride-th pixel, and zero channels on both sides.
 *   x [N, C, H, W], y [N, K, ceil(H / stride), ceil(W / stride)]; y[:, (K-C)/2 + c] = x[:, c, ::stride, ::stride] */
#include "layer.h"

static status infer(op *o)
{
    status st = OK;
    const shortcut_desc *s = &o->shortcut;
    if (s->stride < 1 || s->out < o->x.c || (s->out - o->x.c) % 2)
        FAIL(ERR_USAGE, "shortcut: from %d to %d channels with stride %d cannot be padded evenly", o->x.c,
             s->out, s->stride);
    o->y = (shape4){ o->x.n, s->out, (o->x.h + s->stride - 1) / s->stride,
                     (o->x.w + s->stride - 1) / s->stride };
out:
    return st;
}

const layer_type layer_shortcut = { OP_SHORTCUT, "shortcut", infer, layer_no_params, layer_no_macs };
