/* core/cuda/tiles.cu -- for the analysis: rows to unit length; and in a tile of similarities, while it is on the
 * device, how many are above each of some bounds, and which are above one bound. Counts are whole numbers, and pairs
 * are written in the order of the tile, so no result depends on which block is first. */
#include "sums.h"

/* --- rows: a block takes one --- */

template <typename T> __global__ void normalise_kernel(const float *x, T *to, int64_t dim, double *norm)
{
    __shared__ double sum[THREADS];
    const float *row = x + (int64_t)blockIdx.x * dim;
    T *out = to + (int64_t)blockIdx.x * dim;
    double mine = 0;
    for (int64_t k = threadIdx.x; k < dim; k += THREADS) mine += (double)row[k] * row[k];
    const double own = row_norm(block_sum(sum, mine)), scale = row_scale(own);
    for (int64_t k = threadIdx.x; k < dim; k += THREADS) from_float(&out[k], (float)(row[k] * scale));
    if (threadIdx.x == 0) norm[blockIdx.x] = own;
}

int rows_normalise(cuda_stream stream, dtype to_type, const float *x, void *to, int n, int64_t dim,
                   double *norm)
{
#define NORMALISE(T) LAUNCH_BLOCKS(normalise_kernel<T>, (unsigned)n, THREADS, stream, x, (T *)to, dim, norm)
    return BY_TYPE(to_type, NORMALISE);
#undef NORMALISE
}

/* --- how many: a block takes COUNT_ROWS rows, a thread every THREADS-th column --- */

enum { COUNT_ROWS = 4 };

__global__ void count_kernel(device_tile tile, tile_bins bins, int64_t *count)
{
    __shared__ int sum[THREADS];
    const int t = (int)threadIdx.x, first = (int)blockIdx.x * COUNT_ROWS;
    int above[TILE_BINS] = { 0 }, all = 0;
    for (int r = first; r < first + COUNT_ROWS && r < tile.rows; r++)
        for (int c = tile_from(tile.row0, r, tile.col0) + t; c < tile.cols; c += THREADS) {
            const float v = tile.at[r * tile.stride + c];
            for (int b = 0; b < TILE_BINS; b++) above[b] += v >= bins.begin[b];
            all++;
        }
    for (int b = 0; b <= bins.n; b++) {
        const int total = block_sum(sum, b < bins.n ? above[b] : all);
        if (t == 0 && total) add_count(&count[b], total);
    }
}

int tile_count(cuda_stream stream, device_tile tile, tile_bins bins, int64_t *count)
{
    return LAUNCH_BLOCKS(count_kernel, (unsigned)((tile.rows + COUNT_ROWS - 1) / COUNT_ROWS), THREADS, stream,
                         tile, bins, count);
}

/* --- which: a block takes one row. One kernel counts what each row has, the next writes it, the last adds up --- */

__device__ static inline bool is_picked(const device_tile &tile, const int32_t *wanted, float least, int r,
                                        int c)
{
    return c < tile.cols && wanted[tile.col0 + c] >= 0 && tile.at[r * tile.stride + c] >= least;
}

__global__ void pick_count_kernel(device_tile tile, const int32_t *wanted, float least, int32_t *row_count)
{
    __shared__ int sum[THREADS];
    const int r = (int)blockIdx.x;
    int mine = 0;
    if (wanted[tile.row0 + r] >= 0)
        for (int c = tile_from(tile.row0, r, tile.col0) + (int)threadIdx.x; c < tile.cols; c += THREADS)
            mine += is_picked(tile, wanted, least, r, c);
    const int total = block_sum(sum, mine);
    if (threadIdx.x == 0) row_count[r] = total;
}

/* The pairs of the row go behind those of all rows before it. Of THREADS columns at a time, each thread looks at one;
 * a prefix sum over the threads says how many pairs of the row lie before its own. */
__global__ void pick_kernel(device_tile tile, const int32_t *wanted, float least, const int32_t *row_count,
                            device_pair *list, const int64_t *n)
{
    __shared__ int sum[THREADS];
    const int r = (int)blockIdx.x, t = (int)threadIdx.x;
    int before = 0;
    if (row_count[r] == 0) return; /* the whole block */
    for (int i = t; i < r; i += THREADS) before += row_count[i];
    int64_t at = *n + block_sum(sum, before);
    for (int first = tile_from(tile.row0, r, tile.col0); first < tile.cols; first += THREADS) {
        const int c = first + t, mine = is_picked(tile, wanted, least, r, c);
        sum[t] = mine;
        __syncthreads();
        for (int step = 1; step < THREADS; step *= 2) {
            const int left = t >= step ? sum[t - step] : 0;
            __syncthreads();
            sum[t] += left;
            __syncthreads();
        }
        if (mine) {
            const device_pair pair = { tile.row0 + r, tile.col0 + c, tile.at[r * tile.stride + c] };
            list[at + sum[t] - 1] = pair;
        }
        at += sum[THREADS - 1];
        __syncthreads();
    }
}

/* One block. */
__global__ void pick_total_kernel(const int32_t *row_count, int rows, int64_t *n)
{
    __shared__ int64_t sum[THREADS];
    int64_t mine = 0;
    for (int r = (int)threadIdx.x; r < rows; r += THREADS) mine += row_count[r];
    const int64_t total = block_sum(sum, mine);
    if (threadIdx.x == 0) *n += total;
}

int tile_pick(cuda_stream stream, device_tile tile, const int32_t *wanted, float least, int32_t *row_count,
              device_pair *list, int64_t *n)
{
    const unsigned rows = (unsigned)tile.rows;
    int answer = LAUNCH_BLOCKS(pick_count_kernel, rows, THREADS, stream, tile, wanted, least, row_count);
    if (!answer)
        answer = LAUNCH_BLOCKS(pick_kernel, rows, THREADS, stream, tile, wanted, least, row_count, list, n);
    if (!answer) answer = LAUNCH_BLOCKS(pick_total_kernel, 1, THREADS, stream, row_count, tile.rows, n);
    return answer;
}
