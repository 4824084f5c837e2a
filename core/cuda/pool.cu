/* core/cuda/pool.cu -- [op.h] OP_POOL. Forward leaves a byte per output: which element of the window was the
 * greatest. Backward gathers, each input from the windows that contain it, so nothing is added concurrently.
 */
#include "device.h"

enum { NOWHERE = 255 };

template <typename T>
__global__ void max_forward_kernel(const T *x, T *y, uint8_t *where, shape4 X, shape4 Y, pool_desc d)
{
    const int64_t count = values_of(Y);
    FOR_EACH(i, count)
    {
        const int64_t pixel = i / Y.c;
        const int c = (int)(i % Y.c), q = (int)(pixel % Y.w), p = (int)(pixel / Y.w % Y.h),
                  n = (int)(pixel / Y.w / Y.h);
        float best = -INFINITY;
        int at = NOWHERE;
        for (int r = 0; r < d.kernel; r++) {
            const int h = p * d.stride + r - d.pad;
            if (h < 0 || h >= X.h) continue;
            for (int s = 0; s < d.kernel; s++) {
                const int w = q * d.stride + s - d.pad;
                if (w < 0 || w >= X.w) continue;
                const float v = to_float(x[nhwc_at(X, n, c, h, w)]);
                if (at != NOWHERE && !(v > best)) continue; /* the first of equal ones */
                best = v;
                at = r * d.kernel + s;
            }
        }
        from_float(&y[i], best);
        if (where) where[i] = (uint8_t)at;
    }
}

int max_forward(cuda_stream stream, dtype type, const void *x, void *y, uint8_t *where, shape4 X, shape4 Y,
                pool_desc d)
{
#define CALL(T)                                                                                              \
    LAUNCH(max_forward_kernel<T>, blocks_for(values_of(Y)), THREADS, stream, (const T *)x, (T *)y, where, X, \
           Y, d)
    return BY_TYPE(type, CALL);
#undef CALL
}

/* dx[h, w] = sum of dy over the windows whose greatest value this is. */
template <typename T>
__device__ static inline float pool_gather(const T *dy, const uint8_t *where, shape4 Y, pool_desc d, int n,
                                           int c, int h, int w)
{
    float sum = 0;
    for (int p = pool_first(h, d.stride, d.pad, d.kernel); p <= pool_last(h, d.stride, d.pad, Y.h); p++) {
        const int r = pool_tap(h, p, d.stride, d.pad, d.kernel);
        if (r < 0) continue; /* between two windows: stride > kernel */
        for (int q = pool_first(w, d.stride, d.pad, d.kernel); q <= pool_last(w, d.stride, d.pad, Y.w); q++) {
            const int s = pool_tap(w, q, d.stride, d.pad, d.kernel);
            if (s < 0) continue;
            const int64_t at = nhwc_at(Y, n, c, p, q);
            if (where[at] == r * d.kernel + s) sum += to_float(dy[at]);
        }
    }
    return sum;
}

template <typename T>
__global__ void max_backward_kernel(const T *dy, const uint8_t *where, T *dx, bool add, shape4 X, shape4 Y,
                                    pool_desc d)
{
    const int64_t count = values_of(X);
    FOR_EACH(i, count)
    {
        const int64_t pixel = i / X.c;
        const int c = (int)(i % X.c), w = (int)(pixel % X.w), h = (int)(pixel / X.w % X.h),
                  n = (int)(pixel / X.w / X.h);
        const float g = pool_gather(dy, where, Y, d, n, c, h, w);
        from_float(&dx[i], add ? to_float(dx[i]) + g : g);
    }
}

int max_backward(cuda_stream stream, dtype type, const void *dy, const uint8_t *where, void *dx, bool add,
                 shape4 X, shape4 Y, pool_desc d)
{
#define CALL(T)                                                                                              \
    LAUNCH(max_backward_kernel<T>, blocks_for(values_of(X)), THREADS, stream, (const T *)dy, where, (T *)dx, \
           add, X, Y, d)
    return BY_TYPE(type, CALL);
#undef CALL
}

template <typename T> __global__ void average_forward_kernel(const T *x, T *y, shape4 X)
{
    const int64_t count = (int64_t)X.n * X.c;
    const int pixels = X.h * X.w;
    FOR_EACH(i, count)
    {
        const T *from = x + i / X.c * pixels * X.c + i % X.c;
        float sum = 0;
        for (int p = 0; p < pixels; p++) sum += to_float(from[(int64_t)p * X.c]);
        from_float(&y[i], sum / (float)pixels);
    }
}

int average_forward(cuda_stream stream, dtype type, const void *x, void *y, shape4 X)
{
#define CALL(T)                                                                                              \
    LAUNCH(average_forward_kernel<T>, blocks_for((int64_t)X.n *X.c), THREADS, stream, (const T *)x, (T *)y, X)
    return BY_TYPE(type, CALL);
#undef CALL
}

template <typename T> __global__ void average_backward_kernel(const T *dy, T *dx, bool add, shape4 X)
{
    const int64_t count = values_of(X), image = values_of_image(X);
    const float pixels = (float)(X.h * X.w);
    FOR_EACH(i, count)
    {
        const float g = to_float(dy[i / image * X.c + i % X.c]) / pixels;
        from_float(&dx[i], add ? to_float(dx[i]) + g : g);
    }
}

int average_backward(cuda_stream stream, dtype type, const void *dy, void *dx, bool add, shape4 X)
{
#define CALL(T)                                                                                              \
    LAUNCH(average_backward_kernel<T>, blocks_for(values_of(X)), THREADS, stream, (const T *)dy, (T *)dx,    \
           add, X)
    return BY_TYPE(type, CALL);
#undef CALL
}
