/* core/cuda/launch.h -- what all .cu files share: launching kernels, and vectors of neighbouring channels.
 *
 * nvcc compiles the .cu files for the device. A C++ compiler compiles the same text against tests/cuda/emulate.h, which
 * runs the threads of a block one after the other on the host. So indices, bounds and barriers are tested on machines
 * without a GPU. Kernels may therefore use only threadIdx, blockIdx, blockDim, gridDim, __shared__, __syncthreads,
 * add_count, what tensor_core.h has, and hints to the compiler. */
#ifndef CLEAVE_CUDA_LAUNCH_H
#define CLEAVE_CUDA_LAUNCH_H

#ifdef __CUDACC__
#include <cuda_runtime.h>
/* LAUNCH is for kernels without barriers, LAUNCH_BLOCKS for those whose threads wait for each other: the emulated
 * device runs them differently. Both are the launch's cudaError_t. Not formatted: clang-format takes <<< >>> for
 * shifts. */
/* clang-format off */
#define LAUNCH(kernel, grid, block, stream, ...) \
    ((kernel)<<<(grid), (block), 0, (stream)>>>(__VA_ARGS__), (int)cudaGetLastError())
/* clang-format on */
#define LAUNCH_BLOCKS LAUNCH
#define UNROLL        _Pragma("unroll")

/* Counts are whole numbers, so their sum does not depend on the order of the blocks. */
__device__ static inline void add_count(int64_t *to, int64_t count)
{
    atomicAdd((unsigned long long *)to, (unsigned long long)count);
}
#else
#include "emulate.h"
#endif

#include "arithmetic.h"
#include "kernels.h"

enum { THREADS = 256 }; /* of a block, where a kernel does not say otherwise */

/* --- vectors --- */

/* V neighbouring channels of element type T: one access to memory of up to 16 bytes. A "vector" is one of these. */
template <typename T, int V> struct alignas(sizeof(T) * V) wide {
    typedef T element;
    enum { WIDTH = V };
    T v[V];
};
typedef wide<float, 1> f32x1;
typedef wide<float, 4> f32x4;
typedef wide<bf16, 1> bf16x1;
typedef wide<bf16, 8> bf16x8;

/* One byte for each value of a vector of type W. */
template <typename W> using bytes_of = wide<uint8_t, W::WIDTH>;

__device__ static inline float to_float(float v)
{
    return v;
}
__device__ static inline float to_float(bf16 v)
{
    return bf16_to_float(v);
}
__device__ static inline void from_float(float *to, float v)
{
    *to = v;
}
__device__ static inline void from_float(bf16 *to, float v)
{
    *to = bf16_from_float(v);
}

template <typename W> __device__ static inline void unpack(const W &w, float out[W::WIDTH])
{
    for (int i = 0; i < W::WIDTH; i++) out[i] = to_float(w.v[i]);
}

/* Vector number `vector` of a value. */
template <typename W>
__device__ static inline void load(const void *from, int64_t vector, float out[W::WIDTH])
{
    const W w = ((const W *)from)[vector];
    unpack(w, out);
}

/* Overwrites the vector, or adds to it. */
template <typename W>
__device__ static inline void store(void *to, int64_t vector, const float in[W::WIDTH], bool add)
{
    W w;
    if (add) w = ((const W *)to)[vector];
    for (int i = 0; i < W::WIDTH; i++) from_float(&w.v[i], add ? to_float(w.v[i]) + in[i] : in[i]);
    ((W *)to)[vector] = w;
}

/* What vector i of a value of shape s holds: channels c, c + 1, ... of pixel [h, w] of image n. */
typedef struct position {
    int n, h, w, c;
} position;

template <typename W> __device__ static inline position position_of(shape4 s, int64_t i)
{
    const vector_place at = vector_of(i, s.c / W::WIDTH);
    const nhw pixel = nhw_of(s, at.pixel);
    const position p = { pixel.n, pixel.h, pixel.w, at.vector * W::WIDTH };
    return p;
}

/* The vector of logical [n, c, h, w]. */
template <typename W> __device__ static inline int64_t vector_at(shape4 s, int n, int c, int h, int w)
{
    return nhwc_at(s, n, c, h, w) / W::WIDTH;
}

/* --- choosing a kernel at run time --- */

/* call(W), where W is the widest vector whose width divides the c values of a row. */
#define BY_WIDTH(type, c, call)                                                                              \
    ((type) == F32 ? ((c) % 4 ? call(f32x1) : call(f32x4)) : ((c) % 8 ? call(bf16x1) : call(bf16x8)))
/* call(float) or call(bf16) */
#define BY_TYPE(type, call) ((type) == F32 ? call(float) : call(bf16))

/* --- one thread for each of `count` items --- */

/* Enough blocks, up to a limit: FOR_EACH lets each thread take more than one item. */
static inline unsigned blocks_for(int64_t count)
{
    const int64_t blocks = (count + THREADS - 1) / THREADS;
    return (unsigned)(blocks < 1 ? 1 : blocks > 8192 ? 8192 : blocks);
}

#define LAUNCH_FOR(kernel, count, stream, ...) LAUNCH(kernel, blocks_for(count), THREADS, stream, __VA_ARGS__)

/* In a kernel: for every i < count that is this thread's. */
#define FOR_EACH(i, count)                                                                                   \
    for (int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x; i < (count);                            \
         i += (int64_t)gridDim.x * blockDim.x)

#endif
