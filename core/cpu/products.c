/* core/cpu/products.c -- tiles of the similarity matrix, [Yang23] eq. 6: c[i][j] = sum_k a[i][k] b[j][k], by own loops.
 *
 *   for each unit of the tile, whichever thread is free takes the next:      unit: up to MOST_COLUMNS columns of c
 *       for each DEPTH words of the rows:
 *           copy these words of the unit's columns, transposed: strip after strip of STRIP columns
 *           for each strip, for each ROWS rows:
 *               ROWS x STRIP sums in registers (microkernel.h), then added to c
 *
 * Why not a library: it divides the sum over k depending on the shape of the product, so equal pairs in products of
 * different shapes differ in the last bit. Here the sum of every element is divided in the same way. A product may have
 * any shape, and elements below the diagonal can be left out. The rows of a are read where they lie: each of their
 * words is used for a whole strip.
 *
 * Words. The same loops run for words of one f32 value, two bf16 values or four int8 values, whose sums are whole
 * numbers. For int8 the processor's instruction (vpdpbusd) multiplies signed by unsigned values. So 128 is added to the
 * values of a column when it is copied, and 128 times the sum of the row's values is subtracted at the end. */
#include "../base/minmax.h"
#include "cpu.h"
#include "microkernel.h"

#include <omp.h>
#include <stdlib.h>
#include <string.h>

enum {
    STRIP = MICRO_COLUMNS,
    ROWS = MICRO_ROWS,
    DEPTH = 256,        /* words of a row: a strip is 32 kB, the rows of a tile 512 kB */
    MOST_COLUMNS = 256, /* of a unit */
    BUFFER_WORDS = MOST_COLUMNS * DEPTH
};

/* k, lda and ldb count words. */
typedef struct product {
    dtype type;
    int m, n;
    int64_t k, lda, ldb, ldc;
    const uint32_t *a, *b;
    float *c;
    bool upper;
    const i8_scale *scale_a, *scale_b; /* for int8; else NULL */
} product;

/* ---- copying columns, transposed ----
 *
 * A square of LANES x LANES words is transposed in registers. Each step swaps the two blocks off the diagonal, in
 * squares that are half as large as in the step before:
 *
 *     a b  ->  a c
 *     c d      b d */

/* Lane l of the result is lane lanes[l] of x, or of y from LANES on. Clang has no __builtin_shuffle. */
INLINED ivec shuffle(ivec x, ivec y, ivec lanes)
{
#ifdef __clang__
    ivec out = { 0 };
    for (int l = 0; l < LANES; l++) out[l] = lanes[l] < LANES ? x[lanes[l]] : y[lanes[l] - LANES];
    return out;
#else
    return __builtin_shuffle(x, y, lanes);
#endif
}

/* For shuffle: which lanes of rows i and i + distance make the new row i (or, `upper`, the new row i +
 * distance). Lanes of the second row are numbered from LANES on. */
INLINED ivec step_lanes(int distance, bool upper)
{
    ivec lanes = { 0 };
    for (int l = 0; l < LANES; l++) {
        const bool second = l & distance;
        lanes[l] = upper ? (second ? l + LANES : l + distance) : (second ? l - distance + LANES : l);
    }
    return lanes;
}

INLINED void transpose_step(ivec *r, int distance)
{
    const ivec lower = step_lanes(distance, false), upper = step_lanes(distance, true);
#pragma GCC unroll 16
    for (int i = 0; i < LANES; i++) {
        if (i & distance) continue;
        const ivec x = r[i], y = r[i + distance];
        r[i] = shuffle(x, y, lower);
        r[i + distance] = shuffle(x, y, upper);
    }
}

/* Copies LANES words of each of LANES columns, exclusive-or `flip`, to to[w * STRIP + column]. */
static void transpose(const uint32_t *const *column, int64_t from, int32_t flip, uint32_t *to)
{
    ivec r[LANES];
    for (int i = 0; i < LANES; i++) r[i] = *(const words *)(column[i] + from);
    if (LANES == 16) transpose_step(r, LANES / 2);
    transpose_step(r, 4);
    transpose_step(r, 2);
    transpose_step(r, 1);
    for (int i = 0; i < LANES; i++) *(ivec *)(to + i * STRIP) = r[i] ^ flip;
}

/* Words [k0, k0 + depth) of the strip of columns that begins at j. If there are too few columns, the last one is
 * repeated. */
static void copy_strip(const product *p, int j, int64_t k0, int depth, uint32_t *to)
{
    const uint32_t *column[STRIP];
    for (int i = 0; i < STRIP; i++) column[i] = p->b + min_int(j + i, p->n - 1) * p->ldb + k0;
    const int whole = depth / LANES * LANES;
    const int32_t flip =
        p->type == I8 ? (int32_t)0x80808080 : 0; /* adds 128 to each signed value: it becomes unsigned */
    for (int w = 0; w < whole; w += LANES) {
        for (int i = 0; i < STRIP; i++) __builtin_prefetch(column[i] + w + 2 * LANES);
        transpose(column, w, flip, to + w * STRIP);
        transpose(column + LANES, w, flip, to + w * STRIP + LANES);
    }
    for (int w = whole; w < depth; w++)
        for (int i = 0; i < STRIP; i++) to[w * STRIP + i] = column[i][w] ^ (uint32_t)flip;
}

/* ---- products ---- */

/* c[i * ldc + j] = or += the sums of `depth` words. */
INLINED void multiply(const uint32_t *const *row, const uint32_t *strip, int depth, dtype type, bool add,
                      float *c, int64_t ldc)
{
    micro_factors f = { .row_step = 1, .strip = strip, .strip_step = MICRO_COLUMNS, .depth = depth };
    for (int i = 0; i < MICRO_ROWS; i++) f.row[i] = row[i];
    micro_multiply(&f, MICRO_ROWS, 2, type, add, c, ldc);
}

static void multiply_f32(const uint32_t *const *row, const uint32_t *strip, int depth, bool add, float *c,
                         int64_t ldc)
{
    multiply(row, strip, depth, F32, add, c, ldc);
}

static void multiply_bf16(const uint32_t *const *row, const uint32_t *strip, int depth, bool add, float *c,
                          int64_t ldc)
{
    multiply(row, strip, depth, BF16, add, c, ldc);
}

static void multiply_i8(const uint32_t *const *row, const uint32_t *strip, int depth, bool add, float *c,
                        int64_t ldc)
{
    multiply(row, strip, depth, I8, add, c, ldc);
}

typedef void multiply_fn(const uint32_t *const *row, const uint32_t *strip, int depth, bool add, float *c,
                         int64_t ldc);
static multiply_fn *const multiply_of[] = {
    [F32] = multiply_f32, [BF16] = multiply_bf16, [I8] = multiply_i8
};

/* ROWS rows from i on and STRIP columns from j on, of which some may lie outside c: the sums are made in a copy. */
static void multiply_edge(const product *p, const uint32_t *const *row, const uint32_t *strip, int depth,
                          bool add, int i, int j)
{
    float sum[ROWS * STRIP] __attribute__((aligned(64))) = { 0 };
    const int rows = min_int(ROWS, p->m - i), columns = min_int(STRIP, p->n - j);
    const size_t bytes = (size_t)columns * sizeof *sum;
    for (int r = 0; add && r < rows; r++) memcpy(sum + r * STRIP, p->c + (i + r) * p->ldc + j, bytes);
    multiply_of[p->type](row, strip, depth, add, sum, STRIP);
    for (int r = 0; r < rows; r++) memcpy(p->c + (i + r) * p->ldc + j, sum + r * STRIP, bytes);
}

/* One strip times all rows that have an element in it. */
static void multiply_strip(const product *p, int j, int64_t k0, int depth, const uint32_t *strip)
{
    const int last = p->upper ? min_int(p->m, j + STRIP - 1)
                              : p->m; /* rows further down have no element above the diagonal */
    for (int i = 0; i < last; i += ROWS) {
        const uint32_t *row[ROWS];
        for (int r = 0; r < ROWS; r++) row[r] = p->a + min_int(i + r, p->m - 1) * p->lda + k0;
        if (i + ROWS > p->m || j + STRIP > p->n)
            multiply_edge(p, row, strip, depth, k0 > 0, i, j);
        else
            multiply_of[p->type](row, strip, depth, k0 > 0, p->c + i * p->ldc + j, p->ldc);
    }
}

/* For int8: elements [from, to) of row i of c, which hold whole numbers, become similarities. */
static void scale_row(const product *p, int i, int from, int to)
{
    typedef uint32_t number __attribute__((may_alias));
    const i8_scale own = p->scale_a[i], *restrict other = p->scale_b;
    const uint32_t added = (uint32_t)own.sum * 128;
    float *restrict c = p->c + i * p->ldc;
    for (int j = from; j < to; j++) {
        const int32_t sum = (int32_t)(((const number *)c)[j] - added);
        c[j] = (float)sum * (own.scale * other[j].scale);
    }
}

static void run_unit(const product *p, int from, int to, uint32_t *buffer)
{
    for (int64_t k0 = 0; k0 < p->k; k0 += DEPTH) {
        const int depth = p->k - k0 < DEPTH ? (int)(p->k - k0) : DEPTH;
        for (int j = from; j < to; j += STRIP) copy_strip(p, j, k0, depth, buffer + (j - from) * DEPTH);
        for (int j = from; j < to; j += STRIP) multiply_strip(p, j, k0, depth, buffer + (j - from) * DEPTH);
    }
    for (int i = 0; p->type == I8 && i < p->m; i++)
        scale_row(p, i, p->upper && i + 1 > from ? i + 1 : from, to);
}

/* A unit for each thread; above a diagonal four, since units hold different numbers of elements there. */
static int unit_columns(const product *p, int threads)
{
    const int units = p->upper ? 4 * threads : threads;
    const int columns = (p->n + units - 1) / units, whole = (columns + STRIP - 1) / STRIP * STRIP;
    return min_int(whole, MOST_COLUMNS);
}

static status grow_buffers(cpu *c, int threads)
{
    status st = OK;
    if (c->product_buffers >= threads) goto out;
    free(c->product_buffer);
    c->product_buffers = 0;
    TRY_ALLOC(c->product_buffer,
              aligned_alloc(64, (size_t)threads * BUFFER_WORDS * sizeof *c->product_buffer));
    c->product_buffers = threads;
out:
    return st;
}

static status run_product(cpu *c, const product *p)
{
    status st = OK;
    const int threads = c->base.threads;
    const int columns = unit_columns(p, threads), units = (p->n + columns - 1) / columns;
    TRY(grow_buffers(c, threads));
    /* Above a diagonal the last unit is the largest: it begins first. Which thread takes a unit changes no bit. */
#pragma omp parallel for schedule(dynamic, 1) num_threads(threads)
    for (int u = units - 1; u >= 0; u--)
        run_unit(p, u * columns, min_int(p->n, (u + 1) * columns),
                 c->product_buffer + (size_t)omp_get_thread_num() * BUFFER_WORDS);
out:
    return st;
}

status cpu_product(backend *b, dtype type, int m, int n, int64_t k, const void *a, int64_t lda,
                   const void *b_rows, int64_t ldb, bool upper, float *c, int64_t ldc)
{
    status st = OK;
    const int per_word = type == BF16 ? 2 : 1;
    if (k % per_word || lda % per_word || ldb % per_word)
        FAIL(ERR_RUNTIME, "bf16 similarities of rows of %lld values: the number must be even", (long long)k);
    const product p = { type, m,     n,    k / per_word, lda / per_word, ldb / per_word, ldc, a, b_rows,
                        c,    upper, NULL, NULL };
    TRY(run_product((cpu *)b, &p));
out:
    return st;
}

status cpu_product_i8(backend *b, int m, int n, int64_t k, i8_rows x, i8_rows y, bool upper, float *c,
                      int64_t ldc)
{
    status st = OK;
    if (k % 4 || x.stride % 4 || y.stride % 4)
        FAIL(ERR_RUNTIME, "int8 similarities of rows of %lld values: the number must be a multiple of 4",
             (long long)k);
    const product p = { I8,
                        m,
                        n,
                        k / 4,
                        x.stride / 4,
                        y.stride / 4,
                        ldc,
                        (const void *)x.value,
                        (const void *)y.value,
                        c,
                        upper,
                        x.scale,
                        y.scale };
    TRY(run_product((cpu *)b, &p));
out:
    return st;
}
