/* core/cuda/params.cu -- the optimiser, and weights between PyTorch's order and the libraries'. */
#include "device.h"

__global__ void sgd_kernel(const cuda_scalars *now, float *value, const float *grad, float *velocity,
                           int64_t count)
{
    const cuda_scalars s = *now;
    FOR_EACH(i, count)
    sgd_update(&value[i], &velocity[i], grad[i], s.lr, s.momentum, s.weight_decay, s.nesterov != 0);
}

int sgd(cuda_stream stream, const cuda_scalars *now, float *value, const float *grad, float *velocity,
        int64_t count)
{
    return LAUNCH(sgd_kernel, blocks_for(count), THREADS, stream, now, value, grad, velocity, count);
}

__device__ static inline int64_t weight_count(const weight_copy &w)
{
    return (int64_t)w.filters * w.channels * w.window;
}

__device__ static inline void pack_element(const weight_copy &w, int64_t i)
{
    const float v = w.plain[krsc_to_kcrs(w.channels, w.window, i)];
    if (w.type == F32)
        ((float *)w.packed)[i] = v;
    else
        ((bf16 *)w.packed)[i] = bf16_from_float(v);
}

__device__ static inline void unpack_element(const weight_copy &w, int64_t i)
{
    const float v = w.type == F32 ? ((const float *)w.packed)[i] : bf16_to_float(((const bf16 *)w.packed)[i]);
    w.plain[krsc_to_kcrs(w.channels, w.window, i)] = v;
}

/* blockIdx.y: which weight. */
__global__ void pack_table(const weight_copy *table)
{
    const weight_copy w = table[blockIdx.y];
    FOR_EACH(i, weight_count(w)) pack_element(w, i);
}

__global__ void unpack_table(const weight_copy *table)
{
    const weight_copy w = table[blockIdx.y];
    FOR_EACH(i, weight_count(w)) unpack_element(w, i);
}

enum { BLOCKS_A_WEIGHT = 64 }; /* weights have some hundred to some million values */

int weights_pack(cuda_stream stream, const weight_copy *table, int n)
{
    return LAUNCH(pack_table, dim3(BLOCKS_A_WEIGHT, (unsigned)n), THREADS, stream, table);
}

int weights_unpack(cuda_stream stream, const weight_copy *table, int n)
{
    return LAUNCH(unpack_table, dim3(BLOCKS_A_WEIGHT, (unsigned)n), THREADS, stream, table);
}

__global__ void pack_one(weight_copy w)
{
    FOR_EACH(i, weight_count(w)) pack_element(w, i);
}

__global__ void unpack_one(weight_copy w)
{
    FOR_EACH(i, weight_count(w)) unpack_element(w, i);
}

int weight_pack(cuda_stream stream, weight_copy w)
{
    return LAUNCH(pack_one, blocks_for((int64_t)w.filters * w.channels * w.window), THREADS, stream, w);
}

int weight_unpack(cuda_stream stream, weight_copy w)
{
    return LAUNCH(unpack_one, blocks_for((int64_t)w.filters * w.channels * w.window), THREADS, stream, w);
}
