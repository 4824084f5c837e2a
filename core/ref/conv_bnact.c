/* core/ref/conv_bnact.c -- a convolution, then BN by the running statistics, an optional shortcut, an activation.
 *
 *   y = act(gamma * (conv(x) - mean) / sqrt(var + eps) + beta + z)
 *
 * It is these two operations one after the other and nothing else; what the fast ones make of it, folding a
 * factor for each channel into the weights, must come to the same.
 */
#include "ref.h"

void ref_conv_bnact_forward(const op *o, const op_args *a)
{
    const op conv = { .kind = OP_CONV, .x = o->x, .y = o->y, .conv = o->conv_bnact.conv };
    const op bnact = { .kind = OP_BNACT, .x = o->y, .y = o->y, .bnact = o->conv_bnact.bnact };
    op_args behind = *a;
    behind.x = a->y; /* in place: a value is read before it is written */
    for (int i = 0; i < 4; i++) behind.param[i] = a->param[CONV_BNACT_BN + i];
    ref_conv_forward(&conv, a);
    ref_bnact_forward(&bnact, &behind);
}
