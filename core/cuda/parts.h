/* core/cuda/parts.h -- sums over parts that blocks have left in memory, always in the same order. */
#ifndef CLEAVE_CUDA_PARTS_H
#define CLEAVE_CUDA_PARTS_H

#include "device.h"

/* A block adds up some values side by side: PART_LANES threads a value. */
enum { PART_VALUES = 16, PART_LANES = THREADS / PART_VALUES };

static inline unsigned blocks_for_parts(int values)
{
    return (unsigned)((values + PART_VALUES - 1) / PART_VALUES);
}

/* The value of this thread; the first PART_VALUES threads of a block are given its sum. */
__device__ static inline int my_value(void)
{
    return (int)blockIdx.x * PART_VALUES + (int)threadIdx.x % PART_VALUES;
}

/* Over partial [parts][values]. All threads of the block, of THREADS, must come here. */
__device__ static inline double sum_parts(const float *partial, int parts, int values)
{
    __shared__ double sum[THREADS];
    const int t = (int)threadIdx.x, value = my_value();
    double total = 0;
    for (int p = t / PART_VALUES; value < values && p < parts; p += PART_LANES)
        total += partial[(int64_t)p * values + value];
    sum[t] = total;
    __syncthreads();
    for (int lane = 1; t < PART_VALUES && lane < PART_LANES; lane++) total += sum[lane * PART_VALUES + t];
    return total;
}

#endif
