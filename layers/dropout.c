/* layers/dropout.c -- inverted dropout [Srivastava14]: in training each value is zeroed with probability p and
 * the others are divided by 1 - p, so that evaluation is the identity. The mask is drawn by counter (core/device/op.h). */
#include "layer.h"

static status infer(op *o)
{
    status st = OK;
    if (!(o->dropout.p >= 0 && o->dropout.p < 1))
        FAIL(ERR_USAGE, "dropout: p = %g is not in [0, 1)", (double)o->dropout.p);
    o->y = o->x;
out:
    return st;
}

const layer_type layer_dropout = { OP_DROPOUT, "dropout", infer, layer_no_params, layer_no_macs };
