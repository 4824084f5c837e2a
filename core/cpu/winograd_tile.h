/* core/cpu/winograd_tile.h -- Winograd's transforms of one tile, for a vector of channels.
 *
 *   y = A^T [ (G g G^T) . (B^T d B) ] A      y: tile x tile outputs, d: their inputs, (tile + 2) x (tile + 2), g: 3 x 3 weights
 *
 * They evaluate polynomials at 0, +-a, +-b and infinity for tiles of 4, at 0, +-1 and infinity for tiles of 2. a = 5/8 and
 * b = 3/2 round less than the usual 1 and 2. `tile` and all other small integers are constants where these are called:
 * the loops are unrolled. */
#ifndef CLEAVE_CPU_WINOGRAD_TILE_H
#define CLEAVE_CPU_WINOGRAD_TILE_H

#include "activation.h"
#include "vec.h"

enum { FILTER = 3, MOST_TILE = 4, MOST_PATCH = 6 };

/* Powers of a and b; 1 / prod (p - q) over the other finite points q, for p = 0, +-a, +-b. */
#define A1      0.625f
#define A2      (A1 * A1)
#define A3      (A1 * A2)
#define B1      1.5f
#define B2      (B1 * B1)
#define B3      (B1 * B2)
#define SCALE_0 (1 / (A2 * B2))
#define SCALE_A (1 / (2 * A2 * (A2 - B2)))
#define SCALE_B (1 / (2 * B2 * (B2 - A2)))

/* ---- one line ---- */

/* v = B^T d */
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

/* y = A^T m */
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

/* w = A y */
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

/* u = G g */
INLINED void filter_line(int tile, const vec *g, vec *u)
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

/* g = G^T u */
INLINED void filter_gradient_line(int tile, const vec *u, vec *g)
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

/* ---- weights ---- */

/* G g G^T of weights g [9], to `to` and every `matrix` floats behind it, past the caches: they are read when all are there. */
INLINED void transform_filter(int tile, const vec *g, float *to, int64_t matrix)
{
    const int patch = tile + 2;
    vec half[MOST_PATCH][FILTER];
    for (int j = 0; j < FILTER; j++) {
        const vec line[FILTER] = { g[j], g[FILTER + j], g[2 * FILTER + j] };
        vec u[MOST_PATCH];
        filter_line(tile, line, u);
        for (int i = 0; i < patch; i++) half[i][j] = u[i];
    }
    for (int i = 0; i < patch; i++) {
        vec u[MOST_PATCH];
        filter_line(tile, half[i], u);
        for (int j = 0; j < patch; j++) store_streamed(to + (i * patch + j) * matrix, 0, F32, u[j]);
    }
}

/* G^T dU G to g [9]. dU is the sum of `parts` that are `stride` floats apart. */
INLINED void transform_filter_gradient(int tile, const float *from, int64_t matrix, int parts, size_t stride,
                                       vec *g)
{
    const int patch = tile + 2;
    vec half[FILTER][MOST_PATCH];
    for (int j = 0; j < patch; j++) {
        vec u[MOST_PATCH], line[FILTER];
        for (int i = 0; i < patch; i++) {
            const float *at = from + (i * patch + j) * matrix;
            u[i] = *(const vec *)at;
            for (int part = 1; part < parts; part++) u[i] += *(const vec *)(at + (size_t)part * stride);
        }
        filter_gradient_line(tile, u, line);
        for (int i = 0; i < FILTER; i++) half[i][j] = line[i];
    }
    for (int i = 0; i < FILTER; i++) filter_gradient_line(tile, half[i], g + i * FILTER);
}

/* ---- values ---- */

/* Vectors of one block of channels of an image; at NULL: there is none. */
typedef struct plane {
    void *at;
    int h, w;
} plane;

/* A pixel, or zeros outside the image. `inside`: it is known to be in it. */
INLINED vec pixel(const plane *p, int y, int x, bool inside, dtype type)
{
    const vec zero = { 0 };
    if (!inside && (y < 0 || y >= p->h || x < 0 || x >= p->w)) return zero;
    return load(p->at, (int64_t)y * p->w + x, type);
}

/* B^T d B of the tile whose first output is (y, x). */
INLINED void transform_input(int tile, const plane *p, int y, int x, bool inside, dtype type, float *to,
                             int64_t matrix)
{
    const int patch = tile + 2;
    vec half[MOST_PATCH][MOST_PATCH];
    for (int j = 0; j < patch; j++) {
        vec d[MOST_PATCH], v[MOST_PATCH];
        for (int i = 0; i < patch; i++) d[i] = pixel(p, y - 1 + i, x - 1 + j, inside, type);
        input_line(tile, d, v);
        for (int i = 0; i < patch; i++) half[i][j] = v[i];
    }
    for (int i = 0; i < patch; i++) {
        vec v[MOST_PATCH];
        input_line(tile, half[i], v);
        for (int j = 0; j < patch; j++) *(vec *)(to + (i * patch + j) * matrix) = v[j];
    }
}

/* A dy A^T. */
INLINED void transform_gradient(int tile, const plane *p, int y, int x, bool inside, dtype type, float *to,
                                int64_t matrix)
{
    const int patch = tile + 2;
    vec half[MOST_PATCH][MOST_TILE];
    for (int j = 0; j < tile; j++) {
        vec d[MOST_TILE], w[MOST_PATCH];
        for (int i = 0; i < tile; i++) d[i] = pixel(p, y + i, x + j, inside, type);
        gradient_line(tile, d, w);
        for (int i = 0; i < patch; i++) half[i][j] = w[i];
    }
    for (int i = 0; i < patch; i++) {
        vec w[MOST_PATCH];
        gradient_line(tile, half[i], w);
        for (int j = 0; j < patch; j++) *(vec *)(to + (i * patch + j) * matrix) = w[j];
    }
}

/* A^T m A + bias + z, activated, where it is in the image. `far`: no cache keeps it until it is read. */
INLINED void transform_output(int tile, const float *from, int64_t matrix, vec bias, const plane *z,
                              activation act, const plane *to, int y, int x, bool far, dtype type)
{
    const int patch = tile + 2;
    vec half[MOST_TILE][MOST_PATCH];
    for (int j = 0; j < patch; j++) {
        vec m[MOST_PATCH], v[MOST_TILE];
        for (int i = 0; i < patch; i++) m[i] = *(const vec *)(from + (i * patch + j) * matrix);
        output_line(tile, m, v);
        for (int i = 0; i < tile; i++) half[i][j] = v[i];
    }
    for (int i = 0; i < tile && y + i < to->h; i++) {
        vec v[MOST_TILE];
        output_line(tile, half[i], v);
        for (int j = 0; j < tile && x + j < to->w; j++) {
            const int64_t at = (int64_t)(y + i) * to->w + x + j;
            vec sum = v[j] + bias;
            if (z->at) sum += load(z->at, at, type);
            sum = activate(act, sum);
            if (far)
                store_streamed(to->at, at, type, sum);
            else
                store(to->at, at, type, sum);
        }
    }
}

#endif
