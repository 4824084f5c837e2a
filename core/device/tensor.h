/* core/device/tensor.h -- shapes and element types. A tensor here is a shape and a pointer; who owns the
 * memory, and how it is laid out, is decided by the backend (core/device/backend.h). Logical order is NCHW. */
#ifndef CLEAVE_TENSOR_H
#define CLEAVE_TENSOR_H

#include "../base/host_device.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef enum dtype { F32, BF16, I8 } dtype; /* I8: rows of similarities only (gram_i8) */

typedef struct shape4 {
    int n, c, h, w; /* images, channels, height, width; all > 0 */
} shape4;

HOST_DEVICE int64_t shape_count(shape4 s)
{
    return (int64_t)s.n * s.c * s.h * s.w;
}
HOST_DEVICE int64_t shape_image(shape4 s)
{
    return (int64_t)s.c * s.h * s.w;
} /* values of one image */
HOST_DEVICE int shape_equal(shape4 a, shape4 b)
{
    return a.n == b.n && a.c == b.c && a.h == b.h && a.w == b.w;
}

/* bf16 is the upper half of a float. Rounded to nearest, ties to even; NaN stays NaN, and quiet. */
HOST_DEVICE uint16_t bf16_from(float v)
{
#ifdef __CUDA_ARCH__ /* one instruction, with the same result but for NaN: 0x7fff whatever its sign and payload */
    uint16_t rounded;
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(rounded) : "f"(v));
    return rounded;
#else
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    if (v != v) return (uint16_t)(bits >> 16 | 0x40);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
#endif
}
HOST_DEVICE float bf16_to(uint16_t v)
{
    const uint32_t bits = (uint32_t)v << 16;
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}
HOST_DEVICE size_t dtype_bytes(dtype t)
{
    return t == F32 ? 4 : t == BF16 ? 2 : 1;
}

#endif
