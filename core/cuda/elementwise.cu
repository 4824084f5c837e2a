/* core/cuda/elementwise.cu -- dropout, and the shortcut of [He16] option A: a thread takes one value, or one vector of
 * channels. */
#include "launch.h"

#include "../base/philox.h"

/* --- dropout --- */

enum { STREAM_DROPOUT = 1000 }; /* RNG_DROPOUT of core/base/rng.h, which does not compile as C++ */

template <typename T>
__global__ void dropout_kernel(const T *from, T *to, bool add, shape4 s, float p, uint32_t stream,
                               const cuda_scalars *now)
{
    const int64_t count = shape_count(s);
    const float scale = 1 / (1 - p);
    FOR_EACH(i, count)
    {
        const uint64_t logical = (uint64_t)nhwc_to_nchw(s, i);
        const bool keep = p == 0 || philox_uniform(now->seed, stream, (uint32_t)now->step, logical) >= p;
        const float v = keep ? to_float(from[i]) * scale : 0;
        from_float(&to[i], add ? to_float(to[i]) + v : v);
    }
}

int dropout_apply(cuda_stream stream, dtype type, const void *from, void *to, bool add, shape4 s, float p,
                  int layer, const cuda_scalars *now)
{
    const uint32_t numbers = STREAM_DROPOUT + (uint32_t)layer;
#define CALL(T)                                                                                              \
    LAUNCH_FOR(dropout_kernel<T>, shape_count(s), stream, (const T *)from, (T *)to, add, s, p, numbers, now)
    return BY_TYPE(type, CALL);
#undef CALL
}

/* --- shortcut: y[n, c + before, i, j] = x[n, c, i*stride, j*stride], the other channels 0 --- */

template <typename W>
__global__ void shortcut_forward_kernel(const void *x, void *y, shape4 X, shape4 Y, int stride)
{
    const int before = (Y.c - X.c) / 2;
    FOR_EACH(i, shape_count(Y) / W::WIDTH)
    {
        const position out = position_of<W>(Y, i);
        const int c = out.c - before;
        W v = {};
        if (c >= 0 && c < X.c) v = ((const W *)x)[vector_at<W>(X, out.n, c, out.h * stride, out.w * stride)];
        ((W *)y)[i] = v;
    }
}

/* A vector must divide X.c, Y.c and `before`: then each vector of y is either copied or zero. */
#define SHORTCUT_WIDTH(X, Y) ((X).c | (Y).c | ((Y).c - (X).c) / 2)

int shortcut_forward(cuda_stream stream, dtype type, const void *x, void *y, shape4 X, shape4 Y, int stride)
{
#define CALL(W) LAUNCH_FOR(shortcut_forward_kernel<W>, shape_count(Y) / W::WIDTH, stream, x, y, X, Y, stride)
    return BY_WIDTH(type, SHORTCUT_WIDTH(X, Y), CALL);
#undef CALL
}

/* A pixel of x was copied to one pixel of y, or to none. */
template <typename W>
__global__ void shortcut_backward_kernel(const void *dy, void *dx, bool add, shape4 X, shape4 Y, int stride)
{
    const int before = (Y.c - X.c) / 2;
    FOR_EACH(i, shape_count(X) / W::WIDTH)
    {
        const position in = position_of<W>(X, i);
        float v[W::WIDTH] = { 0 };
        if (in.h % stride == 0 && in.w % stride == 0)
            load<W>(dy, vector_at<W>(Y, in.n, in.c + before, in.h / stride, in.w / stride), v);
        store<W>(dx, i, v, add);
    }
}

int shortcut_backward(cuda_stream stream, dtype type, const void *dy, void *dx, bool add, shape4 X, shape4 Y,
                      int stride)
{
#define CALL(W)                                                                                              \
    LAUNCH_FOR(shortcut_backward_kernel<W>, shape_count(X) / W::WIDTH, stream, dy, dx, add, X, Y, stride)
    return BY_WIDTH(type, SHORTCUT_WIDTH(X, Y), CALL);
#undef CALL
}
