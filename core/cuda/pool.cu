/* core/cuda/pool.cu -- [op.h] OP_POOL. A thread takes a vector of channels.
 *
 * Max pooling, forward: a thread computes one output and keeps a byte for each of its channels: which element of the
 * window was the greatest. Backward: a thread computes one input from the outputs whose windows contain it. So no two
 * threads add to the same value. Where windows neither overlap nor leave gaps, a thread takes a window instead. */
#include "sums.h"

/* --- max --- */

template <typename W>
__global__ void max_forward_kernel(const void *x, void *y, uint8_t *where, shape4 X, shape4 Y, pool_desc d)
{
    enum { V = W::WIDTH };
    FOR_EACH(i, shape_count(Y) / V)
    {
        const position out = position_of<W>(Y, i);
        float best[V];
        int at[V];
        for (int j = 0; j < V; j++) {
            best[j] = -INFINITY;
            at[j] = NOWHERE;
        }
        for (int r = 0; r < d.kernel; r++) {
            const int h = out.h * d.stride + r - d.pad;
            if (h < 0 || h >= X.h) continue;
            for (int s = 0; s < d.kernel; s++) {
                const int w = out.w * d.stride + s - d.pad;
                if (w < 0 || w >= X.w) continue;
                float v[V];
                load<W>(x, vector_at<W>(X, out.n, out.c, h, w), v);
                for (int j = 0; j < V; j++) {
                    if (at[j] != NOWHERE && !(v[j] > best[j]))
                        continue; /* among equal values the first counts */
                    best[j] = v[j];
                    at[j] = r * d.kernel + s;
                }
            }
        }
        store<W>(y, i, best, false);
        if (!where) continue;
        bytes_of<W> bytes;
        for (int j = 0; j < V; j++) bytes.v[j] = (uint8_t)at[j];
        ((bytes_of<W> *)where)[i] = bytes;
    }
}

int max_forward(cuda_stream stream, dtype type, const void *x, void *y, uint8_t *where, shape4 X, shape4 Y,
                pool_desc d)
{
#define CALL(W) LAUNCH_FOR(max_forward_kernel<W>, shape_count(Y) / W::WIDTH, stream, x, y, where, X, Y, d)
    return BY_WIDTH(type, Y.c, CALL);
#undef CALL
}

/* sum[j] += dy[j] of vector i of y, where element `element` of the window was the greatest. */
template <typename W>
__device__ static inline void add_if_greatest(const void *dy, const uint8_t *where, int64_t i, int element,
                                              float sum[W::WIDTH])
{
    const bytes_of<W> at = ((const bytes_of<W> *)where)[i];
    float g[W::WIDTH];
    load<W>(dy, i, g);
    for (int j = 0; j < W::WIDTH; j++)
        if (at.v[j] == element) sum[j] += g[j];
}

/* dx[h, w] = sum of dy over the windows in which x[h, w] was the greatest. */
template <typename W>
__global__ void max_backward_kernel(const void *dy, const uint8_t *where, void *dx, bool add, shape4 X,
                                    shape4 Y, pool_desc d)
{
    FOR_EACH(i, shape_count(X) / W::WIDTH)
    {
        const position in = position_of<W>(X, i);
        const int first_q = pool_first(in.w, d.stride, d.pad, d.kernel),
                  last_q = pool_last(in.w, d.stride, d.pad, Y.w),
                  last_p = pool_last(in.h, d.stride, d.pad, Y.h);
        float sum[W::WIDTH] = { 0 };
        for (int p = pool_first(in.h, d.stride, d.pad, d.kernel); p <= last_p; p++) {
            const int r = pool_element(in.h, p, d.stride, d.pad, d.kernel);
            if (r < 0) continue; /* between two windows: stride > kernel */
            for (int q = first_q; q <= last_q; q++) {
                const int s = pool_element(in.w, q, d.stride, d.pad, d.kernel);
                if (s < 0) continue;
                add_if_greatest<W>(dy, where, vector_at<W>(Y, in.n, in.c, p, q), r * d.kernel + s, sum);
            }
        }
        store<W>(dx, i, sum, add);
    }
}

/* Windows side by side: a thread takes a window, reads its dy once and writes all of its dx. `windows` is the shape
 * of Y, and one line or column more where X is not a multiple of the window: these have no output, and their dx is
 * zero. */
template <typename W>
__global__ void max_backward_apart_kernel(const void *dy, const uint8_t *where, void *dx, bool add, shape4 X,
                                          shape4 Y, shape4 windows, int kernel)
{
    enum { V = W::WIDTH };
    FOR_EACH(i, shape_count(windows) / V)
    {
        const position out = position_of<W>(windows, i);
        bytes_of<W> at;
        float g[V] = { 0 };
        for (int j = 0; j < V; j++) at.v[j] = NOWHERE;
        if (out.h < Y.h && out.w < Y.w) {
            const int64_t from = vector_at<W>(Y, out.n, out.c, out.h, out.w);
            at = ((const bytes_of<W> *)where)[from];
            load<W>(dy, from, g);
        }
        for (int r = 0; r < kernel && out.h * kernel + r < X.h; r++)
            for (int s = 0; s < kernel && out.w * kernel + s < X.w; s++) {
                float v[V];
                for (int j = 0; j < V; j++) v[j] = at.v[j] == r * kernel + s ? g[j] : 0;
                store<W>(dx, vector_at<W>(X, out.n, out.c, out.h * kernel + r, out.w * kernel + s), v, add);
            }
    }
}

int max_backward(cuda_stream stream, dtype type, const void *dy, const uint8_t *where, void *dx, bool add,
                 shape4 X, shape4 Y, pool_desc d)
{
    const shape4 windows = { X.n, X.c, (X.h + d.kernel - 1) / d.kernel, (X.w + d.kernel - 1) / d.kernel };
    const bool apart = d.kernel == d.stride && d.pad == 0;
#define CALL(W)                                                                                              \
    (apart ? LAUNCH_FOR(max_backward_apart_kernel<W>, shape_count(windows) / W::WIDTH, stream, dy, where,    \
                        dx, add, X, Y, windows, d.kernel)                                                    \
           : LAUNCH_FOR(max_backward_kernel<W>, shape_count(X) / W::WIDTH, stream, dy, where, dx, add, X, Y, \
                        d))
    return BY_WIDTH(type, X.c, CALL);
#undef CALL
}

/* --- average over all pixels --- */

/* A part of columns.h is one image, so a block has the whole sum of its channels. */
static inline columns columns_of_images(dtype type, shape4 X)
{
    const int pixels = X.h * X.w;
    columns k = columns_across(type, (int64_t)X.n * pixels, X.c);
    k.part_rows = pixels;
    k.parts = X.n;
    if (k.ys > pixels) k.ys = pixels;
    return k;
}

template <typename W> __global__ void average_forward_kernel(columns k, const void *x, void *y)
{
    enum { V = W::WIDTH };
    const int vector = my_vector(k);
    float sum[V] = { 0 };
    add_my_rows<W>(x, rows_of(k, vector), sum);
    rows_sum<V>(k, sum);
    if ((int)threadIdx.x >= k.xs || vector < 0) return;
    for (int i = 0; i < V; i++) sum[i] /= (float)k.part_rows;
    store<W>(y, (int64_t)my_part(k) * k.vectors + vector, sum, false);
}

int average_forward(cuda_stream stream, dtype type, const void *x, void *y, shape4 X)
{
    const columns k = columns_of_images(type, X);
#define CALL(W) LAUNCH_COLUMNS(average_forward_kernel<W>, k, stream, x, y)
    return BY_WIDTH(type, X.c, CALL);
#undef CALL
}

template <typename W> __global__ void average_backward_kernel(const void *dy, void *dx, bool add, shape4 X)
{
    const uint32_t image = (uint32_t)(shape_image(X) / W::WIDTH);
    const int row_vectors = X.c / W::WIDTH;
    const float pixels = (float)(X.h * X.w);
    FOR_EACH(i, shape_count(X) / W::WIDTH)
    {
        const uint32_t n = (uint32_t)i / image;
        float g[W::WIDTH];
        load<W>(dy, (int64_t)n * row_vectors + vector_of(i, row_vectors).vector, g);
        for (int j = 0; j < W::WIDTH; j++) g[j] /= pixels;
        store<W>(dx, i, g, add);
    }
}

int average_backward(cuda_stream stream, dtype type, const void *dy, void *dx, bool add, shape4 X)
{
#define CALL(W) LAUNCH_FOR(average_backward_kernel<W>, shape_count(X) / W::WIDTH, stream, dy, dx, add, X)
    return BY_WIDTH(type, X.c, CALL);
#undef CALL
}
