/* layers/pool.c -- max pooling over R x R windows, and the global average:
 *   max: x [N, C, H, W], y [N, C, P, Q], P = floor((H + 2 pad - R) / stride) + 1
 *   avg: y [N, C, 1, 1] */
#include "layer.h"

static status infer(op *o)
{
    status st = OK;
    const pool_desc *p = &o->pool;
    if (p->kind == POOL_AVG_GLOBAL) {
        o->y = (shape4){ o->x.n, o->x.c, 1, 1 };
        goto out;
    }
    if (p->kernel < 1 || p->stride < 1 || p->pad < 0 || 2 * p->pad > p->kernel)
        FAIL(ERR_USAGE, "max pool: window %d, stride %d, pad %d cannot be", p->kernel, p->stride, p->pad);
    if (o->x.h + 2 * p->pad < p->kernel || o->x.w + 2 * p->pad < p->kernel)
        FAIL(ERR_USAGE, "max pool: a %dx%d window does not fit a %dx%d image", p->kernel, p->kernel, o->x.h,
             o->x.w);
    o->y = (shape4){ o->x.n, o->x.c, (o->x.h + 2 * p->pad - p->kernel) / p->stride + 1,
                     (o->x.w + 2 * p->pad - p->kernel) / p->stride + 1 };
out:
    return st;
}

const layer_type layer_pool = { OP_POOL, "pool", infer, layer_no_params, layer_no_macs };
