/* core/cuda/columns.h -- how a value of m rows of c channels is shared out where channels have statistics or
 * parameters of their own; and sums over the rows.
 *
 *   threads of a block:  xs vectors of channels side by side, ys rows below each other
 *   blocks:              `tiles` across the channels, `parts` down the rows
 *
 * A thread keeps its channels for all its rows, so their parameters stay in registers; a warp reads
 * neighbouring channels of neighbouring rows, one piece of memory. Sums: each thread over its rows, the block
 * by a tree, then all parts of a channel by one more kernel, always in the same order. */
#ifndef CLEAVE_CUDA_COLUMNS_H
#define CLEAVE_CUDA_COLUMNS_H

#include "device.h"

typedef struct columns {
    int64_t m, part_rows; /* rows in all, of a part */
    int c, vectors;       /* channels; c / width */
    int xs, ys, tiles, parts;
} columns;

enum { TILE_VECTORS = 32, ROWS_PER_THREAD = 4, BLOCKS_WANTED = 1024 };

static inline int width_of(dtype type, int c)
{
    return type == F32 ? (c % 4 ? 1 : 4) : (c % 8 ? 1 : 8);
}

static inline columns columns_of(dtype type, int64_t m, int c)
{
    columns k;
    k.m = m;
    k.c = c;
    k.vectors = c / width_of(type, c);
    k.tiles = (k.vectors + TILE_VECTORS - 1) / TILE_VECTORS;
    k.xs = (k.vectors + k.tiles - 1) / k.tiles;
    k.ys = THREADS / k.xs;
    const int64_t rows = (int64_t)k.ys * ROWS_PER_THREAD,
                  most = BLOCKS_WANTED / k.tiles > 0 ? BLOCKS_WANTED / k.tiles : 1;
    const int64_t parts = (m + rows - 1) / rows;
    k.part_rows = (m + (parts < most ? parts : most) - 1) / (parts < most ? parts : most);
    k.parts = (int)((m + k.part_rows - 1) / k.part_rows);
    return k;
}

/* Partial sums: two a channel and part, [parts][c][2]. */
static inline size_t partial_bytes(columns k)
{
    return (size_t)k.parts * (size_t)k.c * 2 * sizeof(double);
}

static inline dim3 columns_grid(columns k)
{
    return dim3((unsigned)k.tiles, (unsigned)k.parts);
}
static inline unsigned columns_block(columns k)
{
    return (unsigned)(k.xs * k.ys);
}

/* The vector of channels of this thread, or -1: the last tile may be narrower. */
__device__ static inline int my_vector(columns k)
{
    const int v = (int)blockIdx.x * k.xs + (int)threadIdx.x % k.xs;
    return v < k.vectors ? v : -1;
}

/* for every row of this thread */
#define FOR_MY_ROWS(row, k)                                                                                  \
    for (int64_t row = (int64_t)blockIdx.y * (k).part_rows + (int)threadIdx.x / (k).xs,                      \
                 row##_end = (int64_t)(blockIdx.y + 1) * (k).part_rows < (k).m                               \
                                 ? (int64_t)(blockIdx.y + 1) * (k).part_rows                                 \
                                 : (k).m;                                                                    \
         row < row##_end; row += (k).ys)

/* Adds up a[] and b[] of all threads of a block that have the same channels; the first row of threads writes
 * them. All threads of the block must come here. */
template <int V>
__device__ static inline void add_columns(columns k, int vector, const float a[V], const float b[V],
                                          double *partial)
{
    __shared__ float sum[2 * V][THREADS];
    const int t = (int)threadIdx.x, y = t / k.xs;
    for (int i = 0; i < V; i++) {
        sum[i][t] = a[i];
        sum[V + i][t] = b[i];
    }
    __syncthreads();
    for (int n = k.ys; n > 1; n = (n + 1) / 2) {
        const int half = (n + 1) / 2;
        if (y < n - half)
            for (int i = 0; i < 2 * V; i++) sum[i][t] += sum[i][t + half * k.xs];
        __syncthreads();
    }
    if (y > 0 || vector < 0) return;
    double *to = partial + ((int64_t)blockIdx.y * k.c + (int64_t)vector * V) * 2;
    for (int i = 0; i < V; i++) {
        to[2 * i] = sum[i][t];
        to[2 * i + 1] = sum[V + i][t];
    }
}

/* Finishing: FINISH_CHANNELS channels a block, FINISH_LANES threads a channel. */
enum { FINISH_CHANNELS = 8, FINISH_LANES = THREADS / FINISH_CHANNELS };

static inline unsigned finish_grid(int c)
{
    return (unsigned)((c + FINISH_CHANNELS - 1) / FINISH_CHANNELS);
}

/* The sums of the channel of this thread: correct in lane 0. Returns the channel in lane 0, -1 elsewhere and
 * where there is none. All threads of the block must come here. */
__device__ static inline int finish_columns(columns k, const double *partial, double *a, double *b)
{
    __shared__ double sum[2][THREADS];
    const int t = (int)threadIdx.x, lane = t / FINISH_CHANNELS;
    const int c = (int)blockIdx.x * FINISH_CHANNELS + t % FINISH_CHANNELS;
    double first = 0, second = 0;
    for (int p = lane; c < k.c && p < k.parts; p += FINISH_LANES) {
        first += partial[((int64_t)p * k.c + c) * 2];
        second += partial[((int64_t)p * k.c + c) * 2 + 1];
    }
    sum[0][t] = first;
    sum[1][t] = second;
    __syncthreads();
    for (int half = FINISH_LANES / 2; half > 0; half /= 2) {
        if (lane < half) {
            sum[0][t] += sum[0][t + half * FINISH_CHANNELS];
            sum[1][t] += sum[1][t + half * FINISH_CHANNELS];
        }
        __syncthreads();
    }
    *a = sum[0][t];
    *b = sum[1][t];
    return lane == 0 && c < k.c ? c : -1;
}

#endif
