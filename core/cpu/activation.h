/* core/cpu/activation.h -- activations of a vector, and where their derivative is 1. */
#ifndef CLEAVE_CPU_ACTIVATION_H
#define CLEAVE_CPU_ACTIVATION_H

#include "../device/op.h"
#include "vec.h"

/* Written so that NaN passes through, to be seen in the loss. */
INLINED vec activate(activation act, vec v)
{
    if (act != ACT_NONE) v = select_lanes(v <= splat(0), splat(0), v);
    if (act == ACT_RELU6) v = select_lanes(v >= splat(6), splat(6), v);
    return v;
}

/* Of v before the activation. bf16 stores what is 6 - 2^-6 or more as 6, which is ReLU6's kink. */
INLINED ivec is_active(activation act, vec v, dtype stored)
{
    if (act == ACT_NONE) return ~(ivec){ 0 };
    ivec on = v > splat(0);
    if (act == ACT_RELU6) on &= v < splat(stored == BF16 ? 6 - 0x1p-6f : 6);
    return on;
}

#endif
