/* core/device/fusion.h -- two neighbouring operations planned as one: y = then(first(x)).
 *
 * A net asks for this where nothing but `then` reads the output of `first`. That output need not be stored, which saves
 * passes over memory, and is not rounded to bf16 in a bf16 net. A factor for each channel, such as BN's
 * gamma / sqrt(var + eps), may be folded into the weights in front of it; bf16 weights may be rounded before or after.
 *
 * In op_args, x is that of `first`; y and z are those of `then` (`first` has no z). The parameters of `first` begin at
 * param[0], those of `then` at param[FUSED_PARAM], and grad likewise. All else is as in core/device/backend.h.
 */
#ifndef CLEAVE_FUSION_H
#define CLEAVE_FUSION_H

#include "backend.h"

enum { FUSED_PARAM = OP_MAX_PARAMS };

struct backend_fusion {
    /* NULL if the device can plan the two as one, else one line that says why not. */
    const char *(*unsupported)(backend *, const op *first, const op *then);
    /* The plan is run and freed like any other. */
    status (*plan)(backend *, const op *first, const op *then, plan **out, op_needs *needs);
};

#endif
