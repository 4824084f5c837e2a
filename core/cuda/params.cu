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

/* All threads of the block must come here. */
template <bool PACK> __device__ static inline void move_pairs(weight_copy w, int first)
{
    __shared__ float stage[THREADS * STAGE];
    const int t = (int)threadIdx.x, left = w.filters * w.channels - first;
    const int pairs = left < THREADS ? left : THREADS;
    const int64_t mine = krsc_begin(w.channels, w.window, first + t);
    for (int begin = 0; begin < w.window; begin += STAGE) {
        const int n = w.window - begin < STAGE ? w.window - begin : STAGE;
        const int64_t packed = mine + (int64_t)begin * w.channels;
        float *plain = w.plain + (int64_t)first * w.window + begin;
        if (PACK) {
            for (int i = t; i < pairs * n; i += THREADS) stage[i] = plain[i / n * w.window + i % n];
            __syncthreads();
            for (int s = 0; t < pairs && s < n; s++)
                packed_write(w, packed + (int64_t)s * w.channels, stage[t * n + s]);
        } else {
            for (int s = 0; t < pairs && s < n; s++)
                stage[t * n + s] = packed_read(w, packed + (int64_t)s * w.channels);
            __syncthreads();
            for (int i = t; i < pairs * n; i += THREADS) plain[i / n * w.window + i % n] = stage[i];
        }
        __syncthreads();
    }
}

HD int weight_chunks(weight_copy w)
{
    return (w.filters * w.channels + THREADS - 1) / THREADS;
}

/* The weights' chunks as if in one row: a block takes every gridDim.x-th. */
template <bool PACK> __global__ void move_table(const weight_copy *table, int n)
{
    int chunk = (int)blockIdx.x;
    for (int i = 0; i < n; i++) {
        const int chunks = weight_chunks(table[i]);
        for (; chunk < chunks; chunk += (int)gridDim.x) move_pairs<PACK>(table[i], chunk * THREADS);
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
    return LAUNCH_BLOCKS(move_table<true>, WEIGHT_BLOCKS, THREADS, stream, table, n);
}

int weights_unpack(cuda_stream stream, const weight_copy *table, int n)
{
    return LAUNCH_BLOCKS(move_table<false>, WEIGHT_BLOCKS, THREADS, stream, table, n);
}

int weight_pack(cuda_stream stream, weight_copy w)
{
    return LAUNCH_BLOCKS(move_one<true>, weight_blocks(w), THREADS, stream, w);
}

int weight_unpack(cuda_stream stream, weight_copy w)
{
    return LAUNCH_BLOCKS(move_one<false>, weight_blocks(w), THREADS, stream, w);
}
