/* core/cpu/microkernel.h -- the innermost loop of our own matrix products: a block of sums that stays in registers.
 *
 *                         strip: up to 2 vectors of columns
 *                            y0        y1                     for each w: the strip's row w is loaded once, and
 *     row[0]  x  ------>   sum[0][0] sum[0][1]                element w of every row is multiplied with it
 *     row[1]  x  ------>   sum[1][0] sum[1][1]
 *       ...                   ...
 *
 * Every load of x serves two multiplications of whole vectors, every load of y serves MICRO_ROWS. */
#ifndef CLEAVE_CPU_BLOCK_H
#define CLEAVE_CPU_BLOCK_H

#include "vec.h"

enum {
    MICRO_ROWS =
        LANES == 16 ? 8 : 6, /* MICRO_ROWS x 2 sums, two vectors of y and one of x fit into the registers */
    MICRO_COLUMNS = 2 * LANES
};

/* Vectors that may begin at any word of memory. */
typedef int32_t words __attribute__((vector_size(4 * LANES), may_alias, aligned(4)));
typedef float floats __attribute__((vector_size(4 * LANES), may_alias, aligned(4)));

typedef int16_t shorts __attribute__((vector_size(4 * LANES), may_alias));

/* For each word: the product of the lower halves of x and y plus that of their upper halves. */
INLINED ivec multiply_pairs(shorts x, shorts y)
{
#if defined(__AVX512BW__) && defined(__AVX512DQ__)
    return (ivec)_mm512_madd_epi16((__m512i)x, (__m512i)y);
#elif defined(__AVX2__)
    return (ivec)_mm256_madd_epi16((__m256i)x, (__m256i)y);
#else
    const ivec a = (ivec)x, b = (ivec)y;
    return (a << 16 >> 16) * (b << 16 >> 16) + (a >> 16) * (b >> 16);
#endif
}

/* sum + x * y for words of four values: those of x are -128..127, those of y 0..255. The lanes of `sum` hold whole
 * numbers here (int32_t), although its type is vec. The instruction is written as asm because GCC 12 copies and spills
 * the sums around its intrinsic, which makes it a quarter slower. */
INLINED vec multiply_add_i8(vec sum, ivec x, ivec y)
{
#if defined(__AVX512VNNI__) && defined(__AVX512DQ__)
    __asm__("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(y), "v"(x));
    return sum;
#else
    const ivec even = multiply_pairs((shorts)x << 8 >> 8, (shorts)y & 255),
               odd = multiply_pairs((shorts)x >> 8, (shorts)y >> 8 & 255);
    return (vec)((ivec)sum + even + odd);
#endif
}

/* sum + x * y, word by word. A word is one value in f32, two neighbours in bf16, four in int8. */
INLINED vec multiply_add(vec sum, ivec x, ivec y, dtype type)
{
    if (type == F32) return sum + (vec)x * (vec)y;
    if (type == I8) return multiply_add_i8(sum, x, y);
#if defined(__AVX512BF16__) && defined(__AVX512DQ__)
    return (vec)_mm512_dpbf16_ps((__m512)sum, (__m512bh)x, (__m512bh)y);
#else
    const int32_t second = (int32_t)0xffff0000;
    sum += (vec)(x << 16) * (vec)(y << 16);
    return sum + (vec)(x & second) * (vec)(y & second);
#endif
}

INLINED vec add_sums(vec a, vec b, dtype type)
{
    if (type == I8) return (vec)((ivec)a + (ivec)b);
    return a + b;
}

/* The factors. Word w of row i is row[i][w * row_step]; word w of column j is strip[w * strip_step + j]. */
typedef struct micro_factors {
    const uint32_t *row[8];
    int64_t row_step;
    const uint32_t *strip;
    int64_t strip_step;
    int depth; /* words */
} micro_factors;

/* c[i * ldc + j] = or, with `add`, += the sum over w < depth of row i times column j; i < rows <= 8, j < vectors *
 * LANES, vectors <= 2. All arguments but the factors and c are constants in every call. For int8, c holds whole numbers
 * as int32_t. */
INLINED void micro_multiply(const micro_factors *f, int rows, int vectors, dtype type, bool add, float *c,
                            int64_t ldc)
{
    vec sum[8][2] = { 0 };
    for (int w = 0; w < f->depth; w++) {
        const words *y = (const words *)(f->strip + w * f->strip_step);
        const ivec y0 = (ivec)y[0], y1 = vectors > 1 ? (ivec)y[1] : y0;
#pragma GCC unroll 8
        for (int i = 0; i < rows; i++) {
            const ivec x = (int32_t)f->row[i][w * f->row_step] - (ivec){ 0 };
            sum[i][0] = multiply_add(sum[i][0], x, y0, type);
            if (vectors > 1) sum[i][1] = multiply_add(sum[i][1], x, y1, type);
        }
    }
#pragma GCC unroll 8
    for (int i = 0; i < rows; i++) {
        floats *to = (floats *)(c + i * ldc);
        for (int h = 0; h < vectors; h++) {
            const vec before = add ? (vec)to[h] : (vec){ 0 };
            to[h] = (floats)add_sums(before, sum[i][h], type);
        }
    }
}

#endif
