/* core/device/op.h -- what every operation means: the one definition that ref, cpu and cuda implement.
 *
 * Notation: x [N,C,H,W] input, y [N,K,P,Q] output, R x S kernel; dx, dy, dw are gradients of the loss.
 * What libraries define differently is fixed here:
 *   - convolution is cross-correlation; no dilation; `pad` zeros on all four sides;
 *   - P = floor((H + 2 pad - R) / stride) + 1, for convolution and max pooling;
 *   - max pooling pads with -infinity and breaks ties towards the first value in row-major order;
 *   - BN normalises with the biased variance and records the unbiased one (n/(n-1)) in running_var;
 *     running = (1 - momentum) * running + momentum * batch; n = 1 is an error of the caller;
 *   - ReLU's derivative at 0 is 0; ReLU6's at 0 and at 6 is 0;
 *   - backward overwrites parameter gradients; it overwrites dx (dz), or adds where the arguments say so;
 *   - forward in training leaves in `saved` what backward needs besides x and y.
 */
#ifndef CLEAVE_OP_H
#define CLEAVE_OP_H

#include <stdbool.h>

#include "tensor.h"

typedef enum op_kind {
    OP_CONV,
    OP_BNACT,
    OP_POOL,
    OP_LINEAR,
    OP_DROPOUT,
    OP_SHORTCUT,
    OP_LOSS,
    OP_CONV_BNACT,
    OP_BNACT_POOL,
    OP_KINDS
} op_kind;
typedef enum activation { ACT_NONE, ACT_RELU, ACT_RELU6 } activation;
typedef enum pool_kind { POOL_MAX, POOL_AVG_GLOBAL } pool_kind;

/* y[n,k,p,q] = bias[k] + sum_{c,r,s} w[k,c,r,s] * x[n, g*C/groups + c, p*stride+r-pad, q*stride+s-pad]
 * with g = k / (K/groups). Parameters: 0 w [K, C/groups, R, R], 1 bias [K] if `bias`. */
typedef struct conv_desc {
    int out;    /* K */
    int kernel; /* R = S */
    int stride, pad, groups;
    bool bias;
} conv_desc;
/* Which of y, dx and dw is computed. */
typedef enum conv_direction { CONV_FORWARD, CONV_DATA, CONV_WEIGHTS, CONV_DIRECTIONS } conv_direction;

/* y = act(gamma * (x - mean) / sqrt(var + eps) + beta + z): [IS15] Alg. 1 and, with z, [He16] eq. 1.
 * training: mean, var of this batch over N, H, W; else running_mean, running_var. frozen, in training: the
 * running ones, too, which stay as they are and do not depend on x: evaluation's function, with a backward.
 * With op_args.shift [C], in training and not frozen, x stands for x + shift[c]: only running_mean can tell.
 * Parameters: 0 gamma [C], 1 beta [C], 2 running_mean [C], 3 running_var [C] (2 and 3 have no gradient). */
typedef struct bnact_desc {
    bool add;    /* z present: same shape as x */
    bool frozen; /* training by the running statistics */
    activation act;
    float eps, momentum;
} bnact_desc;

/* POOL_MAX: window kernel x kernel.  POOL_AVG_GLOBAL: y [N,C,1,1] = mean over H, W. */
typedef struct pool_desc {
    pool_kind kind;
    int kernel, stride, pad;
} pool_desc;

/* y[n,k] = act(bias[k] + sum_i w[k,i] x[n,i]); x is flattened NCHW, [N, C*H*W]; y is [N, out, 1, 1].
 * Parameters: 0 w [out, C*H*W], 1 bias [out]. */
typedef struct linear_desc {
    int out;
    activation act;
} linear_desc;

/* training: y_i = x_i / (1 - p) where u_i >= p, else 0; u_i = rng_uniform(seed, RNG_DROPOUT + layer,
 * step, i) with i the index in logical NCHW order, so that every device draws the same mask. Else y = x. */
typedef struct dropout_desc {
    float p; /* 0 <= p < 1 */
    int layer;
} dropout_desc;

/* Option A of [He16]: y[n, c + before, i, j] = x[n, c, i*stride, j*stride], other channels 0;
 * before = (out - C) / 2. No parameters. */
typedef struct shortcut_desc {
    int out, stride;
} shortcut_desc;

/* Softmax cross-entropy, mean over the rows whose label is >= 0 (rows of padding carry label -1):
 *   t = (1 - smoothing) * onehot + smoothing / C;  loss = -sum_c t_c log softmax(x)_c
 * x [N, C, 1, 1] logits; no y. forward adds to `stats`; backward writes dx = (softmax(x) - t) / rows. */
typedef struct loss_desc {
    float smoothing;
} loss_desc;

/* y = act(BN(conv(x)) + z): OP_CONV, then OP_BNACT by the running statistics, in one pass. Evaluation only; z has
 * the shape of y. A device may multiply by gamma / sqrt(var + eps) before the sum as well as behind it: that of a
 * channel can be folded into its weights. No net has such a node: compile makes one of two.
 * Parameters: 0 w, 1 bias if conv.bias, from CONV_BNACT_BN on those of OP_BNACT. */
typedef struct conv_bnact_desc {
    conv_desc conv;
    bnact_desc bnact;
} conv_bnact_desc;
enum { CONV_BNACT_BN = 2 };

/* y = pool(act(BN(x))): OP_BNACT without add, then POOL_MAX, in one pass. Training only; as OP_CONV_BNACT made by compile.
 * In bf16 what lies between is not rounded. Parameters: those of OP_BNACT. */
typedef struct bnact_pool_desc {
    bnact_desc bnact;
    pool_desc pool;
} bnact_pool_desc;

/* What backward will be asked for: anything; no dx; dx to overwrite; dx to add to. */
typedef enum dx_use { DX_ANY, DX_NONE, DX_SET, DX_ADD } dx_use;

/* BF16: x, y, z and their gradients are stored as bf16, rounded once (to nearest, ties to even) when stored,
 * and the weights of convolutions and of OP_LINEAR are rounded to bf16 where they are multiplied (those of
 * OP_CONV_BNACT before or after folding). All else is as in
 * F32: sums, biases, BN's parameters and statistics, parameter gradients, the loss. Where an activation is active
 * is told from y as stored. */
typedef struct op {
    op_kind kind;
    bool training; /* false: forward only, BN by running statistics, dropout is the identity */
    dtype type;    /* of x, y, z and their gradients; see below */
    shape4 x, y;
    union {
        conv_desc conv;
        bnact_desc bnact;
        pool_desc pool;
        linear_desc linear;
        dropout_desc dropout;
        shortcut_desc shortcut;
        loss_desc loss;
        conv_bnact_desc conv_bnact;
        bnact_pool_desc bnact_pool;
    };
    dx_use dx; /* of backward: a plan need not prepare for the rest */
} op;

/* The convolution, the normalisation in an operation that has one. */
static inline const conv_desc *op_conv(const op *o)
{
    return o->kind == OP_CONV_BNACT ? &o->conv_bnact.conv : &o->conv;
}
static inline const bnact_desc *op_bnact(const op *o)
{
    return o->kind == OP_CONV_BNACT   ? &o->conv_bnact.bnact
           : o->kind == OP_BNACT_POOL ? &o->bnact_pool.bnact
                                      : &o->bnact;
}

enum { OP_MAX_PARAMS = 6 };

#endif
