/* core/cuda/math.h -- the arithmetic of the kernels, one value at a time, for the device and for the host
 * (tests/cuda/test_emulated.c compares what is made of it with core/ref). Compiles as C and as CUDA. */
#ifndef CLEAVE_CUDA_MATH_H
#define CLEAVE_CUDA_MATH_H

#include "../device/op.h"

#include <math.h>
#include <string.h>

#ifdef __CUDACC__
#define HD __host__ __device__ static inline
#else
#define HD static inline
#endif

/* --- bf16: the upper half of a float --- */

typedef struct bf16 {
    uint16_t bits;
} bf16;

HD float bf16_to_float(bf16 v)
{
    const uint32_t bits = (uint32_t)v.bits << 16;
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

/* To the nearest, ties to even. NaN stays NaN: rounding its mantissa up could make it infinite. */
HD bf16 bf16_from_float(float f)
{
    bf16 v;
#ifdef __CUDA_ARCH__ /* one instruction */
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(v.bits) : "f"(f));
#else
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    if ((bits & 0x7fffffffu) > 0x7f800000u)
        v.bits = 0x7fff;
    else
        v.bits = (uint16_t)((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
#endif
    return v;
}

/* --- activations --- */

/* y = act(v). NaN stays NaN, so that it is noticed. */
HD float cuda_act(activation act, float v)
{
    if (act != ACT_NONE && v < 0) return 0;
    if (act == ACT_RELU6 && v > 6) return 6;
    return v;
}

/* act'(v), which is 0 or 1, told from y. */
HD bool cuda_act_passes(activation act, float y)
{
    return !(act != ACT_NONE && y <= 0) && !(act == ACT_RELU6 && y >= 6);
}

/* --- batch normalisation --- */

/* One channel. mean = mean_high + mean_low: in one float it would be off by up to 2^-24 |mean|, which is
 * large beside the deviation where the mean is. */
typedef struct bn_channel {
    float mean_high, mean_low, inv; /* inv = 1 / sqrt(var + eps) */
} bn_channel;

/* From the sums over m values of (x - shift) and of its square, each = 1 / m. shift is any value near the mean; *var is
 * the biased variance. */
HD bn_channel bn_from_sums(double sum, double squares, float shift, double each, double eps, double *mean,
                           double *var)
{
    bn_channel c;
    const double offset = sum * each, v = squares * each - offset * offset;
    *mean = shift + offset;
    *var = v > 0 || v != v ? v : 0; /* the difference of two rounded numbers; NaN stays */
    c.mean_high = (float)*mean;
    c.mean_low = (float)(*mean - (double)c.mean_high);
    c.inv = (float)(1 / sqrt(*var + eps));
    return c;
}

HD float bn_running(float running, double batch, double momentum)
{
    return (float)((1 - momentum) * running + momentum * batch);
}

/* gamma * xh + beta, where xh = (x - mean) * inv, as scale * (x - mean_high) + offset. */
typedef struct bn_line {
    float mean_high, scale, offset;
} bn_line;

HD bn_line bn_line_of(bn_channel c, float gamma, float beta)
{
    const float scale = gamma * c.inv;
    const bn_line l = { c.mean_high, scale, fmaf(-scale, c.mean_low, beta) };
    return l;
}

HD float bn_affine(bn_line l, float x)
{
    return fmaf(l.scale, x - l.mean_high, l.offset);
}

/* dx = gamma * inv * (g - mean_g - xh * mean_gx), mean_g = dbeta / m and mean_gx = dgamma / m, as
 * of_g * g + of_x * (x - mean_high) + offset. */
typedef struct bn_slope {
    float mean_high, of_g, of_x, offset;
} bn_slope;

HD bn_slope bn_slope_of(bn_channel c, float gamma, float mean_g, float mean_gx)
{
    const float of_g = gamma * c.inv, of_x = -of_g * c.inv * mean_gx;
    const bn_slope s = { c.mean_high, of_g, of_x, -fmaf(of_g, mean_g, of_x * c.mean_low) };
    return s;
}

HD float bn_dx(bn_slope s, float x, float g)
{
    return fmaf(s.of_g, g, fmaf(s.of_x, x - s.mean_high, s.offset));
}

/* --- softmax cross-entropy: double, there are few logits --- */

HD double loss_term(double smoothing, int classes, bool is_label, double x, double lse)
{
    const double target = (is_label ? 1 - smoothing : 0) + smoothing / classes;
    return -target * (x - lse);
}

HD double loss_grad(double smoothing, int classes, bool is_label, double x, double lse, int rows)
{
    const double target = (is_label ? 1 - smoothing : 0) + smoothing / classes;
    return (exp(x - lse) - target) / rows;
}

/* --- SGD, [PyTorch] --- */

HD void sgd_update(float *value, float *velocity, float grad, float lr, float momentum, float weight_decay,
                   bool nesterov)
{
    const float g = fmaf(weight_decay, *value, grad);
    const float v = fmaf(momentum, *velocity, g);
    *velocity = v;
    *value -= lr * (nesterov ? fmaf(momentum, v, g) : v);
}

/* --- places --- */

/* shape_count and shape_image (core/device/tensor.h), also on the device. */
HD int64_t values_of_image(shape4 s)
{
    return (int64_t)s.c * s.h * s.w;
}
HD int64_t values_of(shape4 s)
{
    return s.n * values_of_image(s);
}

/* Where logical [n, c, h, w] is in a value: channels innermost. */
HD int64_t nhwc_at(shape4 s, int n, int c, int h, int w)
{
    return (((int64_t)n * s.h + h) * s.w + w) * s.c + c;
}

/* Where pixel i of all images is, in NHWC order. There are fewer than 2^32: long divisions take long. */
typedef struct nhw {
    int n, h, w;
} nhw;
HD nhw nhw_of(shape4 s, int64_t i)
{
    const uint32_t row = (uint32_t)i / (uint32_t)s.w, n = row / (uint32_t)s.h;
    const nhw at = { (int)n, (int)(row - n * (uint32_t)s.h), (int)((uint32_t)i - row * (uint32_t)s.w) };
    return at;
}

/* Vector i of a value: of which pixel of all images, and which of its `row_vectors`. There are fewer than 2^32. */
typedef struct vector_place {
    int64_t pixel;
    int channel;
} vector_place;
HD vector_place vector_of(int64_t i, int row_vectors)
{
    const uint32_t pixel = (uint32_t)i / (uint32_t)row_vectors;
    const vector_place at = { pixel, (int)((uint32_t)i - pixel * (uint32_t)row_vectors) };
    return at;
}

/* Index in NHWC order -> index in NCHW order. */
HD int64_t nhwc_to_nchw(shape4 s, int64_t i)
{
    const int64_t hw = (int64_t)s.h * s.w, c = i % s.c, pixel = i / s.c;
    return (pixel / hw * s.c + c) * hw + pixel % hw;
}

/* Where channel c of filter k, pair = k * C + c, begins in [K][R*R][C] (the weights of a convolution as cuDNN
 * likes them): its R*R values are C apart. In [K][C][R*R] it begins at pair * R*R. A linear layer on [C, H, W]
 * has the same change with R*R = H*W. */
HD int64_t krsc_begin(int channels, int window, int pair)
{
    const int k = pair / channels;
    return (int64_t)k * window * channels + (pair - k * channels);
}

/* The window of output p, along one axis, in which input h is element (return value) or -1. */
HD int pool_tap(int h, int p, int stride, int pad, int kernel)
{
    const int r = h + pad - p * stride;
    return r >= 0 && r < kernel ? r : -1;
}

/* First and last output whose window can contain input h. */
HD int pool_first(int h, int stride, int pad, int kernel)
{
    const int top = h + pad - kernel + 1;
    return top <= 0 ? 0 : (top + stride - 1) / stride;
}

HD int pool_last(int h, int stride, int pad, int outputs)
{
    const int last = (h + pad) / stride;
    return last < outputs ? last : outputs - 1;
}

/* --- similarities (core/device/backend.h) --- */

/* What a row is multiplied with: a row of zeros stays one. */
HD double row_scale(double norm)
{
    return 1 / fmax(norm, 1e-8);
}

/* From a row's sum of squares; NaN if a value is not finite: double cannot overflow otherwise. */
HD double row_norm(double squares)
{
    return squares - squares == 0 ? sqrt(squares) : (double)NAN;
}

/* First column of row r of a tile whose entry counts. */
HD int tile_from(int row0, int r, int col0)
{
    const int c = row0 + r + 1 - col0;
    return c > 0 ? c : 0;
}

#endif
