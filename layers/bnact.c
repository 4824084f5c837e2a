/* layers/bnact.c -- batch normalisation, optional residual add, activation in one unit:
 *   y = act(gamma * (x - mean) / sqrt(var + eps) + beta + z)            [IS15] Alg. 1, [He16] eq. 1
 *   x, z, y [N, C, H, W]; gamma, beta, running_mean, running_var [C]
 * One unit because each pass over an activation costs as much as the arithmetic of all three. */
#include "layer.h"

static status infer(op *o)
{
    status st = OK;
    if (!(o->bnact.eps > 0) || !(o->bnact.momentum >= 0 && o->bnact.momentum <= 1))
        FAIL(ERR_USAGE, "batch norm: eps %g or momentum %g out of range", (double)o->bnact.eps,
             (double)o->bnact.momentum);
    o->y = o->x;
out:
    return st;
}

static int params(const op *o, param_spec spec[OP_MAX_PARAMS])
{
    static const struct {
        const char *suffix;
        bool trainable;
        param_init init;
    } table[] = {
        { "weight", true, PARAM_ONE },
        { "bias", true, PARAM_ZERO },
        { "running_mean", false, PARAM_ZERO },
        { "running_var", false, PARAM_ONE },
    };
    for (int i = 0; i < 4; i++)
        spec[i] = (param_spec){ .suffix = table[i].suffix,
                                .rank = 1,
                                .shape = { o->x.c },
                                .trainable = table[i].trainable,
                                .init = table[i].init,
                                .fan_in = 1,
                                .fan_out = 1 };
    return 4;
}

const layer_type layer_bnact = { OP_BNACT, "bnact", infer, params, layer_no_macs };
