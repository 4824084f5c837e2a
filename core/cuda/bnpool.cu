/* core/cuda/bnpool.cu -- [op.h] OP_BNACT_POOL with windows of 2 x 2 side by side.
 *
 * forward: sums over the rows of x; then a thread normalises a window at a time and keeps the greatest value and which it
 * was. Backward: a window has one gradient, at that place, and none if the activation stopped it.
 *   sums     over the windows, of the gradient and of its product with the x of that place
 *   apply    four dx a window
 * What lies between BN and pool, as large as x, is neither written nor read. Rows are those of Y: windows. */
#include "bn.h"

enum { WINDOW = 4 };

/* Which place of each window was the greatest, or NOWHERE: [rows of Y][c], behind the channels. */
static inline uint8_t *where_in(const bnact_args *a)
{
    return (uint8_t *)a->saved + bn_channels_bytes(a->c);
}

size_t bnpool_saved_bytes(int c, shape4 Y)
{
    return bn_channels_bytes(c) + (size_t)values_of(Y);
}

/* Vectors of x in a window: `first` and its neighbours, one to the right and one line down. */
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
            const float v = cuda_act(a.act, bn_affine(p[j], to_float(x[i].v[j])));
            if (i > 0 && !(v > best)) continue; /* the first of equal ones */
            best = v;
            at = i;
        }
        from_float(&y->v[j], best);
        where->v[j] = cuda_act_passes(a.act, to_float(y->v[j])) ? (uint8_t)at : (uint8_t)NOWHERE;
    }
}

/* sums: by which those over the rows of x were taken. */
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
    const columns sums = columns_of(a->type, a->m, a->c);
    const columns k = columns_of(a->type, a->m / WINDOW, a->c);
    int error = a->frozen ? 0 : bn_sums(stream, a);
    if (!error)
        error = LAUNCH_BLOCKS(pool_apply<W>, columns_grid(k), columns_block(k), stream, k, sums, *a, X, Y,
                              where_in(a));
    return error;
}

int bnpool_forward(cuda_stream stream, const bnact_args *a, shape4 X, shape4 Y)
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

/* Of place i of the window, channel j of the vector. */
template <typename W> __device__ static inline float gradient_at(const window_grads<W> &g, int i, int j)
{
    return g.where.v[j] == i ? to_float(g.dy.v[j]) : 0;
}

/* Sums of g and of g * (x - mean_high), at the greatest places. */
template <typename W>
COLUMN_KERNEL pool_grad_sums(columns k, bnact_args a, shape4 X, shape4 Y, const uint8_t *where)
{
    enum { V = W::WIDTH };
    __shared__ float tile[TILE_CHANNELS];
    const int vector = my_vector(k), c = my_channel(k);
    const row_range mine = row_range_of(k, vector);
    float mean[V], sum[2 * V] = { 0 };
    if (c >= 0) tile[threadIdx.x] = known_channel(a, c).mean_high;
    __syncthreads();
    my_params<float, V>(k, tile, mean);
    for (int row = mine.first; row < mine.end; row += k.ys) {
        window_grads<W> g;
        load_window_grads(a, where, window_of(k, X, Y, row, vector), (int64_t)row * k.vectors + vector, &g);
        for (int j = 0; j < V; j++) {
            sum[j] += g.where.v[j] == NOWHERE ? 0 : to_float(g.dy.v[j]);
            for (int i = 0; i < WINDOW; i++) /* products with zero cost less than choosing x */
                sum[V + j] = fmaf(gradient_at(g, i, j), to_float(g.x[i].v[j]) - mean[j], sum[V + j]);
        }
    }
    add_columns<V>(k, vector, sum, (two_sums *)a.scratch);
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
    const columns k = columns_of(a->type, a->m / WINDOW, a->c);
    const unsigned grid = columns_grid(k), block = columns_block(k);
    const uint8_t *where = where_in(a);
    int error = LAUNCH_BLOCKS(pool_grad_sums<W>, grid, block, stream, k, *a, X, Y, where);
    if (!error) error = LAUNCH_BLOCKS(pool_grad_apply<W>, grid, block, stream, k, *a, X, Y, where);
    return error;
}

int bnpool_backward(cuda_stream stream, const bnact_args *a, shape4 X, shape4 Y)
{
#define CALL(W) backward<W>(stream, a, X, Y)
    return BY_WIDTH(a->type, a->c, CALL);
#undef CALL
}
