/* core/cuda/elementwise.cu -- operations that look at one value at a time, and changes of layout. */
#include "device.h"

#include "../philox.h"

enum { STREAM_DROPOUT = 1000 }; /* RNG_DROPOUT of core/rng.h, which is not for C++ */

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
        const int c = (int)(i % row_vectors) * W::WIDTH;
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
        const nhw at = nhw_of(Y, i / row_vectors);
        const int c = (int)(i % row_vectors) * W::WIDTH - before;
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
        const nhw at = nhw_of(X, i / row_vectors);
        const int c = (int)(i % row_vectors) * W::WIDTH + before;
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

template <typename T> __global__ void from_nchw_kernel(const float *nchw, T *value, shape4 s)
{
    const int64_t count = values_of(s);
    FOR_EACH(i, count) from_float(&value[i], nchw[nhwc_to_nchw(s, i)]);
}

int value_from_nchw(cuda_stream stream, dtype type, const float *nchw, void *value, shape4 s)
{
#define CALL(T) LAUNCH(from_nchw_kernel<T>, blocks_for(values_of(s)), THREADS, stream, nchw, (T *)value, s)
    return BY_TYPE(type, CALL);
#undef CALL
}

template <typename T> __global__ void to_nchw_kernel(const T *value, float *nchw, shape4 s)
{
    const int64_t count = values_of(s);
    FOR_EACH(i, count) nchw[nhwc_to_nchw(s, i)] = to_float(value[i]);
}

int value_to_nchw(cuda_stream stream, dtype type, const void *value, float *nchw, shape4 s)
{
#define CALL(T)                                                                                              \
    LAUNCH(to_nchw_kernel<T>, blocks_for(values_of(s)), THREADS, stream, (const T *)value, nchw, s)
    return BY_TYPE(type, CALL);
#undef CALL
}
