/* core/cuda/columns.h -- how a value of m rows of c channels is shared out where channels have statistics or
 * parameters of their own; and sums over the rows.
 *
 *   threads of a block:  xs vectors of channels side by side, ys rows below each other
 *   blocks:              `tiles` across the channels, `parts` down the rows
 *
 * A thread keeps its channels for all its rows, so their parameters stay in registers; a warp reads
 * neighbouring channels of neighbouring rows, one piece of memory.
 *
 * Sums: each thread over its rows, the block by a tree, which gives the partial sum of a part. Every block that
 * needs the sum of a channel adds up its parts itself, always in the same order: that takes less time than one
 * more kernel, since there are no more parts than an H100 has multiprocessors. */
#ifndef CLEAVE_CUDA_COLUMNS_H
#define CLEAVE_CUDA_COLUMNS_H

#include "device.h"

typedef struct columns {
    int64_t m, part_rows;  /* rows in all, of a part */
    int c, width, vectors; /* channels; channels of a vector; c / width */
    int xs, ys, tiles, parts;
} columns;

/* A row of a tile is 64 bytes of bf16, so that parts are few where channels are many. One block a multiprocessor:
 * it may use all registers. */
enum { COLUMN_THREADS = 512, TILE_CHANNELS = 32, BLOCKS_WANTED = 132 };
#define COLUMN_KERNEL __global__ void __launch_bounds__(COLUMN_THREADS, 1)

static inline int width_of(dtype type, int c)
{
    return type == F32 ? (c % 4 ? 1 : 4) : (c % 8 ? 1 : 8);
}

/* Without the parts. */
static inline columns columns_across(dtype type, int64_t m, int c)
{
    columns k;
    k.m = k.part_rows = m;
    k.c = c;
    k.width = width_of(type, c);
    k.vectors = c / k.width;
    k.tiles = (c + TILE_CHANNELS - 1) / TILE_CHANNELS;
    k.xs = (k.vectors + k.tiles - 1) / k.tiles;
    k.ys = COLUMN_THREADS / k.xs;
    k.parts = 1;
    return k;
}

/* Cut into parts, so that there is work for all multiprocessors. */
static inline columns columns_in_parts(columns k)
{
    const int64_t m = k.m;
    const int64_t most = BLOCKS_WANTED / k.tiles > 0 ? BLOCKS_WANTED / k.tiles : 1;
    const int64_t parts = (m + k.ys - 1) / k.ys;
    k.part_rows = (m + (parts < most ? parts : most) - 1) / (parts < most ? parts : most);
    k.parts = (int)((m + k.part_rows - 1) / k.part_rows);
    return k;
}

static inline columns columns_of(dtype type, int64_t m, int c)
{
    return columns_in_parts(columns_across(type, m, c));
}

static inline unsigned columns_grid(columns k)
{
    return (unsigned)k.tiles * (unsigned)k.parts;
}
static inline unsigned columns_block(columns k)
{
    return (unsigned)(k.xs * k.ys);
}

/* Neighbouring tiles of the same rows run at the same time: they share lines of memory. */
__device__ static inline int my_tile(columns k)
{
    return (int)(blockIdx.x % (unsigned)k.tiles);
}
__device__ static inline int my_part(columns k)
{
    return (int)(blockIdx.x / (unsigned)k.tiles);
}

/* The vector of channels of this thread, or -1: the last tile may be narrower. */
__device__ static inline int my_vector(columns k)
{
    const int v = my_tile(k) * k.xs + (int)threadIdx.x % k.xs;
    return v < k.vectors ? v : -1;
}

/* Where this thread's vectors are in a value: base + first, base + first + step, ... < base + end. A part has
 * fewer than 2^31 vectors. */
typedef struct my_rows {
    int64_t base;
    int first, end, step;
} my_rows;

__device__ static inline my_rows rows_of(columns k, int vector)
{
    const int64_t row = my_part(k) * k.part_rows, left = k.m - row;
    const int rows = (int)(left < k.part_rows ? left : k.part_rows), step = k.ys * k.vectors;
    const my_rows none = { row * k.vectors, 0, 0, step };
    const my_rows mine = { row * k.vectors, (int)threadIdx.x / k.xs * k.vectors + vector, rows * k.vectors,
                           step };
    return vector < 0 ? none : mine;
}

/* Which rows those are: first, first + k.ys, ... < end. For values of fewer than 2^31 rows. */
typedef struct row_range {
    int first, end;
} row_range;

__device__ static inline row_range row_range_of(columns k, int vector)
{
    const int rows = (int)k.part_rows, all = (int)k.m, begin = my_part(k) * rows;
    const row_range none = { 0, 0 };
    const row_range mine = { begin + (int)threadIdx.x / k.xs, begin < all - rows ? begin + rows : all };
    return vector < 0 ? none : mine;
}

/* Rows are read some at a time before any is worked on or stored: the compiler cannot know that a store does
 * not change what is read next, and one read at a time leaves memory idle. How many: as fit into registers. */
enum { SUM_ROWS = 8, ROWS = 4, GRAD_SUM_ROWS = 4, GRAD_ROWS = 3 };
#define FOR_MY_ROWS(at, mine, rows) for (int at = (mine).first; at < (mine).end; at += (rows) * (mine).step)

/* Those rows again; each has a copy of the code, so that r is a constant and the rows stay in registers. */
#define FOR_LOADED_ROWS(r, at, mine, rows)                                                                   \
    UNROLL                                                                                                   \
    for (int r = 0; r < (rows); r++)                                                                         \
        if ((at) + r * (mine).step < (mine).end)

/* to[r]: the vector at `at` + r * step; behind the end another one, which nobody looks at. */
template <typename W, int N>
__device__ static inline void load_rows(const void *from, int at, my_rows mine, W (&to)[N])
{
    for (int r = 0; r < N; r++) {
        const int i = at + r * mine.step;
        to[r] = ((const W *)from)[mine.base + (i < mine.end ? i : 0)];
    }
}

/* Adds up each of N values over all threads of a block that have the same channels: correct in the first row
 * of threads. All threads of the block must come here. */
template <int N> __device__ static inline void sum_rows(columns k, float v[N])
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

/* Two sums a channel and part: [parts][c]. */
typedef wide<float, 2> two_sums;

static inline size_t partial_bytes(columns k)
{
    return (size_t)k.parts * (size_t)k.c * sizeof(two_sums);
}

/* Adds up this part: sum[0] to sum[V - 1] the first, sum[V] to sum[2 V - 1] the second sums of the V channels of
 * a vector. All threads of the block must come here. */
template <int V>
__device__ static inline void add_columns(columns k, int vector, float sum[2 * V], two_sums *partial)
{
    sum_rows<2 * V>(k, sum);
    if ((int)threadIdx.x >= k.xs || vector < 0) return;
    two_sums *to = partial + (int64_t)my_part(k) * k.c + (int64_t)vector * V;
    for (int i = 0; i < V; i++) {
        to[i].v[0] = sum[i];
        to[i].v[1] = sum[V + i];
    }
}

/* The first threads have a channel of the tile each, the others -1. */
__device__ static inline int my_channel(columns k)
{
    const int t = (int)threadIdx.x, c = my_tile(k) * k.xs * k.width + t;
    return t < k.xs * k.width && c < k.c ? c : -1;
}

/* Parts that a thread of total_columns adds up, at most: xs * ys is more than COLUMN_THREADS - TILE_CHANNELS. */
enum {
    LEAST_LANES = COLUMN_THREADS / TILE_CHANNELS - 1,
    PARTS_A_THREAD = (BLOCKS_WANTED + LEAST_LANES - 1) / LEAST_LANES
};

/* The sums over all parts of my_channel: correct where it is one. All threads of the block must come here;
 * TILE_CHANNELS of them side by side read a part. */
__device__ static inline void total_columns(columns k, const two_sums *partial, double *a, double *b)
{
    __shared__ double sum[2][COLUMN_THREADS];
    const int t = (int)threadIdx.x, lane = t / TILE_CHANNELS, lanes = (int)blockDim.x / TILE_CHANNELS;
    const int first = my_tile(k) * k.xs * k.width, i = t % TILE_CHANNELS;
    const bool reads = lane < lanes && i < k.xs * k.width && first + i < k.c;
    two_sums part[PARTS_A_THREAD] = {};
    double one = 0, two = 0;
    for (int j = 0; j < PARTS_A_THREAD; j++) { /* read all at once, added in order */
        const int p = lane + j * lanes;
        if (reads && p < k.parts) part[j] = partial[(int64_t)p * k.c + first + i];
    }
    for (int j = 0; j < PARTS_A_THREAD; j++) {
        one += part[j].v[0];
        two += part[j].v[1];
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

#endif
