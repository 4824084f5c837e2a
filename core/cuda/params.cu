/* core/cuda/params.cu -- what belongs to parameters: the step's scalars, SGD, and copies of weights in cuDNN's
 * order. */
#include "launch.h"

__global__ void set_scalars(cuda_scalars *to, cuda_scalars value)
{
    *to = value;
}

int cuda_set_scalars(cuda_stream stream, cuda_scalars *to, cuda_scalars value)
{
    return LAUNCH(set_scalars, 1, 1, stream, to, value);
}

/* --- SGD: a thread takes one value, or four --- */

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
#define CALL(W) LAUNCH_FOR(sgd_kernel<W>, count / W::WIDTH, stream, now, value, grad, velocity, count)
    return count % 4 ? CALL(f32x1) : CALL(f32x4);
#undef CALL
}

/* --- weights, from the plain order [K][C][window] to the packed order [K][window][C] and back ---
 *
 * A pair is a filter and one of its channels. The `window` values of a pair are next to each other in the plain
 * weights. In the packed weights they are C apart, and neighbouring pairs are next to each other. A block moves a
 * chunk of THREADS pairs through shared memory, so that on both sides neighbouring threads access neighbouring
 * values: a thread takes a pair on the packed side, and every THREADS-th value on the plain side. STAGE values of
 * each pair are moved at a time: all of a 3 x 3 window. */
enum { STAGE = 9, BLOCKS_EACH = 4 /* of a multiprocessor */ };

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

/* The part of the weights that is in shared memory, as stage[pairs][n]: elements begin, ... of the windows of pairs
 * first, ... */
typedef struct section {
    int first, pairs, begin, n;
} section;

/* The section of at most `most` pairs from `first` on, and of at most STAGE elements from `begin` on. */
HOST_DEVICE section section_at(int filters, int channels, int window, int first, int most, int begin)
{
    const int left = filters * channels - first, rest = window - begin;
    const section s = { first, left < most ? left : most, begin, rest < STAGE ? rest : STAGE };
    return s;
}

__device__ static inline void read_packed(const weight_copy &w, section p, float *stage)
{
    for (int i = (int)threadIdx.x; i < p.pairs; i += THREADS) {
        const int64_t at = krsc_begin(w.channels, w.window, p.first + i) + (int64_t)p.begin * w.channels;
        for (int s = 0; s < p.n; s++) stage[i * p.n + s] = packed_read(w, at + (int64_t)s * w.channels);
    }
}

__device__ static inline void write_packed(const weight_copy &w, section p, const float *stage)
{
    for (int i = (int)threadIdx.x; i < p.pairs; i += THREADS) {
        const int64_t at = krsc_begin(w.channels, w.window, p.first + i) + (int64_t)p.begin * w.channels;
        for (int s = 0; s < p.n; s++) packed_write(w, at + (int64_t)s * w.channels, stage[i * p.n + s]);
    }
}

/* The index of stage[i] in the plain weights. */
__device__ static inline int64_t plain_at(section p, int window, int i)
{
    return (int64_t)p.first * window + p.begin + (p.n == window ? i : i / p.n * window + i % p.n);
}

/* Moves the chunk of pairs from `first` on. All threads of the block must call it. */
template <bool PACK> __device__ static inline void move_pairs(const weight_copy &w, int first)
{
    __shared__ float stage[THREADS * STAGE];
    const int t = (int)threadIdx.x;
    for (int begin = 0; begin < w.window; begin += STAGE) {
        const section p = section_at(w.filters, w.channels, w.window, first, THREADS, begin);
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

HOST_DEVICE int weight_chunks(weight_copy w)
{
    return (w.filters * w.channels + THREADS - 1) / THREADS;
}

/* The chunks of all weights are numbered in a row; a block takes every gridDim.x-th of them. */
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

int weights_pack(cuda_stream stream, const weight_copy *table, int n, int multiprocessors)
{
    return LAUNCH_BLOCKS(pack_table, (unsigned)(BLOCKS_EACH * multiprocessors), THREADS, stream, table, n);
}

static inline unsigned weight_blocks(weight_copy w, int multiprocessors)
{
    const int chunks = weight_chunks(w), most = BLOCKS_EACH * multiprocessors;
    return (unsigned)(chunks < most ? chunks : most);
}

int weight_pack(cuda_stream stream, weight_copy w, int multiprocessors)
{
    return LAUNCH_BLOCKS(move_one<true>, weight_blocks(w, multiprocessors), THREADS, stream, w);
}

int weight_unpack(cuda_stream stream, weight_copy w, int multiprocessors)
{
    return LAUNCH_BLOCKS(move_one<false>, weight_blocks(w, multiprocessors), THREADS, stream, w);
}

/* --- SGD of a recorded step: reads packed gradients and packs the new weights, in one launch. A block takes a chunk of
 * a piece (kernels.h) --- */

HOST_DEVICE int chunk_pairs(int window)
{
    return window < STAGE ? THREADS * STAGE / window : THREADS;
}

int sgd_chunk_pairs(int window)
{
    return chunk_pairs(window);
}

/* Packed gradients go through shared memory into the plain order, in which values and velocities are updated. The new
 * values go through shared memory into their packed copy. */
__device__ static inline void sgd_section(const cuda_scalars &now, const sgd_piece &piece, section p)
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
    for (int begin = 0; begin < p.window; begin += STAGE)
        sgd_section(now, p,
                    section_at(p.filters, p.channels, p.window, chunk.first, chunk_pairs(p.window), begin));
}

int sgd_pieces(cuda_stream stream, const cuda_scalars *now, const sgd_piece *piece, const sgd_chunk *chunks,
               int n)
{
    return LAUNCH_BLOCKS(sgd_pieces_kernel, (unsigned)(n > 0 ? n : 1), THREADS, stream, now, piece, chunks,
                         n);
}
