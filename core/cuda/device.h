/* core/cuda/device.h -- what the .cu files share: launching, and reading several channels at once.
 *
 * nvcc compiles these files for the device. A C++ compiler can compile the same text against
 * tests/cuda/emulate.h, which runs the threads of a block one after the other on the host: indices, bounds
 * and barriers are tested on machines without a GPU. Kernels therefore use nothing but threadIdx, blockIdx,
 * blockDim, gridDim, __shared__, __syncthreads, add_count and what mma.h has, besides hints to the compiler. */
#ifndef CLEAVE_CUDA_DEVICE_H
#define CLEAVE_CUDA_DEVICE_H

#ifdef __CUDACC__
#include <cuda_runtime.h>
/* A kernel whose threads do not wait for each other, and one whose threads do. Not formatted: the launch
 * would be taken for shifts. */
/* clang-format off */
#define LAUNCH(kernel, grid, block, stream, ...) \
    ((kernel)<<<(grid), (block), 0, (stream)>>>(__VA_ARGS__), (int)cudaGetLastError())
/* clang-format on */
#define LAUNCH_BLOCKS LAUNCH
#define UNROLL        _Pragma("unroll")

/* Whole numbers: the sum does not depend on who comes first. */
__device__ static inline void add_count(int64_t *to, int64_t count)
{
    atomicAdd((unsigned long long *)to, (unsigned long long)count);
}
#else
#include "emulate.h"
#endif

#include "kernels.h"
#include "math.h"

enum { THREADS = 256 };

/* V neighbouring channels of element type T: one access of up to 16 bytes. */
template <typename T, int V> struct alignas(sizeof(T) * V) wide {
    typedef T element;
    enum { WIDTH = V };
    T v[V];
};
typedef wide<float, 1> f32x1;
typedef wide<float, 4> f32x4;
typedef wide<bf16, 1> bf16x1;
typedef wide<bf16, 8> bf16x8;

/* What a byte per value is for a vector. */
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

/* v as an element of this type holds it. */
__device__ static inline float rounded(const float *, float v)
{
    return v;
}
__device__ static inline float rounded(const bf16 *, float v)
{
    return bf16_to_float(bf16_from_float(v));
}

template <typename W> __device__ static inline void unpack(const W &w, float out[W::WIDTH])
{
    for (int i = 0; i < W::WIDTH; i++) out[i] = to_float(w.v[i]);
}

template <typename W>
__device__ static inline void load(const void *from, int64_t vector, float out[W::WIDTH])
{
    const W w = ((const W *)from)[vector];
    unpack(w, out);
}

/* Stores, or adds to what is there. */
template <typename W>
__device__ static inline void store(void *to, int64_t vector, const float in[W::WIDTH], bool add)
{
    W w;
    if (add) w = ((const W *)to)[vector];
    for (int i = 0; i < W::WIDTH; i++) from_float(&w.v[i], add ? to_float(w.v[i]) + in[i] : in[i]);
    ((W *)to)[vector] = w;
}

/* Runs `call(W)` with the widest access that divides a row of c values of this type. */
#define BY_WIDTH(type, c, call)                                                                              \
    ((type) == F32 ? ((c) % 4 ? call(f32x1) : call(f32x4)) : ((c) % 8 ? call(bf16x1) : call(bf16x8)))
#define BY_TYPE(type, call) ((type) == F32 ? call(float) : call(bf16))

/* Blocks for `count` threads; kernels step by the whole grid, so any number will do. */
static inline unsigned blocks_for(int64_t count)
{
    const int64_t blocks = (count + THREADS - 1) / THREADS;
    return (unsigned)(blocks < 1 ? 1 : blocks > 8192 ? 8192 : blocks);
}

/* for every i < count that is this thread's */
#define FOR_EACH(i, count)                                                                                   \
    for (int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x; i < (count);                            \
         i += (int64_t)gridDim.x * blockDim.x)

#endif
