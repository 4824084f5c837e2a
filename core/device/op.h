/* core/device/op.h -- how an operation is described to a device. layers/NAME.c defines each operation, as loops.
 *
 * Notation: x [N,C,H,W] input, y [N,K,P,Q] output, R x S kernel; dx, dy, dw are gradients of the loss.
 * Libraries differ in these points, which are fixed here:
 *   - convolution is cross-correlation without dilation; `pad` rows and columns of zeros on all four sides;
 *   - P = floor((H + 2 pad - R) / stride) + 1, for convolution and max pooling;
 *   - max pooling pads with -infinity; of equal values the first in row-major order counts;
 *   - BN normalises with the biased variance and records the unbiased one (n/(n-1)) in running_var;
 *     running = (1 - momentum) * running + momentum * batch; n = 1 is an error of the caller;
 *   - ReLU's derivative at 0 is 0; ReLU6's at 0 and at 6 is 0;
 *   - backward overwrites the gradients of parameters; it overwrites dx and dz, or adds to them if the arguments say so;
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
 * In training, mean and var are those of this batch over N, H, W; in evaluation, running_mean and running_var. With
 * `frozen`, training uses the running ones too, and leaves them as they are: the function of evaluation, with a backward.
 * With op_args.shift [C], in training and not frozen, x stands for x + shift[c]; this changes only running_mean.
 * Parameters: 0 gamma [C], 1 beta [C], 2 running_mean [C], 3 running_var [C] (2 and 3 have no gradient). */
typedef struct bnact_desc {
    bool add;    /* z present: same shape as x */
    bool frozen; /* training normalises by the running statistics */
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

/* In training, y_i = x_i / (1 - p) where u_i >= p, else 0; in evaluation, y = x.
 * u_i = rng_uniform(seed, RNG_DROPOUT + layer, step, i) with i the index in NCHW order: every device draws the same mask. */
typedef struct dropout_desc {
    float p;   /* 0 <= p < 1 */
    int layer; /* number of this dropout in its net */
} dropout_desc;

/* Option A of [He16]: y[n, c + before, i, j] = x[n, c, i*stride, j*stride], other channels 0;
 * before = (out - C) / 2, rounded down. No parameters. */
typedef struct shortcut_desc {
    int out, stride;
} shortcut_desc;

/* Softmax cross-entropy, the mean over the rows whose label is >= 0. Rows that only fill up the batch have label -1.
 *   t = (1 - smoothing) * onehot + smoothing / C;  loss = -sum_c t_c log softmax(x)_c
 * x [N, C, 1, 1] logits; no y. forward adds to `stats`; backward writes dx = (softmax(x) - t) / rows. */
typedef struct loss_desc {
    float smoothing;
} loss_desc;

/* How backward treats dx. DX_ANY: in any of these ways. DX_NONE: it is not computed. DX_SET: it is overwritten. DX_ADD:
 * it is added to. */
typedef enum dx_use { DX_ANY, DX_NONE, DX_SET, DX_ADD } dx_use;

/* In BF16, x, y, z and their gradients are stored as bf16, each rounded once (to nearest, ties to even) when it is
 * stored. The weights of OP_CONV and OP_LINEAR are rounded to bf16 where they are multiplied. All else is as in F32: sums,
 * biases, BN's parameters and statistics, gradients of parameters, the loss. Backward decides by the stored y which
 * values an activation cut off. */
typedef struct op {
    op_kind kind;
    bool training; /* false: forward only, BN by running statistics, dropout is the identity */
    dtype type;    /* of x, y, z and their gradients */
    shape4 x, y;
    union {
        conv_desc conv;
        bnact_desc bnact;
        pool_desc pool;
        linear_desc linear;
        dropout_desc dropout;
        shortcut_desc shortcut;
        loss_desc loss;
    };
    dx_use dx; /* what a plan has to prepare for */
} op;

enum { OP_MAX_PARAMS = 4 }; /* of one operation */

#endif
