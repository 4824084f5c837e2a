/* core/cpu/winograd_tile.h -- Winograd's transforms of one tile, for a vector of channels.
 *
 * In one dimension F(m, 3) computes m outputs y of a correlation with 3 weights g. It reads m + 2 inputs d and
 * multiplies m + 2 times, where the direct method multiplies 3 m times:
 *
 *   y = A^T [ (G g) . (B^T d) ]                            . multiplies element by element
 *
 * Why: the transpose of a correlation is a product of polynomials. A product of degree m + 1 is known from its values
 * at m + 2 points, and a value at a point takes one multiplication. So A and G evaluate polynomials of m and of 3
 * coefficients at these points, and B^T is the transpose of interpolation. In two dimensions each transform is applied
 * to the columns and then to the rows:
 *
 *   y = A^T [ (G g G^T) . (B^T d B) ] A                    tile = 4:
 *
 *   d: a patch of (tile + 2)^2 inputs                      d d d d d d
 *   y: the tile^2 outputs of the patch                     d y y y y d
 *   g: the 3x3 weights                                     d y y y y d     Neighbouring tiles touch,
 *   place: one of the (tile + 2)^2 elements                d y y y y d     their patches overlap.
 *          of a transformed patch                          d y y y y d
 *                                                          d d d d d d
 *
 * The points are 0, a, -a, b, -b and infinity for tile = 4, and 0, 1, -1 and infinity for tile = 2. a = 5/8 and b = 3/2
 * give smaller rounding errors than the usual 1 and 2.
 *
 * `tile`, `kind`, `type` and other small integers are constants in every call, so the compiler unrolls all loops. */
#ifndef CLEAVE_CPU_WINOGRAD_TILE_H
#define CLEAVE_CPU_WINOGRAD_TILE_H

#include "vec.h"

enum { FILTER = 3, FILTER_WEIGHTS = FILTER * FILTER, MOST_PATCH = 4 + 2 };

/* Powers of a and b. SCALE_p = 1 / product of (p - q) over the other finite points q, for p = 0, +-a, +-b. */
#define A1      0.625f
#define A2      (A1 * A1)
#define A3      (A1 * A2)
#define B1      1.5f
#define B2      (B1 * B1)
#define B3      (B1 * B2)
#define SCALE_0 (1 / (A2 * B2))
#define SCALE_A (1 / (2 * A2 * (A2 - B2)))
#define SCALE_B (1 / (2 * B2 * (B2 - A2)))

/* ---- one column or row ----
 * even_ and odd_ are the even and the odd part of a polynomial: its values at p and -p are their sum and difference. */

/* v = B^T d, of the inputs */
INLINED void input_line(int tile, const vec *d, vec *v)
{
    if (tile == 2) {
        v[0] = d[0] - d[2];
        v[1] = d[2] + d[1];
        v[2] = d[2] - d[1];
        v[3] = d[3] - d[1];
        return;
    }
    const vec even_a = d[4] - B2 * d[2], odd_a = d[3] - B2 * d[1];
    const vec even_b = d[4] - A2 * d[2], odd_b = d[3] - A2 * d[1];
    v[0] = A2 * B2 * d[0] - (A2 + B2) * d[2] + d[4];
    v[1] = even_a + A1 * odd_a;
    v[2] = even_a - A1 * odd_a;
    v[3] = even_b + B1 * odd_b;
    v[4] = even_b - B1 * odd_b;
    v[5] = A2 * B2 * d[1] - (A2 + B2) * d[3] + d[5];
}

/* y = A^T m, of the products: gives outputs */
INLINED void output_line(int tile, const vec *m, vec *y)
{
    const vec even_a = m[1] + m[2], odd_a = m[1] - m[2];
    if (tile == 2) {
        y[0] = m[0] + even_a;
        y[1] = odd_a + m[3];
        return;
    }
    const vec even_b = m[3] + m[4], odd_b = m[3] - m[4];
    y[0] = m[0] + even_a + even_b;
    y[1] = A1 * odd_a + B1 * odd_b;
    y[2] = A2 * even_a + B2 * even_b;
    y[3] = A3 * odd_a + B3 * odd_b + m[5];
}

/* w = A y, of the gradient of outputs */
INLINED void gradient_line(int tile, const vec *y, vec *w)
{
    w[0] = y[0];
    w[tile + 1] = y[tile - 1];
    if (tile == 2) {
        w[1] = y[0] + y[1];
        w[2] = y[0] - y[1];
        return;
    }
    const vec even_a = y[0] + A2 * y[2], odd_a = A1 * y[1] + A3 * y[3];
    const vec even_b = y[0] + B2 * y[2], odd_b = B1 * y[1] + B3 * y[3];
    w[1] = even_a + odd_a;
    w[2] = even_a - odd_a;
    w[3] = even_b + odd_b;
    w[4] = even_b - odd_b;
}

/* u = G g, of the weights */
INLINED void weight_line(int tile, const vec *g, vec *u)
{
    u[tile + 1] = g[2];
    if (tile == 2) {
        u[0] = g[0];
        u[1] = 0.5f * (g[0] + g[2]) + 0.5f * g[1];
        u[2] = 0.5f * (g[0] + g[2]) - 0.5f * g[1];
        return;
    }
    const vec even_a = SCALE_A * (g[0] + A2 * g[2]), odd_a = SCALE_A * A1 * g[1];
    const vec even_b = SCALE_B * (g[0] + B2 * g[2]), odd_b = SCALE_B * B1 * g[1];
    u[0] = SCALE_0 * g[0];
    u[1] = even_a + odd_a;
    u[2] = even_a - odd_a;
    u[3] = even_b + odd_b;
    u[4] = even_b - odd_b;
}

/* g = G^T u, of the gradient of transformed weights */
INLINED void weight_gradient_line(int tile, const vec *u, vec *g)
{
    if (tile == 2) {
        const vec even = 0.5f * (u[1] + u[2]), odd = 0.5f * (u[1] - u[2]);
        g[0] = u[0] + even;
        g[1] = odd;
        g[2] = even + u[3];
        return;
    }
    const vec even_a = SCALE_A * (u[1] + u[2]), odd_a = SCALE_A * (u[1] - u[2]);
    const vec even_b = SCALE_B * (u[3] + u[4]), odd_b = SCALE_B * (u[3] - u[4]);
    g[0] = SCALE_0 * u[0] + even_a + even_b;
    g[1] = A1 * odd_a + B1 * odd_b;
    g[2] = A2 * even_a + B2 * even_b + u[5];
}

/* ---- columns, then rows ---- */

/* The five transforms, and the lengths of the lines that they read and write. */
enum { INPUT, OUTPUT, GRADIENT, WEIGHTS, WEIGHT_GRADIENT };

INLINED int line_length(int kind, int tile)
{
    return kind == INPUT || kind == OUTPUT || kind == WEIGHT_GRADIENT ? tile + 2
           : kind == GRADIENT                                         ? tile
                                                                      : FILTER;
}

INLINED int transformed_length(int kind, int tile)
{
    return kind == OUTPUT ? tile : kind == WEIGHT_GRADIENT ? FILTER : tile + 2;
}

INLINED void transform_line(int kind, int tile, const vec *from, vec *to)
{
    if (kind == INPUT) input_line(tile, from, to);
    if (kind == OUTPUT) output_line(tile, from, to);
    if (kind == GRADIENT) gradient_line(tile, from, to);
    if (kind == WEIGHTS) weight_line(tile, from, to);
    if (kind == WEIGHT_GRADIENT) weight_gradient_line(tile, from, to);
}

/* A square whose columns are transformed and whose rows are not yet. */
typedef vec half_transformed[MOST_PATCH][MOST_PATCH];

INLINED void transform_column(int kind, int tile, const vec *column, int j, half_transformed half)
{
    vec v[MOST_PATCH];
    transform_line(kind, tile, column, v);
    for (int i = 0; i < transformed_length(kind, tile); i++) half[i][j] = v[i];
}

/* Transforms the rows, and stores element (i, j) in matrix i * patch + j: matrices are `matrix` floats apart. */
INLINED void store_places(int kind, int tile, half_transformed half, float *to, int64_t matrix, bool streamed)
{
    const int patch = tile + 2;
    for (int i = 0; i < patch; i++) {
        vec v[MOST_PATCH];
        transform_line(kind, tile, half[i], v);
        for (int j = 0; j < patch; j++)
            store_result(to + (i * patch + j) * matrix, 0, F32, v[j], false, streamed);
    }
}

/* ---- weights ---- */

/* G g G^T. The stores are streamed: by the time the products read these weights, all others are stored, too. */
INLINED void transform_weights(int tile, const vec *g, float *to, int64_t matrix)
{
    half_transformed half;
    for (int j = 0; j < FILTER; j++) {
        const vec column[FILTER] = { g[j], g[FILTER + j], g[2 * FILTER + j] };
        transform_column(WEIGHTS, tile, column, j, half);
    }
    store_places(WEIGHTS, tile, half, to, matrix, true);
}

/* dg = G^T dU G. dU is the sum of `parts` arrays that are `stride` floats apart. */
INLINED void transform_weight_gradient(int tile, const float *from, int64_t matrix, int parts, size_t stride,
                                       vec *dg)
{
    const int patch = tile + 2;
    half_transformed half;
    for (int j = 0; j < patch; j++) {
        vec column[MOST_PATCH];
        for (int i = 0; i < patch; i++) {
            const float *first = from + (i * patch + j) * matrix;
            column[i] = *(const vec *)first;
            for (int part = 1; part < parts; part++)
                column[i] += *(const vec *)(first + (size_t)part * stride);
        }
        transform_column(WEIGHT_GRADIENT, tile, column, j, half);
    }
    for (int i = 0; i < FILTER; i++) weight_gradient_line(tile, half[i], dg + i * FILTER);
}

/* ---- values ---- */

/* One block of channels of an image; at: its first vector, NULL if there is no such value. */
typedef struct plane {
    void *at;
    int h, w;
} plane;

/* The pixel (y, x), or zeros outside the image. `inside`: the caller knows that it is in the image. */
INLINED vec pixel(const plane *p, int y, int x, bool inside, dtype type)
{
    const vec zero = { 0 };
    if (!inside && (y < 0 || y >= p->h || x < 0 || x >= p->w)) return zero;
    return load(p->at, (int64_t)y * p->w + x, type);
}

/* For the tile whose first output is (y, x). INPUT: B^T d B of the patch of x, which begins at (y - 1, x - 1).
 * GRADIENT: A dy A^T of the tile of dy. */
INLINED void transform_values(int kind, int tile, const plane *p, int y, int x, bool inside, dtype type,
                              float *to, int64_t matrix)
{
    const int n = line_length(kind, tile), border = kind == INPUT;
    half_transformed half;
    for (int j = 0; j < n; j++) {
        vec column[MOST_PATCH];
        for (int i = 0; i < n; i++) column[i] = pixel(p, y - border + i, x - border + j, inside, type);
        transform_column(kind, tile, column, j, half);
    }
    store_places(kind, tile, half, to, matrix, false);
}

/* act(A^T m A + bias + z), for the outputs of the tile that lie in the image. */
INLINED void transform_output(int tile, const float *from, int64_t matrix, vec bias, const plane *z,
                              activation act, const plane *to, int y, int x, bool streamed, dtype type)
{
    const int patch = tile + 2;
    half_transformed half;
    for (int j = 0; j < patch; j++) {
        vec column[MOST_PATCH];
        for (int i = 0; i < patch; i++) column[i] = *(const vec *)(from + (i * patch + j) * matrix);
        transform_column(OUTPUT, tile, column, j, half);
    }
    for (int i = 0; i < tile && y + i < to->h; i++) {
        vec v[MOST_PATCH];
        output_line(tile, half[i], v);
        for (int j = 0; j < tile && x + j < to->w; j++) {
            const int64_t at = (int64_t)(y + i) * to->w + x + j;
            vec sum = v[j] + bias;
            if (z->at) sum += load(z->at, at, type);
            store_result(to->at, at, type, activate(act, sum), false, streamed);
        }
    }
}

#endif
