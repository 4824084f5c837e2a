/* core/format/safetensors_convert.c -- stored values -> float. Tensors in a file are not aligned: memcpy. */
#include "safetensors.h"

#include <math.h>
#include <string.h>

static float from_bits(uint32_t bits)
{
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

/* IEEE 754 binary16:  s eeeee mmmmmmmmmm,  (-1)^s 2^(e-15) 1.m;  e = 0: 2^-14 0.m;  e = 31: Inf, NaN */
static float from_f16(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, exponent = h >> 10 & 31, fraction = h & 0x3ff;
    if (exponent == 31) return from_bits(sign | 0x7f800000 | fraction << 13);
    if (exponent == 0) return (sign ? -0x1p-24f : 0x1p-24f) * (float)fraction;
    return from_bits(sign | (exponent + 127 - 15) << 23 | fraction << 13);
}

/* bfloat16 is the upper half of a float. */
static float from_bf16(uint16_t h)
{
    return from_bits((uint32_t)h << 16);
}

status st_to_f32(const st_tensor *t, float *out)
{
    status st = OK;
    const char *p = t->data;
    switch (t->type) {
    case ST_F32:
        if (t->count > 0) memcpy(out, p, (size_t)t->count * sizeof *out);
        break;
    case ST_F16:
    case ST_BF16:
        for (int64_t i = 0; i < t->count; i++) {
            uint16_t h;
            memcpy(&h, p + 2 * i, sizeof h);
            out[i] = t->type == ST_F16 ? from_f16(h) : from_bf16(h);
        }
        break;
    case ST_F64:
        for (int64_t i = 0; i < t->count; i++) {
            double d;
            memcpy(&d, p + 8 * i, sizeof d);
            out[i] = (float)d;
        }
        break;
    default: FAIL(ERR_DATA, "%s: type %s is not a floating-point type", t->name, st_dtype_name(t->type));
    }
out:
    return st;
}
