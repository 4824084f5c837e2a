/* core/cuda/bnact_pool.cu -- BN, activation, and max pooling with windows of 2 x 2 side by side. The value between BN
 * and pooling, which is as large as x, is neither written nor read.
 *
 *   forward    bn_sum_rows (bnact.cu)   sums over the rows of x
 *              pool_apply               normalises the four x of a window, writes the greatest as y, keeps its place
 *   backward   pool_grad_sums           Only the greatest place of a window has a gradient, and it has none if the
 *              pool_grad_apply          activation does not pass it. Writes the four dx of a window.
 *
 * In all kernels but the first a row of columns.h is a window, that is a pixel of y. */
#include "batchnorm.h"

enum { WINDOW = 4 };

/* Kept behind the channels, [windows][c]: which place of the window was the greatest, or NOWHERE for no gradient. */
static inline uint8_t *where_in(const bnact_args *a)
{
    return (uint8_t *)a->saved + bn_channels_bytes(a->c);
}

size_t bn_pool_saved_bytes(int c, shape4 Y)
{
    return bn_channels_bytes(c) + (size_t)shape_count(Y);
}

static inline columns window_columns(const bnact_args *a)
{
    return columns_of(a->type, a->m / WINDOW, a->c, a->multiprocessors);
}

/* The four vectors of x in a window: `first`, that to its right, and the two below them. */
typedef struct window {
    int64_t first;
    int right, down;
} window;

__device__ static inline window window_of(columns k, shape4 X, shape4 Y, int row, int vector)
{
    const nhw y = nhw_of(Y, row);
    const int64_t place = ((int64_t)y.n * X.h + 2 * y.h) * X.w + 2 * y.w;
    const window w = { place * k.vectors + vector, k.vectors, X.w * k.vectors };
    return w;
}

__device__ static inline int64_t place_in(const window &w, int i)
{
    return w.first + (i & 1) * w.right + (i >> 1) * w.down;
}

template <typename W> __device__ static inline void load_window(const void *x, const window &w, W to[WINDOW])
{
    UNROLL
    for (int i = 0; i < WINDOW; i++) to[i] = ((const W *)x)[place_in(w, i)];
}

/* --- forward --- */

template <typename W>
__device__ static inline void pool_window(const bnact_args &a, const bn_line p[W::WIDTH], const W x[WINDOW],
                                          W *y, bytes_of<W> *where)
{
    for (int j = 0; j < W::WIDTH; j++) {
        float best = 0;
        int at = 0;
        UNROLL
        for (int i = 0; i < WINDOW; i++) {
            const float v = act_forward(a.act, bn_affine(p[j], to_float(x[i].v[j])));
            if (i > 0 && !(v > best)) continue; /* among equal values the first counts */
            best = v;
            at = i;
        }
        from_float(&y->v[j], best);
        where->v[j] = act_passes(a.act, to_float(y->v[j])) ? (uint8_t)at : (uint8_t)NOWHERE;
    }
}

/* k: columns of y; sums: the columns of x with which bn_sums worked. */
template <typename W>
COLUMN_KERNEL pool_apply(columns k, columns sums, bnact_args a, shape4 X, shape4 Y, uint8_t *where)
{
    enum { V = W::WIDTH };
    __shared__ bn_line tile[TILE_CHANNELS];
    const int vector = my_vector(k);
    const row_range mine = row_range_of(k, vector);
    bn_line p[V];
    W x[WINDOW] = {};
    if (mine.first < mine.end) load_window(a.x, window_of(k, X, Y, mine.first, vector), x);
    forward_params<W>(sums, a, tile);
    my_params<bn_line, V>(k, tile, p);
    for (int row = mine.first; row < mine.end; row += k.ys) {
        const int64_t at = (int64_t)row * k.vectors + vector;
        W y;
        bytes_of<W> bytes;
        pool_window(a, p, x, &y, &bytes);
        if (row + k.ys < mine.end) load_window(a.x, window_of(k, X, Y, row + k.ys, vector), x);
        ((W *)a.y)[at] = y;
        ((bytes_of<W> *)where)[at] = bytes;
    }
}

template <typename W> static int forward(cuda_stream stream, const bnact_args *a, shape4 X, shape4 Y)
{
    const int error = a->frozen ? 0 : bn_sums(stream, a);
    return error ? error
                 : LAUNCH_COLUMNS(pool_apply<W>, window_columns(a), stream, bn_columns(a), *a, X, Y,
                                  where_in(a));
}

int bn_pool_forward(cuda_stream stream, const bnact_args *a, shape4 X, shape4 Y)
{
#define CALL(W) forward<W>(stream, a, X, Y)
    return BY_WIDTH(a->type, a->c, CALL);
#undef CALL
}

/* --- backward --- */

template <typename W> struct window_grads {
    W x[WINDOW], dy;
    bytes_of<W> where;
};

template <typename W>
__device__ static inline void load_window_grads(const bnact_args &a, const uint8_t *where, const window &w,
                                                int64_t at, window_grads<W> *to)
{
    load_window(a.x, w, to->x);
    to->dy = ((const W *)a.dy)[at];
    to->where = ((const bytes_of<W> *)where)[at];
}

/* Of place i of the window, and channel j of the vector. */
template <typename W> __device__ static inline float gradient_at(const window_grads<W> &g, int i, int j)
{
    return g.where.v[j] == i ? to_float(g.dy.v[j]) : 0;
}

/* Sums over the windows of g and of g * (x - mean_high). */
template <typename W>
COLUMN_KERNEL pool_grad_sums(columns k, bnact_args a, shape4 X, shape4 Y, const uint8_t *where)
{
    enum { V = W::WIDTH };
    __shared__ float tile[TILE_CHANNELS];
    const int vector = my_vector(k);
    const row_range mine = row_range_of(k, vector);
    float mean[V], sum[2 * V] = { 0 };
    known_means(k, a, tile);
    my_params<float, V>(k, tile, mean);
    for (int row = mine.first; row < mine.end; row += k.ys) {
        window_grads<W> g;
        load_window_grads(a, where, window_of(k, X, Y, row, vector), (int64_t)row * k.vectors + vector, &g);
        for (int j = 0; j < V; j++) {
            sum[j] += g.where.v[j] == NOWHERE ? 0 : to_float(g.dy.v[j]);
            for (int i = 0; i < WINDOW;
                 i++) /* three of four products are zero: that is faster than to pick x */
                sum[V + j] = fmaf(gradient_at(g, i, j), to_float(g.x[i].v[j]) - mean[j], sum[V + j]);
        }
    }
    put_partial_sums<V>(k, vector, sum, (two_sums *)a.scratch);
}

template <typename W>
COLUMN_KERNEL pool_grad_apply(columns k, bnact_args a, shape4 X, shape4 Y, const uint8_t *where)
{
    enum { V = W::WIDTH };
    __shared__ bn_slope tile[TILE_CHANNELS];
    const int vector = my_vector(k);
    const row_range mine = row_range_of(k, vector);
    bn_slope p[V];
    backward_params(k, a, tile);
    if (!a.dx) return;
    my_params<bn_slope, V>(k, tile, p);
    for (int row = mine.first; row < mine.end; row += k.ys) {
        const window w = window_of(k, X, Y, row, vector);
        window_grads<W> g;
        load_window_grads(a, where, w, (int64_t)row * k.vectors + vector, &g);
        UNROLL
        for (int i = 0; i < WINDOW; i++) {
            float dx[V];
            for (int j = 0; j < V; j++) dx[j] = bn_dx(p[j], to_float(g.x[i].v[j]), gradient_at(g, i, j));
            store<W>(a.dx, place_in(w, i), dx, a.dx_add);
        }
    }
}

template <typename W> static int backward(cuda_stream stream, const bnact_args *a, shape4 X, shape4 Y)
{
    const columns k = window_columns(a);
    const uint8_t *where = where_in(a);
    const int error = LAUNCH_COLUMNS(pool_grad_sums<W>, k, stream, *a, X, Y, where);
    return error ? error : LAUNCH_COLUMNS(pool_grad_apply<W>, k, stream, *a, X, Y, where);
}

int bn_pool_backward(cuda_stream stream, const bnact_args *a, shape4 X, shape4 Y)
{
#define CALL(W) backward<W>(stream, a, X, Y)
    return BY_WIDTH(a->type, a->c, CALL);
#undef CALL
}
