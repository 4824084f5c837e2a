/* core/cuda/params.cu -- the optimiser, and weights between PyTorch's order and the libraries'. */
#include "device.h"

template <typename W>
__global__ void sgd_kernel(const cuda_scalars *now, float *value, const float *grad, float *velocity,
                           int64_t count)
{
    const cuda_scalars s = *now;
    FOR_EACH(i, count / W::WIDTH)
    {
        float v[W::WIDTH], g[W::WIDTH], m[W::WIDTH];
        load<W>(value, i, v);
        load<W>(grad, i, g);
        load<W>(velocity, i, m);
        for (int j = 0; j < W::WIDTH; j++)
            sgd_update(&v[j], &m[j], g[j], s.lr, s.momentum, s.weight_decay, s.nesterov != 0);
        store<W>(value, i, v, false);
        store<W>(velocity, i, m, false);
    }
}

int sgd(cuda_stream stream, const cuda_scalars *now, float *value, const float *grad, float *velocity,
        int64_t count)
{
#define CALL(W)                                                                                              \
    LAUNCH(sgd_kernel<W>, blocks_for(count / W::WIDTH), THREADS, stream, now, value, grad, velocity, count)
    return count % 4 ? CALL(f32x1) : CALL(f32x4);
#undef CALL
}

/* --- weights --- */

/* A pair is a filter and a channel of it: `window` values side by side in the plain weights, and C apart in the
 * packed ones, where it is neighbouring pairs that are side by side. A block moves THREADS pairs through shared
 * memory, so that both sides are read and written in one piece: STAGE values of each at a time, all of 3 x 3. */
enum { STAGE = 9, WEIGHT_BLOCKS = 4 * 132 };

__device__ static inline float packed_read(weight_copy w, int64_t i)
{
    return w.type == F32 ? ((const float *)w.packed)[i] : bf16_to_float(((const bf16 *)w.packed)[i]);
}

__device__ static inline void packed_write(weight_copy w, int64_t i, float v)
{
    if (w.type == F32)
        ((float *)w.packed)[i] = v;
    else
        ((bf16 *)w.packed)[i] = bf16_from_float(v);
}

/* `n` places, from `begin` on, of the windows of `pairs` pairs, from `first` on: stage[pair][place]. */
typedef struct places {
    int first, pairs, begin, n;
} places;

__device__ static inline void read_packed(const weight_copy &w, places p, float *stage)
{
    for (int i = (int)threadIdx.x; i < p.pairs; i += THREADS) {
        const int64_t at = krsc_begin(w.channels, w.window, p.first + i) + (int64_t)p.begin * w.channels;
        for (int s = 0; s < p.n; s++) stage[i * p.n + s] = packed_read(w, at + (int64_t)s * w.channels);
    }
}

__device__ static inline void write_packed(const weight_copy &w, places p, const float *stage)
{
    for (int i = (int)threadIdx.x; i < p.pairs; i += THREADS) {
        const int64_t at = krsc_begin(w.channels, w.window, p.first + i) + (int64_t)p.begin * w.channels;
        for (int s = 0; s < p.n; s++) packed_write(w, at + (int64_t)s * w.channels, stage[i * p.n + s]);
    }
}

/* Where stage[i] is in the plain weights. */
__device__ static inline int64_t plain_at(places p, int window, int i)
{
    return (int64_t)p.first * window + p.begin + (p.n == window ? i : i / p.n * window + i % p.n);
}

/* All threads of the block must come here. */
template <bool PACK> __device__ static inline void move_pairs(const weight_copy &w, int first)
{
    __shared__ float stage[THREADS * STAGE];
    const int t = (int)threadIdx.x, left = w.filters * w.channels - first;
    for (int begin = 0; begin < w.window; begin += STAGE) {
        const places p = { first, left < THREADS ? left : THREADS, begin,
                           w.window - begin < STAGE ? w.window - begin : STAGE };
        if (PACK)
            for (int i = t; i < p.pairs * p.n; i += THREADS) stage[i] = w.plain[plain_at(p, w.window, i)];
        else
            read_packed(w, p, stage);
        __syncthreads();
        if (PACK)
            write_packed(w, p, stage);
        else
            for (int i = t; i < p.pairs * p.n; i += THREADS) w.plain[plain_at(p, w.window, i)] = stage[i];
        __syncthreads();
    }
}

HD int weight_chunks(weight_copy w)
{
    return (w.filters * w.channels + THREADS - 1) / THREADS;
}

/* The weights' chunks as if in one row: a block takes every gridDim.x-th. */
__global__ void pack_table(const weight_copy *table, int n)
{
    int chunk = (int)blockIdx.x;
    for (int i = 0; i < n; i++) {
        const int chunks = weight_chunks(table[i]);
        for (; chunk < chunks; chunk += (int)gridDim.x) move_pairs<true>(table[i], chunk * THREADS);
        chunk -= chunks;
    }
}

template <bool PACK> __global__ void move_one(weight_copy w)
{
    for (int chunk = (int)blockIdx.x; chunk < weight_chunks(w); chunk += (int)gridDim.x)
        move_pairs<PACK>(w, chunk * THREADS);
}

static inline unsigned weight_blocks(weight_copy w)
{
    return (unsigned)(weight_chunks(w) < WEIGHT_BLOCKS ? weight_chunks(w) : WEIGHT_BLOCKS);
}

int weights_pack(cuda_stream stream, const weight_copy *table, int n)
{
    return LAUNCH_BLOCKS(pack_table, WEIGHT_BLOCKS, THREADS, stream, table, n);
}

int weight_pack(cuda_stream stream, weight_copy w)
{
    return LAUNCH_BLOCKS(move_one<true>, weight_blocks(w), THREADS, stream, w);
}

int weight_unpack(cuda_stream stream, weight_copy w)
{
    return LAUNCH_BLOCKS(move_one<false>, weight_blocks(w), THREADS, stream, w);
}

/* --- SGD by pieces --- */

HD int chunk_pairs(int window)
{
    return window < STAGE ? THREADS * STAGE / window : THREADS;
}

int sgd_chunk_pairs(int window)
{
    return chunk_pairs(window);
}

/* Gradients through shared memory to where values are updated in the order of memory, and these through shared memory to
 * their copies. */
__device__ static inline void sgd_places(const cuda_scalars &now, const sgd_piece &piece, places p)
{
    __shared__ float stage[THREADS * STAGE];
    if (piece.from.packed) read_packed(piece.from, p, stage);
    __syncthreads();
    for (int i = (int)threadIdx.x; i < p.pairs * p.n; i += THREADS) {
        const int64_t at = plain_at(p, piece.window, i);
        float value = piece.value[at], velocity = piece.velocity[at];
        sgd_update(&value, &velocity, piece.from.packed ? stage[i] : piece.grad[at], now.lr, now.momentum,
                   now.weight_decay, now.nesterov != 0);
        piece.value[at] = stage[i] = value;
        piece.velocity[at] = velocity;
    }
    __syncthreads();
    if (piece.to.packed) write_packed(piece.to, p, stage);
    __syncthreads();
}

__global__ void sgd_pieces_kernel(const cuda_scalars *scalars, const sgd_piece *piece,
                                  const sgd_chunk *chunks, int n)
{
    if ((int)blockIdx.x >= n) return;
    const cuda_scalars now = *scalars;
    const sgd_chunk chunk = chunks[blockIdx.x];
    const sgd_piece p = piece[chunk.piece];
    const int most = chunk_pairs(p.window), left = p.filters * p.channels - chunk.first;
    for (int begin = 0; begin < p.window; begin += STAGE) {
        const places here = { chunk.first, left < most ? left : most, begin,
                              p.window - begin < STAGE ? p.window - begin : STAGE };
        sgd_places(now, p, here);
    }
}

int sgd_pieces(cuda_stream stream, const cuda_scalars *now, const sgd_piece *piece, const sgd_chunk *chunks,
               int n)
{
    return LAUNCH_BLOCKS(sgd_pieces_kernel, (unsigned)(n > 0 ? n : 1), THREADS, stream, now, piece, chunks,
                         n);
}
