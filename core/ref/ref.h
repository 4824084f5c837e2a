/* core/ref/ref.h -- what the files of the reference backend share.
 *
 * This backend is the definition: it is written to be read, and it judges the fast ones. Each operation
 * is one file: `forward` is the equation as loops; `backward` is its derivative and quotes the line it
 * differentiates. Every array is plain NCHW float in host memory; every sum is kept in double and rounded
 * once, when it is stored (but for max pooling's dx where windows overlap, and what is added to). Only the
 * outermost loops run in parallel, and each of their turns writes values of its own, so that the result does
 * not depend on the number of threads.
 */
#ifndef CLEAVE_REF_H
#define CLEAVE_REF_H

#include "../device/backend.h"
#include "../device/products.h"

void ref_conv_forward(const op *, const op_args *);
void ref_conv_backward(const op *, const op_args *);
void ref_bnact_forward(const op *, const op_args *);
void ref_bnact_again(const op *, const op_args *);
void ref_bnact_backward(const op *, const op_args *);
void ref_conv_bnact_forward(const op *, const op_args *);
size_t ref_bnact_pool_saved(const op *);
void ref_bnact_pool_forward(const op *, const op_args *);
void ref_bnact_pool_again(const op *, const op_args *);
void ref_bnact_pool_backward(const op *, const op_args *);
void ref_pool_forward(const op *, const op_args *);
void ref_pool_backward(const op *, const op_args *);
void ref_linear_forward(const op *, const op_args *);
void ref_linear_backward(const op *, const op_args *);
void ref_dropout_forward(const op *, const op_args *, const step_scalars *);
void ref_dropout_backward(const op *, const op_args *, const step_scalars *);
void ref_shortcut_forward(const op *, const op_args *);
void ref_shortcut_backward(const op *, const op_args *);
void ref_loss_forward(const op *, const op_args *);
void ref_loss_backward(const op *, const op_args *);

void ref_sgd(const step_scalars *, float *value, const float *grad, float *velocity, int64_t count);
void ref_gram_nt(dtype, int m, int n, int64_t k, const void *a, int64_t lda, const void *b, int64_t ldb,
                 bool upper, float *c, int64_t ldc);
void ref_gram_i8(int m, int n, int64_t k, i8_rows a, i8_rows b, bool upper, float *c, int64_t ldc);

/* ---- bf16.c: values in bf16 are computed on f32 copies, so that there is one definition ---- */

size_t ref_copies_bytes(const op *); /* of scratch */
/* The arguments with all values, and the weights that are multiplied, as f32 in args->scratch. */
op_args ref_copies(const op *, const op_args *args);
/* Rounds what forward, what backward has written in the copies, and stores it where args say. */
void ref_store_forward(const op *, const op_args *copies, const op_args *args);
void ref_store_backward(const op *, const op_args *copies, const op_args *args);
void ref_to_bf16(const float *from, void *to, int64_t n);
void ref_from_bf16(const void *from, float *to, int64_t n);

/* Where [n, c, h, w] is in an NCHW array of shape s. */
static inline int64_t at(shape4 s, int n, int c, int h, int w)
{
    return (((int64_t)n * s.c + c) * s.h + h) * s.w + w;
}

/* The end of a gradient: overwrite what is there, or add to it. */
static inline void store(float *to, bool add, double value)
{
    *to = (float)(add ? *to + value : value);
}

/* y = act(v): none v, ReLU max(v, 0), ReLU6 min(max(v, 0), 6). NaN stays NaN, so that it is noticed. */
static inline double act_forward(activation act, double v)
{
    if (act != ACT_NONE && v < 0) return 0;
    if (act == ACT_RELU6 && v > 6) return 6;
    return v;
}

/* dv = dy * act'(v), where act'(v) is 1 or 0 and can be told from y alone. */
static inline double act_backward(activation act, double y, double dy)
{
    if (act != ACT_NONE && y <= 0) return 0;
    if (act == ACT_RELU6 && y >= 6) return 0;
    return dy;
}

#endif
