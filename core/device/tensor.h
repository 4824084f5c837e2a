/* core/device/tensor.h -- shapes and element types. A tensor here is a shape and a pointer; who owns the
 * memory, and how it is laid out, is decided by the backend (core/device/backend.h). Logical order is NCHW. */
#ifndef CLEAVE_TENSOR_H
#define CLEAVE_TENSOR_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef enum dtype { F32, BF16, I8 } dtype; /* I8: rows of similarities only (gram_i8) */

typedef struct shape4 {
    int n, c, h, w; /* images, channels, height, width; all > 0 */
} shape4;

static inline int64_t shape_count(shape4 s)
{
    return (int64_t)s.n * s.c * s.h * s.w;
}
static inline int64_t shape_image(shape4 s)
{
    return (int64_t)s.c * s.h * s.w;
} /* values of one image */
static inline int shape_equal(shape4 a, shape4 b)
{
    return a.n == b.n && a.c == b.c && a.h == b.h && a.w == b.w;
}

/* bf16 is the upper half of a float. Rounded to nearest, ties to even; NaN stays NaN, and quiet. */
static inline uint16_t bf16_from(float v)
{
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    if (v != v) return (uint16_t)(bits >> 16 | 0x40);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}
static inline float bf16_to(uint16_t v)
{
    const uint32_t bits = (uint32_t)v << 16;
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}
static inline size_t dtype_bytes(dtype t)
{
    return t == F32 ? 4 : t == BF16 ? 2 : 1;
}

#endif
