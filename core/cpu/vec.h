/* core/cpu/vec.h -- one vector register as a value: the channels of one pixel of a blocked activation.
 *
 * GCC's vector extensions: + - * and comparisons work lane by lane, on any target. LANES is also the
 * channel block of the activation layout (layout.c), so that loops over a blocked value are loops over
 * vectors without remainders. */
#ifndef CLEAVE_CPU_VEC_H
#define CLEAVE_CPU_VEC_H

#include <stdint.h>
#include <string.h>
#ifdef __SSE__
#include <immintrin.h>
#endif

/* Without AVX, GCC notes that passing such vectors would depend on the ABI: here all is inlined. */
#pragma GCC diagnostic ignored "-Wpsabi"

#ifdef __AVX512DQ__
enum { LANES = 16 };
typedef uint16_t lane_bits; /* bit l speaks of lane l */
#else
enum { LANES = 8 };
typedef uint8_t lane_bits;
#endif

typedef float vec __attribute__((vector_size(4 * LANES), may_alias));
typedef int32_t ivec __attribute__((vector_size(4 * LANES), may_alias)); /* of a comparison: 0 or -1 */

static inline vec splat(float v)
{
    return v - (vec){ 0 };
}

/* Per lane: condition ? a : b. */
static inline vec choose(ivec condition, vec a, vec b)
{
    return (vec)((condition & (ivec)a) | (~condition & (ivec)b));
}

static inline lane_bits bits_of(ivec condition)
{
#ifdef __AVX512DQ__
    return _mm512_movepi32_mask((__m512i)condition);
#else
    lane_bits bits = 0;
    for (int l = 0; l < LANES; l++) bits |= (lane_bits)((condition[l] & 1) << l);
    return bits;
#endif
}

/* Stores past the caches, without reading the line first: for results that no cache would keep until they
 * are read. stream_end makes them visible to the other threads. */
static inline void stream(vec *to, vec v)
{
#if defined(__AVX512DQ__)
    _mm512_stream_ps((float *)to, (__m512)v);
#elif defined(__AVX__)
    _mm256_stream_ps((float *)to, (__m256)v);
#else
    *to = v;
#endif
}

static inline void stream_end(void)
{
#ifdef __SSE__
    _mm_sfence();
#endif
}

/* v where the bit is set, else 0. */
static inline vec keep(lane_bits bits, vec v)
{
#ifdef __AVX512DQ__
    return (vec)_mm512_maskz_mov_ps(bits, (__m512)v);
#else
    ivec set;
    for (int l = 0; l < LANES; l++) set[l] = -(bits >> l & 1);
    return (vec)(set & (ivec)v);
#endif
}

#endif
