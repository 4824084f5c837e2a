/* core/cuda/sums.h -- sums over many threads. No sum uses atomic additions of floats: each is taken in an order that
 * does not depend on which thread or block is first, so that it has the same bits every time.
 *
 *   within a block          block_sum; rows_sum, over the rows of a block of columns.h
 *   over all blocks         Each block leaves a partial sum of its part in memory. A later kernel adds up the parts:
 *                           one of its own (parts_sum), or the kernel that needs the sums (columns_sum). In the second
 *                           case every block does it again for its channels, which takes less time than to start a
 *                           kernel: there are no more parts than multiprocessors.
 *
 * How many parts there are, and so how a sum over all blocks is rounded, depends on the number of multiprocessors. */
#ifndef CLEAVE_CUDA_SUMS_H
#define CLEAVE_CUDA_SUMS_H

#include "columns.h"

/* --- one value of each thread of a block of THREADS --- */

/* All threads must call it, and all get the result. sum: shared memory [THREADS]. */
template <typename T> __device__ static inline T block_sum(T *sum, T mine)
{
    const int t = (int)threadIdx.x;
    sum[t] = mine;
    __syncthreads();
    for (int half = THREADS / 2; half > 0; half /= 2) {
        if (t < half) sum[t] += sum[t + half];
        __syncthreads();
    }
    const T all = sum[0];
    __syncthreads(); /* the caller may write to `sum` next */
    return all;
}

/* --- columns: the rows of a thread, of a block, of all blocks --- */

/* sum[i] += channel i of this thread's vector, over its rows. */
template <typename W>
__device__ static inline void add_my_rows(const void *x, my_rows mine, float sum[W::WIDTH])
{
    FOR_MY_ROWS(at, mine, SUM_ROWS)
    {
        W rows[SUM_ROWS];
        load_rows(x, at, mine, rows);
        FOR_LOADED_ROWS(r, at, mine, SUM_ROWS)
        for (int i = 0; i < W::WIDTH; i++) sum[i] += to_float(rows[r].v[i]);
    }
}

/* Adds up each of N values over the threads of the block that have the same channels, as a tree: only threads with y
 * = 0 get the sums. All threads of the block must call it. */
template <int N> __device__ static inline void rows_sum(columns k, float v[N])
{
    __shared__ float sum[N][COLUMN_THREADS];
    const int t = (int)threadIdx.x, y = t / k.xs;
    for (int i = 0; i < N; i++) sum[i][t] = v[i];
    __syncthreads();
    for (int n = k.ys; n > 1; n = (n + 1) / 2) {
        const int half = (n + 1) / 2;
        if (y < n - half)
            for (int i = 0; i < N; i++) sum[i][t] += sum[i][t + half * k.xs];
        __syncthreads();
    }
    for (int i = 0; i < N; i++) v[i] = sum[i][t];
}

/* Most kernels need two sums of each channel. Partial sums: [parts][c]. */
typedef wide<float, 2> two_sums;

static inline size_t partial_bytes(columns k)
{
    return (size_t)k.parts * (size_t)k.c * sizeof(two_sums);
}

/* Leaves the block's partial sums. sum[i] and sum[V + i] are this thread's two sums of channel i of its vector. All
 * threads of the block must call it. */
template <int V>
__device__ static inline void put_partial_sums(columns k, int vector, float sum[2 * V], two_sums *partial)
{
    rows_sum<2 * V>(k, sum);
    if ((int)threadIdx.x >= k.xs || vector < 0) return;
    two_sums *to = partial + (int64_t)my_part(k) * k.c + (int64_t)vector * V;
    for (int i = 0; i < V; i++) {
        to[i].v[0] = sum[i];
        to[i].v[1] = sum[V + i];
    }
}

/* How many parts a thread of columns_sum reads before it adds the first. At least COLUMN_THREADS / TILE_CHANNELS - 1
 * = 15 threads share the parts of a channel; more than 15 * PARTS_AT_ONCE parts are read in several rounds. */
enum { PARTS_AT_ONCE = 9 };

/* *a, *b: the sums over all parts of this thread's channel (my_channel; any value where that is -1). TILE_CHANNELS
 * threads side by side read one part, a channel each. All threads of the block must call it. */
__device__ static inline void columns_sum(columns k, const two_sums *partial, double *a, double *b)
{
    __shared__ double sum[2][COLUMN_THREADS];
    const int t = (int)threadIdx.x, lane = t / TILE_CHANNELS, lanes = (int)blockDim.x / TILE_CHANNELS;
    const int first = my_tile(k) * k.xs * k.width, i = t % TILE_CHANNELS;
    const bool reads = lane < lanes && i < k.xs * k.width && first + i < k.c;
    double one = 0, two = 0;
    for (int begin = 0; begin < k.parts; begin += PARTS_AT_ONCE * lanes) {
        two_sums part[PARTS_AT_ONCE] = {};
        UNROLL
        for (int j = 0; j < PARTS_AT_ONCE; j++) {
            const int p = begin + lane + j * lanes;
            if (reads && p < k.parts) part[j] = partial[(int64_t)p * k.c + first + i];
        }
        UNROLL
        for (int j = 0; j < PARTS_AT_ONCE; j++) {
            one += part[j].v[0];
            two += part[j].v[1];
        }
    }
    sum[0][t] = one;
    sum[1][t] = two;
    __syncthreads();
    for (int n = lanes; n > 1; n = (n + 1) / 2) {
        const int half = (n + 1) / 2;
        if (lane < n - half)
            for (int j = 0; j < 2; j++) sum[j][t] += sum[j][t + half * TILE_CHANNELS];
        __syncthreads();
    }
    *a = sum[0][t];
    *b = sum[1][t];
}

/* --- parts of any values, in a kernel of its own --- */

/* A block of THREADS adds up PARTS_VALUES values, PARTS_LANES threads each. */
enum { PARTS_VALUES = 16, PARTS_LANES = THREADS / PARTS_VALUES };

static inline unsigned parts_blocks(int values)
{
    return (unsigned)((values + PARTS_VALUES - 1) / PARTS_VALUES);
}

/* The value that this thread helps to add up. */
__device__ static inline int parts_value(void)
{
    return (int)blockIdx.x * PARTS_VALUES + (int)threadIdx.x % PARTS_VALUES;
}

/* The sum of parts_value() over partial [parts][values]; only the first PARTS_VALUES threads of the block get it. All
 * must call it. */
__device__ static inline double parts_sum(const float *partial, int parts, int values)
{
    __shared__ double sum[THREADS];
    const int t = (int)threadIdx.x, value = parts_value();
    double total = 0;
    for (int p = t / PARTS_VALUES; value < values && p < parts; p += PARTS_LANES)
        total += partial[(int64_t)p * values + value];
    sum[t] = total;
    __syncthreads();
    for (int lane = 1; t < PARTS_VALUES && lane < PARTS_LANES; lane++) total += sum[lane * PARTS_VALUES + t];
    return total;
}

#endif
