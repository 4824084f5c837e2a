/* core/cuda/arithmetic.h -- the arithmetic of the kernels, one value at a time. Compiles as C, C++ and CUDA. */
#ifndef CLEAVE_CUDA_ARITHMETIC_H
#define CLEAVE_CUDA_ARITHMETIC_H

#include "../device/op.h"

#include <math.h>

/* --- bf16 (core/device/tensor.h) as a type of its own, so that functions can be overloaded --- */

typedef struct bf16 {
    uint16_t bits;
} bf16;

HOST_DEVICE float bf16_to_float(bf16 v)
{
    return bf16_to(v.bits);
}

HOST_DEVICE bf16 bf16_from_float(float f)
{
    const bf16 v = { bf16_from(f) };
    return v;
}

/* --- activations --- */

/* y = act(v). NaN stays NaN, so that a diverged training is noticed. */
HOST_DEVICE float act_forward(activation act, float v)
{
    if (act != ACT_NONE && v < 0) return 0;
    if (act == ACT_RELU6 && v > 6) return 6;
    return v;
}

/* act'(v), which is 0 or 1, from y = act(v) as it was stored. */
HOST_DEVICE bool act_passes(activation act, float y)
{
    return !(act != ACT_NONE && y <= 0) && !(act == ACT_RELU6 && y >= 6);
}

/* --- batch normalisation --- */

/* One channel. mean = mean_high + mean_low: rounded to one float, the mean would be off by up to 2^-24 |mean|. If the
 * mean is much larger than the standard deviation, that is too much. */
typedef struct bn_channel {
    float mean_high, mean_low, inv; /* inv = 1 / sqrt(var + eps) */
} bn_channel;

/* From the sums over m values of (x - shift) and of its square; each = 1 / m. shift is any value near the mean. *var is
 * the biased variance. */
HOST_DEVICE bn_channel bn_from_sums(double sum, double squares, float shift, double each, double eps,
                                    double *mean, double *var)
{
    bn_channel c;
    const double offset = sum * each, v = squares * each - offset * offset;
    *mean = shift + offset;
    *var = v > 0 || v != v ? v : 0; /* rounding can make the difference negative; NaN stays */
    c.mean_high = (float)*mean;
    c.mean_low = (float)(*mean - (double)c.mean_high);
    c.inv = (float)(1 / sqrt(*var + eps));
    return c;
}

HOST_DEVICE float bn_running(float running, double batch, double momentum)
{
    return (float)((1 - momentum) * running + momentum * batch);
}

/* gamma * xh + beta, where xh = (x - mean) * inv, as scale * (x - mean_high) + offset. */
typedef struct bn_line {
    float mean_high, scale, offset;
} bn_line;

HOST_DEVICE bn_line bn_line_of(bn_channel c, float gamma, float beta)
{
    const float scale = gamma * c.inv;
    const bn_line l = { c.mean_high, scale, fmaf(-scale, c.mean_low, beta) };
    return l;
}

HOST_DEVICE float bn_affine(bn_line l, float x)
{
    return fmaf(l.scale, x - l.mean_high, l.offset);
}

/* dx = gamma * inv * (g - mean_g - xh * mean_gx), where mean_g = dbeta / m and mean_gx = dgamma / m, as
 * of_g * g + of_x * (x - mean_high) + offset. */
typedef struct bn_slope {
    float mean_high, of_g, of_x, offset;
} bn_slope;

HOST_DEVICE bn_slope bn_slope_of(bn_channel c, float gamma, float mean_g, float mean_gx)
{
    const float of_g = gamma * c.inv, of_x = -of_g * c.inv * mean_gx;
    const bn_slope s = { c.mean_high, of_g, of_x, -fmaf(of_g, mean_g, of_x * c.mean_low) };
    return s;
}

HOST_DEVICE float bn_dx(bn_slope s, float x, float g)
{
    return fmaf(s.of_g, g, fmaf(s.of_x, x - s.mean_high, s.offset));
}

/* --- softmax cross-entropy, in double: there are few logits --- */

HOST_DEVICE double loss_target(double smoothing, int classes, bool is_label)
{
    return (is_label ? 1 - smoothing : 0) + smoothing / classes;
}

/* lse = log sum exp of the row's logits; x is one of them. */
HOST_DEVICE double loss_term(double smoothing, int classes, bool is_label, double x, double lse)
{
    return -loss_target(smoothing, classes, is_label) * (x - lse);
}

HOST_DEVICE double loss_grad(double smoothing, int classes, bool is_label, double x, double lse, int rows)
{
    return (exp(x - lse) - loss_target(smoothing, classes, is_label)) / rows;
}

/* --- SGD, [PyTorch] --- */

HOST_DEVICE void sgd_update(float *value, float *velocity, float grad, float lr, float momentum,
                            float weight_decay, bool nesterov)
{
    const float g = fmaf(weight_decay, *value, grad);
    const float v = fmaf(momentum, *velocity, g);
    *velocity = v;
    *value -= lr * (nesterov ? fmaf(momentum, v, g) : v);
}

/* --- positions in memory: values are NHWC, channels innermost --- */

/* Index of logical [n, c, h, w]. */
HOST_DEVICE int64_t nhwc_at(shape4 s, int n, int c, int h, int w)
{
    return (((int64_t)n * s.h + h) * s.w + w) * s.c + c;
}

typedef struct nhw {
    int n, h, w;
} nhw;

/* Image, line and column of pixel i, counted over all images in NHWC order. There must be fewer than 2^32 pixels:
 * 64-bit divisions are slow. */
HOST_DEVICE nhw nhw_of(shape4 s, int64_t i)
{
    const uint32_t line = (uint32_t)i / (uint32_t)s.w, n = line / (uint32_t)s.h;
    const nhw at = { (int)n, (int)(line - n * (uint32_t)s.h), (int)((uint32_t)i - line * (uint32_t)s.w) };
    return at;
}

/* Vector i of a value: its pixel, and which of the pixel's `row_vectors` vectors it is. There must be fewer than
 * 2^32. */
typedef struct vector_place {
    int64_t pixel;
    int vector;
} vector_place;

HOST_DEVICE vector_place vector_of(int64_t i, int row_vectors)
{
    const uint32_t pixel = (uint32_t)i / (uint32_t)row_vectors;
    const vector_place at = { pixel, (int)((uint32_t)i - pixel * (uint32_t)row_vectors) };
    return at;
}

/* Index in NHWC order -> index in NCHW order. */
HOST_DEVICE int64_t nhwc_to_nchw(shape4 s, int64_t i)
{
    const int64_t hw = (int64_t)s.h * s.w, c = i % s.c, pixel = i / s.c;
    return (pixel / hw * s.c + c) * hw + pixel % hw;
}

/* Weights. PyTorch stores [K][C][R*R]: channel c of filter k, pair = k * C + c, begins at pair * R*R. cuDNN reads
 * [K][R*R][C]: the pair begins at the index returned here, and its R*R values are C apart. The weights of a linear
 * layer on [C, H, W] are reordered in the same way, with H*W for R*R. */
HOST_DEVICE int64_t krsc_begin(int channels, int window, int pair)
{
    const int k = pair / channels;
    return (int64_t)k * window * channels + (pair - k * channels);
}

/* Pooling, along one axis. Input h is element 0 .. kernel - 1 of the window of output p, or -1: not in it. */
HOST_DEVICE int pool_element(int h, int p, int stride, int pad, int kernel)
{
    const int r = h + pad - p * stride;
    return r >= 0 && r < kernel ? r : -1;
}

/* The first and the last output whose window can contain input h. */
HOST_DEVICE int pool_first(int h, int stride, int pad, int kernel)
{
    const int top = h + pad - kernel + 1;
    return top <= 0 ? 0 : (top + stride - 1) / stride;
}

HOST_DEVICE int pool_last(int h, int stride, int pad, int outputs)
{
    const int last = (h + pad) / stride;
    return last < outputs ? last : outputs - 1;
}

/* --- similarities (core/device/backend.h) --- */

/* A row is multiplied by this; a row of zeros stays zero. */
HOST_DEVICE double row_scale(double norm)
{
    return 1 / fmax(norm, 1e-8);
}

/* From the row's sum of squares. NaN if a value is not finite: sums of squares of finite floats do not overflow
 * double. */
HOST_DEVICE double row_norm(double squares)
{
    return squares - squares == 0 ? sqrt(squares) : (double)NAN;
}

/* The first column of row r of a tile that is above the matrix's diagonal. */
HOST_DEVICE int tile_from(int row0, int r, int col0)
{
    const int c = row0 + r + 1 - col0;
    return c > 0 ? c : 0;
}

#endif
