/* core/cuda/columns.h -- how threads share out a value where each channel has its own parameters or sums. The value is
 * seen as a matrix of m rows (the pixels of all images) and c columns (channels):
 *
 *              channels 0 ...                     c - 1
 *             +----------------+----------------+-----+
 *     part 0  | block 0        | block 1        |     |     A block has xs * ys threads. Thread (x, y) takes rows
 *             |                |                |     |     y, y + ys, y + 2 ys, ... of its part, and in each of them
 *             +----------------+----------------+-----+     vector x of its tile: some neighbouring channels, read at
 *     part 1  | block `tiles`  |                |     |     once.
 *             |                |                |     |
 *             +----------------+----------------+-----+
 *               tile 0           tile 1
 *
 * So a thread has the same channels in all its rows, and their parameters stay in its registers. The threads of a warp
 * read neighbouring channels of neighbouring rows, which are next to each other in memory.
 *
 * There are no more blocks than multiprocessors, unless there are more tiles than that. sums.h adds up the rows. */
#ifndef CLEAVE_CUDA_COLUMNS_H
#define CLEAVE_CUDA_COLUMNS_H

#include "launch.h"

typedef struct columns {
    int64_t m, part_rows;  /* rows in all, rows of a part */
    int c, width, vectors; /* channels, channels of a vector, c / width */
    int xs, ys, tiles, parts;
} columns;

/* A row of a tile, 32 channels, is 64 bytes of bf16. Wider tiles would need more parts where there are many channels.
 * One block runs on a multiprocessor at a time, so that it may use all registers. */
enum { COLUMN_THREADS = 512, TILE_CHANNELS = 32 };
#define COLUMN_KERNEL __global__ void __launch_bounds__(COLUMN_THREADS, 1)

static inline int width_of(dtype type, int c)
{
    return type == F32 ? (c % 4 ? 1 : 4) : (c % 8 ? 1 : 8);
}

/* All rows are one part. */
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

/* Cuts the rows into parts: as many as there are multiprocessors for all tiles, but no part has fewer than ys rows. */
static inline columns columns_in_parts(columns k, int multiprocessors)
{
    const int64_t m = k.m;
    const int64_t most = multiprocessors / k.tiles > 0 ? multiprocessors / k.tiles : 1;
    const int64_t parts = (m + k.ys - 1) / k.ys;
    k.part_rows = (m + (parts < most ? parts : most) - 1) / (parts < most ? parts : most);
    k.parts = (int)((m + k.part_rows - 1) / k.part_rows);
    return k;
}

static inline columns columns_of(dtype type, int64_t m, int c, int multiprocessors)
{
    return columns_in_parts(columns_across(type, m, c), multiprocessors);
}

static inline unsigned columns_grid(columns k)
{
    return (unsigned)k.tiles * (unsigned)k.parts;
}
static inline unsigned columns_block(columns k)
{
    return (unsigned)(k.xs * k.ys);
}
#define LAUNCH_COLUMNS(kernel, k, stream, ...)                                                               \
    LAUNCH_BLOCKS(kernel, columns_grid(k), columns_block(k), stream, k, __VA_ARGS__)

/* --- in a kernel: what this thread works on --- */

/* Blocks that are next to each other in the grid have the same rows: they run at the same time and share cache
 * lines. */
__device__ static inline int my_tile(columns k)
{
    return (int)(blockIdx.x % (unsigned)k.tiles);
}
__device__ static inline int my_part(columns k)
{
    return (int)(blockIdx.x / (unsigned)k.tiles);
}

/* The vector of this thread in a row, or -1: the last tile may be narrower than the others. */
__device__ static inline int my_vector(columns k)
{
    const int v = my_tile(k) * k.xs + (int)threadIdx.x % k.xs;
    return v < k.vectors ? v : -1;
}

/* For work that is done once for each channel of the tile: the first threads of the block get one channel each, the
 * others -1. */
__device__ static inline int my_channel(columns k)
{
    const int t = (int)threadIdx.x, c = my_tile(k) * k.xs * k.width + t;
    return t < k.xs * k.width && c < k.c ? c : -1;
}

/* What the first threads prepared for the channels of the tile, each for one channel, in shared memory: those V
 * values that belong to this thread's vector. */
template <typename P, int V>
__device__ static inline void my_params(columns k, const P tile[TILE_CHANNELS], P mine[V])
{
    for (int i = 0; i < V; i++) mine[i] = tile[(int)threadIdx.x % k.xs * V + i];
}

/* The vectors of this thread in a value, as positions base + first, base + first + step, ... < base + end. A part has
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

/* The same rows by their numbers: first, first + k.ys, ... < end. For values of fewer than 2^31 rows. */
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

/* --- reading rows ---
 *
 * A thread reads several rows before it works on the first. If it read a row, worked on it, stored the result and
 * only then read the next, memory would be idle most of the time; the compiler cannot reorder that, because it cannot
 * know that the store does not change what is read next. The rows wait in registers, so their number is limited. */
enum { SUM_ROWS = 8, ROWS = 4, GRAD_SUM_ROWS = 4, GRAD_ROWS = 3 };

/* Steps through this thread's rows, `rows` of them at a time. */
#define FOR_MY_ROWS(at, mine, rows) for (int at = (mine).first; at < (mine).end; at += (rows) * (mine).step)

/* Those of the `rows` rows from `at` on that exist. Unrolled: then r is a constant in each copy of the body, and an
 * array that is indexed by it can stay in registers. */
#define FOR_LOADED_ROWS(r, at, mine, rows)                                                                   \
    UNROLL                                                                                                   \
    for (int r = 0; r < (rows); r++)                                                                         \
        if ((at) + r * (mine).step < (mine).end)

/* to[r]: this thread's vector in the r-th row from `at` on. Where no such row exists, any vector, which nobody uses. */
template <typename W, int N>
__device__ static inline void load_rows(const void *from, int at, my_rows mine, W (&to)[N])
{
    for (int r = 0; r < N; r++) {
        const int i = at + r * mine.step;
        to[r] = ((const W *)from)[mine.base + (i < mine.end ? i : 0)];
    }
}

#endif
