/* core/cpu/bnact_pool.h -- BN, activation and max pooling of one plane: a block of channels of an image.
 *
 * Windows tile the plane: each value of x is in exactly one. Which of a window's values is the largest is all that
 * backward has to know of y: a bit for each, set in at most one; in none where the activation stops it. */
#ifndef CLEAVE_CPU_BNACT_POOL_H
#define CLEAVE_CPU_BNACT_POOL_H

#include "vec.h"

#include <math.h>

enum { MOST_WINDOW = 15 };

/* Of y, in windows. */
typedef struct windows {
    int h, w;
} windows;

/* All loops go through x row by row: the processor fetches ahead along one row only, and by windows, two or more rows at a
 * time, they take twice as long. */

/* The vector of x at row r and column s of window (p, q). */
INLINED int64_t in_window(windows y, int window, int p, int q, int r, int s)
{
    return ((int64_t)p * window + r) * y.w * window + q * window + s;
}

/* Windows [q0, q0 + n) of row p. largest: [window * window] for each vector of y. */
INLINED void pool_row_as(dtype t, int window, windows size, activation act, const void *x, vec mean,
                         vec scale, vec shift, void *y, lane_bits *largest, int p, int q0, int n, vec *best)
{
    const int values = window * window;
    const int64_t first = (int64_t)p * size.w + q0;
    for (int r = 0; r < window; r++)
        for (int i = 0; i < n; i++)
            for (int s = 0; s < window; s++) {
                const vec before = r || s ? best[i] : splat(-INFINITY);
                const vec u = (load(x, in_window(size, window, p, q0 + i, r, s), t) - mean) * scale + shift;
                const lane_bits better = bits_of(~(u <= before)); /* NaN is: it shall be seen */
                best[i] = blend(better, u, before);
                largest[(first + i) * values + r * window + s] = better;
            }
    for (int i = 0; i < n; i++) {
        lane_bits left = bits_of(is_active(act, best[i], t));
        for (int k = values - 1; k >= 0; k--) {
            lane_bits *own = &largest[(first + i) * values + k];
            const lane_bits better = *own;
            *own = left & better;
            left &= (lane_bits)~better;
        }
        store(y, first + i, t, activate(act, best[i]));
    }
}

INLINED void pool_forward_as(dtype t, int window, windows size, activation act, const void *x, vec mean,
                             vec scale, vec shift, void *y, lane_bits *largest)
{
    enum { AT_ONCE = 32 };
    vec best[AT_ONCE];
    for (int p = 0; p < size.h; p++)
        for (int q = 0; q < size.w; q += AT_ONCE)
            pool_row_as(t, window, size, act, x, mean, scale, shift, y, largest, p, q,
                        size.w - q < AT_ONCE ? size.w - q : AT_ONCE, best);
}

/* Adds sum g and sum g * (x - mean), g the gradient of the normalised values: dy at the largest of its window. */
INLINED void pool_sums_as(dtype t, int window, windows size, const void *x, const void *dy,
                          const lane_bits *largest, vec mean, double *sum_g, double *sum_gx)
{
    enum { RUN = 128 }; /* summed in float */
    const int values = window * window;
    vec sum = { 0 }, sum_x = { 0 };
    int terms = 0;
    for (int p = 0; p < size.h; p++) {
        for (int r = 0; r < window; r++)
            for (int q = 0; q < size.w; q++) {
                const int64_t i = (int64_t)p * size.w + q;
                for (int s = 0; s < window; s++) {
                    const vec g = masked(largest[i * values + r * window + s], load(dy, i, t));
                    sum += g;
                    sum_x += g * (load(x, in_window(size, window, p, q, r, s), t) - mean);
                }
            }
        terms += size.w;
        if (terms < RUN && p < size.h - 1) continue;
        for (int l = 0; l < LANES; l++) {
            sum_g[l] += (double)sum[l];
            sum_gx[l] += (double)sum_x[l];
        }
        sum = sum_x = splat(0);
        terms = 0;
    }
}

/* dx = A g + B (x - mean) + C. */
INLINED void pool_gradient_as(dtype t, int window, windows size, const void *x, const void *dy,
                              const lane_bits *largest, vec mean, vec A, vec B, vec C, void *dx, bool add,
                              bool streamed)
{
    const int values = window * window;
    for (int p = 0; p < size.h; p++)
        for (int r = 0; r < window; r++)
            for (int q = 0; q < size.w; q++) {
                const int64_t i = (int64_t)p * size.w + q;
                const vec Ag = A * load(dy, i, t);
                for (int s = 0; s < window; s++) {
                    const int64_t to = in_window(size, window, p, q, r, s);
                    const vec own = masked(largest[i * values + r * window + s], Ag);
                    store_result(dx, to, t, own + (B * (load(x, to, t) - mean) + C), add, streamed);
                }
            }
    if (streamed) stream_end();
}

#endif
