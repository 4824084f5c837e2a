/* core/cpu/vec.h -- one vector register as a value: the channels of one block at one pixel of an activation.
 *
 *   a blocked activation in memory (layout.c):   | pixel 0          | pixel 1          | ...
 *                                                | c0 c1 ... c15    | c0 c1 ... c15    |
 *                                                  one vec            one vec
 *
 * These are GCC's vector extensions: + - * and comparisons work lane by lane, on any processor. The number of lanes is
 * also the number of channels in a block, so a loop over a blocked value is a loop over whole vectors, and no lane ever
 * needs a value of another lane. Arithmetic is f32; values in memory are f32 or bf16. */
#ifndef CLEAVE_CPU_VEC_H
#define CLEAVE_CPU_VEC_H

#include "../device/op.h"

#include <stdbool.h>

#ifdef __SSE__
#include <immintrin.h>
#endif

/* Without AVX, GCC warns that the ABI of vector arguments depends on the target. Here every call is inlined. */
#pragma GCC diagnostic ignored "-Wpsabi"

#ifdef __AVX512DQ__
enum { LANES = 16 };
typedef uint16_t lane_bits; /* a bit per lane: bit l is that of lane l */
#else
enum { LANES = 8 };
typedef uint8_t lane_bits;
#endif

typedef float vec __attribute__((vector_size(4 * LANES), may_alias));
typedef int32_t ivec
    __attribute__((vector_size(4 * LANES), may_alias)); /* from a comparison: 0 or -1 a lane */
typedef uint16_t bf16_vec __attribute__((vector_size(2 * LANES), may_alias));

/* A loop that is needed for several types (or strides, tile sizes) is written once, as an INLINED function that takes
 * the type as an argument. Its callers pass constants, so the compiler makes a loop without branches for each. */
#define INLINED                   static inline __attribute__((always_inline))
#define FOR_TYPE(type, loop, ...) ((type) == F32 ? loop(F32, __VA_ARGS__) : loop(BF16, __VA_ARGS__))

/* --- lanes --- */

static inline vec splat(float v)
{
    return v - (vec){ 0 };
}

/* Per lane: condition ? a : b. */
static inline vec select_lanes(ivec condition, vec a, vec b)
{
    return (vec)((condition & (ivec)a) | (~condition & (ivec)b));
}

static inline lane_bits bits_of(ivec condition)
{
#if defined(__AVX512DQ__)
    return _mm512_movepi32_mask((__m512i)condition);
#elif defined(__AVX__)
    return (lane_bits)_mm256_movemask_ps((__m256)condition);
#else
    lane_bits bits = 0;
    for (int l = 0; l < LANES; l++) bits |= (lane_bits)((condition[l] & 1) << l);
    return bits;
#endif
}

/* Per lane: bit ? a : b. */
static inline vec blend(lane_bits bits, vec a, vec b)
{
#ifdef __AVX512DQ__
    return (vec)_mm512_mask_mov_ps((__m512)b, bits, (__m512)a);
#else
    const ivec own = { 1, 2, 4, 8, 16, 32, 64, 128 };
    return select_lanes((own & bits) == own, a, b);
#endif
}

/* Per lane: bit ? v : 0. */
static inline vec masked(lane_bits bits, vec v)
{
    return blend(bits, v, (vec){ 0 });
}

/* --- activations --- */

/* NaN passes through, so that it is seen in the loss. */
INLINED vec activate(activation act, vec v)
{
    if (act != ACT_NONE) v = select_lanes(v <= splat(0), splat(0), v);
    if (act == ACT_RELU6) v = select_lanes(v >= splat(6), splat(6), v);
    return v;
}

/* Per lane: is the derivative 1 (else 0)? v is the value before the activation, which is stored as `stored` afterwards.
 * bf16 rounds everything from 6 - 2^-6 on to 6, where ReLU6's derivative is 0. */
INLINED ivec is_active(activation act, vec v, dtype stored)
{
    if (act == ACT_NONE) return ~(ivec){ 0 };
    ivec on = v > splat(0);
    if (act == ACT_RELU6) on &= v < splat(stored == BF16 ? 6 - 0x1p-6f : 6);
    return on;
}

/* --- values in memory --- */

/* bf16_from (core/device/tensor.h) of each lane: rounds to nearest, ties to even. */
static inline bf16_vec bf16_vec_from(vec v)
{
#if defined(__AVX512BF16__) && defined(__AVX512DQ__)
    return (bf16_vec)_mm512_cvtneps_pbh((__m512)v);
#else
    const ivec bits = (ivec)v, nan = ~(v == v);
    const ivec rounded = bits + 0x7fff + ((bits >> 16) & 1);
    return __builtin_convertvector(((nan & (bits | 0x400000)) | (~nan & rounded)) >> 16, bf16_vec);
#endif
}

/* bf16_to of each lane. By intrinsics where there are some: from __builtin_convertvector, GCC 12 makes two half vectors
 * and joins them. */
static inline vec bf16_vec_to(bf16_vec h)
{
#if defined(__AVX512DQ__)
    return (vec)_mm512_slli_epi32(_mm512_cvtepu16_epi32((__m256i)h), 16);
#elif defined(__AVX2__)
    return (vec)_mm256_slli_epi32(_mm256_cvtepu16_epi32((__m128i)h), 16);
#else
    return (vec)(__builtin_convertvector(h, ivec) << 16);
#endif
}

/* Vector i of the value. */
INLINED vec load(const void *from, int64_t i, dtype type)
{
    return type == F32 ? ((const vec *)from)[i] : bf16_vec_to(((const bf16_vec *)from)[i]);
}

INLINED void store(void *to, int64_t i, dtype type, vec v)
{
    if (type == F32)
        ((vec *)to)[i] = v;
    else
        ((bf16_vec *)to)[i] = bf16_vec_from(v);
}

/* Element i of the value. */
INLINED float value_get(const void *from, int64_t i, dtype type)
{
    return type == F32 ? ((const float *)from)[i] : bf16_to(((const uint16_t *)from)[i]);
}

INLINED void value_set(void *to, int64_t i, dtype type, float v, bool add)
{
    if (add) v += value_get(to, i, type);
    if (type == F32)
        ((float *)to)[i] = v;
    else
        ((uint16_t *)to)[i] = bf16_from(v);
}

/* The address of vector i of the value; NULL for NULL. */
static inline void *vector_at(const void *value, int64_t i, dtype type)
{
    return value ? (char *)value + i * LANES * (int64_t)dtype_bytes(type) : NULL;
}

/* A streaming (non-temporal) store writes past the caches and does not read the cache line first. For results so large
 * that no cache keeps them until they are read. The storing thread calls stream_end before other threads read them. */
INLINED void store_streamed(void *to, int64_t i, dtype type, vec v)
{
#if defined(__AVX512DQ__)
    if (type == F32)
        _mm512_stream_ps((float *)to + i * LANES, (__m512)v);
    else
        _mm256_stream_si256((__m256i *)to + i, (__m256i)bf16_vec_from(v));
#elif defined(__AVX__)
    if (type == F32)
        _mm256_stream_ps((float *)to + i * LANES, (__m256)v);
    else
        store(to, i, type, v);
#else
    store(to, i, type, v);
#endif
}

static inline void stream_end(void)
{
#ifdef __SSE__
    _mm_sfence();
#endif
}

INLINED void store_result(void *to, int64_t i, dtype t, vec v, bool add, bool streamed)
{
    if (add)
        store(to, i, t,
              load(to, i, t) + v); /* never streamed: the load has brought the line into the cache */
    else if (streamed)
        store_streamed(to, i, t, v);
    else
        store(to, i, t, v);
}

#endif
