/* core/cuda/elementwise.cu -- operations that look at one value at a time, and changes of layout. */
#include "device.h"

#include "../base/philox.h"

enum { STREAM_DROPOUT = 1000 }; /* RNG_DROPOUT of core/base/rng.h, which is not for C++ */

__global__ void set_scalars(cuda_scalars *to, cuda_scalars value)
{
    *to = value;
}

int cuda_set_scalars(cuda_stream stream, cuda_scalars *to, cuda_scalars value)
{
    return LAUNCH(set_scalars, 1, 1, stream, to, value);
}

template <typename W>
__global__ void bias_act_kernel(void *y, const float *bias, int64_t vectors, int row_vectors, activation act)
{
    FOR_EACH(i, vectors)
    {
        const int c = vector_of(i, row_vectors).channel * W::WIDTH;
        float v[W::WIDTH];
        load<W>(y, i, v);
        for (int j = 0; j < W::WIDTH; j++) v[j] = cuda_act(act, v[j] + bias[c + j]);
        store<W>(y, i, v, false);
    }
}

int bias_act(cuda_stream stream, dtype type, void *y, const float *bias, int64_t m, int c, activation act)
{
#define CALL(W)                                                                                              \
    LAUNCH(bias_act_kernel<W>, blocks_for(m *(c / W::WIDTH)), THREADS, stream, y, bias, m *(c / W::WIDTH),   \
           c / W::WIDTH, act)
    return BY_WIDTH(type, c, CALL);
#undef CALL
}

template <typename T>
__global__ void act_backward_kernel(const T *y, const T *dy, T *dv, int64_t count, activation act)
{
    FOR_EACH(i, count) from_float(&dv[i], cuda_act_passes(act, to_float(y[i])) ? to_float(dy[i]) : 0);
}

int act_backward(cuda_stream stream, dtype type, const void *y, const void *dy, void *dv, int64_t count,
                 activation act)
{
#define CALL(T)                                                                                              \
    LAUNCH(act_backward_kernel<T>, blocks_for(count), THREADS, stream, (const T *)y, (const T *)dy, (T *)dv, \
           count, act)
    return BY_TYPE(type, CALL);
#undef CALL
}

/* to = v, or to += v. */
template <typename T> __device__ static inline void put(T *to, float v, bool add)
{
    from_float(to, add ? to_float(*to) + v : v);
}

template <typename T>
__global__ void dropout_kernel(const T *from, T *to, bool add, shape4 s, float p, uint32_t stream,
                               const cuda_scalars *now)
{
    const int64_t count = values_of(s);
    const float scale = 1 / (1 - p);
    FOR_EACH(i, count)
    {
        const uint64_t logical = (uint64_t)nhwc_to_nchw(s, i);
        const bool keep = p == 0 || philox_uniform(now->seed, stream, (uint32_t)now->step, logical) >= p;
        put(&to[i], keep ? to_float(from[i]) * scale : 0, add);
    }
}

int dropout_apply(cuda_stream stream, dtype type, const void *from, void *to, bool add, shape4 s, float p,
                  int layer, const cuda_scalars *now)
{
    const uint32_t numbers = STREAM_DROPOUT + (uint32_t)layer;
#define CALL(T)                                                                                              \
    LAUNCH(dropout_kernel<T>, blocks_for(values_of(s)), THREADS, stream, (const T *)from, (T *)to, add, s,   \
           p, numbers, now)
    return BY_TYPE(type, CALL);
#undef CALL
}

/* y[n, c + before, i, j] = x[n, c, i*stride, j*stride], the other channels 0. */
template <typename W>
__global__ void shortcut_forward_kernel(const void *x, void *y, shape4 X, shape4 Y, int stride)
{
    const int before = (Y.c - X.c) / 2, row_vectors = Y.c / W::WIDTH;
    FOR_EACH(i, values_of(Y) / W::WIDTH)
    {
        const vector_place here = vector_of(i, row_vectors);
        const nhw at = nhw_of(Y, here.pixel);
        const int c = here.channel * W::WIDTH - before;
        W v = {};
        if (c >= 0 && c < X.c)
            v = ((const W *)x)[nhwc_at(X, at.n, c, at.h * stride, at.w * stride) / W::WIDTH];
        ((W *)y)[i] = v;
    }
}

/* No vector of channels of y is partly copied, partly zero. */
#define SHORTCUT_WIDTH(X, Y) ((X).c | (Y).c | ((Y).c - (X).c) / 2)

int shortcut_forward(cuda_stream stream, dtype type, const void *x, void *y, shape4 X, shape4 Y, int stride)
{
#define CALL(W)                                                                                              \
    LAUNCH(shortcut_forward_kernel<W>, blocks_for(values_of(Y) / W::WIDTH), THREADS, stream, x, y, X, Y,     \
           stride)
    return BY_WIDTH(type, SHORTCUT_WIDTH(X, Y), CALL);
#undef CALL
}

/* A pixel of x was copied once or dropped. */
template <typename W>
__global__ void shortcut_backward_kernel(const void *dy, void *dx, bool add, shape4 X, shape4 Y, int stride)
{
    const int before = (Y.c - X.c) / 2, row_vectors = X.c / W::WIDTH;
    FOR_EACH(i, values_of(X) / W::WIDTH)
    {
        const vector_place here = vector_of(i, row_vectors);
        const nhw at = nhw_of(X, here.pixel);
        const int c = here.channel * W::WIDTH + before;
        float v[W::WIDTH] = { 0 };
        if (at.h % stride == 0 && at.w % stride == 0)
            load<W>(dy, nhwc_at(Y, at.n, c, at.h / stride, at.w / stride) / W::WIDTH, v);
        store<W>(dx, i, v, add);
    }
}

int shortcut_backward(cuda_stream stream, dtype type, const void *dy, void *dx, bool add, shape4 X, shape4 Y,
                      int stride)
{
#define CALL(W)                                                                                              \
    LAUNCH(shortcut_backward_kernel<W>, blocks_for(values_of(X) / W::WIDTH), THREADS, stream, dy, dx, add,   \
           X, Y, stride)
    return BY_WIDTH(type, SHORTCUT_WIDTH(X, Y), CALL);
#undef CALL
}

/* --- layouts --- */

/* An image is a matrix: [places][channels] as a value, [channels][places] as NCHW. A block turns a square of it through
 * shared memory, so that both sides are read and written in pieces; a column more than the square has, so that
 * neither side of shared memory waits for itself. */
enum { SIDE = 32, SIDE_ROWS = THREADS / SIDE };

template <typename A, typename B>
__global__ void turn_kernel(const A *from, B *to, int rows, int cols, int tiles_across, int tiles)
{
    __shared__ float square[SIDE][SIDE + 1];
    const int image = (int)blockIdx.x / tiles, tile = (int)blockIdx.x - image * tiles;
    const int row0 = tile / tiles_across * SIDE, col0 = tile % tiles_across * SIDE;
    const int x = (int)threadIdx.x % SIDE, y = (int)threadIdx.x / SIDE;
    const int64_t begin = (int64_t)image * rows * cols;
    for (int r = y; r < SIDE && row0 + r < rows; r += SIDE_ROWS)
        if (col0 + x < cols) square[r][x] = to_float(from[begin + (int64_t)(row0 + r) * cols + col0 + x]);
    __syncthreads();
    for (int c = y; c < SIDE && col0 + c < cols; c += SIDE_ROWS)
        if (row0 + x < rows) from_float(&to[begin + (int64_t)(col0 + c) * rows + row0 + x], square[x][c]);
}

/* [images][rows][cols] -> [images][cols][rows] */
template <typename A, typename B>
static int turn(cuda_stream stream, const A *from, B *to, int images, int rows, int cols)
{
    const int across = (cols + SIDE - 1) / SIDE, tiles = across * ((rows + SIDE - 1) / SIDE);
    return LAUNCH_BLOCKS((turn_kernel<A, B>), (unsigned)images * (unsigned)tiles, THREADS, stream, from, to,
                         rows, cols, across, tiles);
}

int value_from_nchw(cuda_stream stream, dtype type, const float *nchw, void *value, shape4 s)
{
#define CALL(T) turn(stream, nchw, (T *)value, s.n, s.c, s.h *s.w)
    return BY_TYPE(type, CALL);
#undef CALL
}

int value_to_nchw(cuda_stream stream, dtype type, const void *value, float *nchw, shape4 s)
{
#define CALL(T) turn(stream, (const T *)value, nchw, s.n, s.h *s.w, s.c)
    return BY_TYPE(type, CALL);
#undef CALL
}
