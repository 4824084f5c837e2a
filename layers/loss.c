/* layers/loss.c -- softmax cross-entropy with label smoothing [Szegedy16] sec. 7, mean over the batch:
 *   loss = -1/N sum_n sum_c t[n,c] log softmax(x[n])_c,  t = (1 - s) onehot(label) + s / C
 *   x [N, C, 1, 1] logits; dx = (softmax(x) - t) / N. The output has the shape of the logits and is not stored. */
#include "layer.h"

static status infer(op *o)
{
    status st = OK;
    if (o->x.h != 1 || o->x.w != 1)
        FAIL(ERR_USAGE, "loss: logits of %dx%d pixels; expected 1x1", o->x.h, o->x.w);
    if (!(o->loss.smoothing >= 0 && o->loss.smoothing < 1))
        FAIL(ERR_USAGE, "loss: label smoothing %g is not in [0, 1)", (double)o->loss.smoothing);
    o->y = o->x;
out:
    return st;
}

const layer_type layer_loss = { OP_LOSS, "loss", infer, layer_no_params, layer_no_macs };
