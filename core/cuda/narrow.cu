/* core/cuda/narrow.cu -- 3x3 convolutions of at most 32 channels by tensor cores: bf16, stride 1, pad 1.
 *
 *   y[p][q][k]     = sum_{r,s,c} w[k][r][s][c] x[p + r - 1][q + s - 1][c]
 *   dx             = the same sum of dy, with flipped filters, and with k and c exchanged
 *   dw[k][r][s][c] = sum_{p,q} dy[p][q][k] x[p + r - 1][q + s - 1][c]      also over all images
 *
 * The libraries' kernels are made for more channels. Here a block computes all channels of a tile of 16 x 16 pixels,
 * then goes on to another tile:
 *
 *   1. All threads copy the tile of x to shared memory, with a border (halo) of one pixel: 18 x 18 pixels. What lies
 *      outside the image, and channels that do not exist, are zeros.
 *   2. Each warp computes some lines of the tile by products of matrices (tensor_core.h), one for each of the 9 taps
 *      (elements of the window). P is 16 pixels of a line, P' the same pixels of x moved by the tap:
 *         y    [P][channels of y]              += [P'][channels of x] * [channels of x][channels of y], its weights
 *         dw   [channels of dy][channels of x] += [channels of dy][P] * [P'][channels of x]
 *   3. For y, the threads store their sums after each tile. For dw, they keep them over all tiles; at the end each
 *      block leaves partial sums, and a second kernel adds them (sums.h). */
#include "sums.h"
#include "tensor_core.h"

enum {
    SIDE = 3,               /* of the window */
    TAPS = SIDE * SIDE,     /* its elements */
    TILE = 16,              /* pixels along a side of a tile */
    HALO = TILE + SIDE - 1, /* the same with its border */
    WARPS = THREADS / 32,
    LINES = TILE / WARPS /* of a tile, for each warp */
};

/* From one pixel to the next in shared memory. With 8 values more than channels, the 8 rows of a square
 * (tensor_core.h), 16 bytes each, are in different banks. */
#define STRIDE(channels) ((channels) + 8)

/* Channels that are copied at once. */
enum { PIECE = 8 };
typedef wide<bf16, PIECE> piece;

/* For y; dx is computed as the y of dy. */
typedef struct narrow_args {
    const bf16 *x, *filter;
    bf16 *y;
    int n, h, w, c, k; /* shape of x, channels of y */
    bool flipped, add;
} narrow_args;

/* The first pixel of a tile. */
typedef struct tile_place {
    int n, h, w;
} tile_place;

HOST_DEVICE int tiles_along(int pixels)
{
    return (pixels + TILE - 1) / TILE;
}

__device__ static inline tile_place tile_at(const narrow_args &a, int tile)
{
    const int across = tiles_along(a.w), down = tiles_along(a.h), line = tile / across, n = line / down;
    const tile_place t = { n, (line - n * down) * TILE, (tile - line * across) * TILE };
    return t;
}

/* Copies a square of EXTENT x EXTENT pixels of an image with c channels, from line h and column w on; zeros outside the
 * image. C: room for channels, 16 or 32. */
template <int C, int EXTENT>
__device__ static inline void load_tile(const narrow_args &a, const bf16 *image, int c, int h, int w,
                                        bf16 (*tile)[STRIDE(C)])
{
    for (int i = (int)threadIdx.x; i < EXTENT * EXTENT * (C / PIECE); i += THREADS) {
        const int pixel = i / (C / PIECE), first = i % (C / PIECE) * PIECE;
        const int line = h + pixel / EXTENT, column = w + pixel % EXTENT;
        const bool inside = line >= 0 && line < a.h && column >= 0 && column < a.w;
        const bf16 *from = image + ((int64_t)line * a.w + column) * c + first;
        piece v = {};
        if (inside && c == C)
            v = *(const piece *)(const void *)from;
        else if (inside)
            for (int j = 0; j < PIECE && first + j < c; j++) v.v[j] = from[j];
        *(piece *)(void *)&tile[pixel][first] = v;
    }
}

/* The image in which a tile lies; the value has c channels. */
__device__ static inline const bf16 *image_of(const narrow_args &a, const bf16 *value, int c, tile_place t)
{
    return value + (int64_t)t.n * a.h * a.w * c;
}

/* weight[tap][k][c]: channel c of filter k; if flipped, for backward, channel k of filter c at the opposite tap.
 * Where there are as many channels as there is room for, they are copied PIECE at a time. */
template <int C, int K>
__device__ static inline void load_weights(const narrow_args &a, bf16 (*weight)[K][STRIDE(C)])
{
    if (!a.flipped && a.c == C)
        for (int i = (int)threadIdx.x; i < TAPS * K * (C / PIECE); i += THREADS) {
            const int tap = i / (K * (C / PIECE)), k = i / (C / PIECE) % K, c = i % (C / PIECE) * PIECE;
            piece v = {};
            if (k < a.k) v = *(const piece *)(const void *)&a.filter[((int64_t)k * TAPS + tap) * C + c];
            *(piece *)(void *)&weight[tap][k][c] = v;
        }
    else if (a.flipped && a.k == K)
        for (int i = (int)threadIdx.x; i < TAPS * C * (K / PIECE); i += THREADS) {
            const int tap = i / (C * (K / PIECE)), k = i / C % (K / PIECE) * PIECE, c = i % C;
            piece v = {};
            if (c < a.c)
                v = *(const piece *)(const void *)&a.filter[((int64_t)c * TAPS + TAPS - 1 - tap) * K + k];
            for (int l = 0; l < PIECE; l++) weight[tap][k + l][c] = v.v[l];
        }
    else
        for (int i = (int)threadIdx.x; i < TAPS * K * C; i += THREADS) {
            const int tap = i / (K * C), k = i / C % K, c = i % C;
            bf16 v = {};
            if (k < a.k && c < a.c)
                v = a.flipped ? a.filter[((int64_t)c * TAPS + TAPS - 1 - tap) * a.k + k]
                              : a.filter[((int64_t)k * TAPS + tap) * a.c + c];
            weight[tap][k][c] = v;
        }
}

/* Adds the products with the weights of one tap: sum[l][i] is the matrix d of line warp + l * WARPS of the tile, and
 * of channels 8 i, ..., 8 i + 7 of y. In each product, a is 16 pixels by 16 channels of x, b is 16 channels of x by 8
 * of y. Their squares 0 to 3 in shared memory: of a, pixels 0-7 and 8-15 of channels 0-7, then of channels 8-15; of
 * two b side by side, y's channels 0-7 with x's channels 0-7 and 8-15, then y's channels 8-15. */
template <int C, int K>
__device__ static inline void add_tap(const bf16 (*tile)[STRIDE(C)], const bf16 (*weight)[STRIDE(C)], int tap,
                                      float sum[LINES][K / 8][4])
{
    const int lane = (int)threadIdx.x % 32, warp = (int)threadIdx.x / 32, square = lane / 8, row = lane % 8;
    UNROLL
    for (int c = 0; c < C; c += 16) {
        uint32_t a[LINES][4];
        UNROLL
        for (int l = 0; l < LINES; l++) {
            const int pixel = (warp + l * WARPS + tap / SIDE) * HALO + tap % SIDE;
            load_squares<false>(&tile[pixel + square % 2 * 8 + row][c + square / 2 * 8], a[l]);
        }
        UNROLL
        for (int k = 0; k < K; k += 16) {
            uint32_t b[4];
            load_squares<false>(&weight[k + square / 2 * 8 + row][c + square % 2 * 8], b);
            UNROLL
            for (int l = 0; l < LINES; l++) {
                mma(sum[l][k / 8], a[l], b);
                mma(sum[l][k / 8 + 1], a[l], b + 2);
            }
        }
    }
}

/* Channels k and k + 1 of one pixel of the tile, as far as both exist. */
__device__ static inline void store_pair(const narrow_args &a, tile_place t, int line, int column, int k,
                                         float v0, float v1)
{
    const int h = t.h + line, w = t.w + column;
    if (h >= a.h || w >= a.w) return;
    bf16 *to = a.y + (((int64_t)t.n * a.h + h) * a.w + w) * a.k + k;
    if (a.k % 2 == 0) {
        const float v[2] = { v0, v1 };
        if (k < a.k) store<wide<bf16, 2>>(to, 0, v, a.add);
        return;
    }
    if (k < a.k) store<bf16x1>(to, 0, &v0, a.add);
    if (k + 1 < a.k) store<bf16x1>(to, 1, &v1, a.add);
}

/* Stores this thread's part of the matrices that add_tap made. */
template <int K>
__device__ static inline void store_tile(const narrow_args &a, tile_place at,
                                         const float sum[LINES][K / 8][4])
{
    const int lane = (int)threadIdx.x % 32, warp = (int)threadIdx.x / 32, g = lane / 4, t = lane % 4;
    UNROLL
    for (int i = 0; i < LINES * (K / 8); i++) {
        const int l = i / (K / 8), k = i % (K / 8);
        store_pair(a, at, warp + l * WARPS, g, k * 8 + 2 * t, sum[l][k][0], sum[l][k][1]);
        store_pair(a, at, warp + l * WARPS, g + 8, k * 8 + 2 * t, sum[l][k][2], sum[l][k][3]);
    }
}

/* Blocks that run on a multiprocessor at a time: as many as its shared memory and registers have room for. */
#define RESIDENT(K) ((K) <= 16 ? 4 : 3)

template <int C, int K>
__global__ void __launch_bounds__(THREADS, RESIDENT(K)) narrow_kernel(narrow_args a, int tiles)
{
    alignas(16) __shared__ bf16 tile[HALO * HALO][STRIDE(C)];
    alignas(16) __shared__ bf16 weight[TAPS][K][STRIDE(C)];
    load_weights<C, K>(a, weight);
    for (int i = (int)blockIdx.x; i < tiles; i += (int)gridDim.x) {
        const tile_place at = tile_at(a, i);
        float sum[LINES][K / 8][4] = {};
        load_tile<C, HALO>(a, image_of(a, a.x, a.c, at), a.c, at.h - 1, at.w - 1, tile);
        __syncthreads();
        UNROLL
        for (int tap = 0; tap < TAPS; tap++) add_tap<C, K>(tile, weight[tap], tap, sum);
        __syncthreads();
        store_tile<K>(a, at, sum);
    }
}

/* --- backward to w --- */

enum { WEIGHTS_RESIDENT = 2 };

/* Adds the products of one line for all taps: sum[tap][i] is the matrix d of channels k, ... k + 15 of dy, and of
 * channels c + 8 i, ... c + 8 i + 7 of x. In each product, a is 16 channels of dy by 16 pixels, b is 16 pixels by 8
 * channels of x. Shared memory holds both pixel by pixel, while a register needs neighbouring pixels of one channel:
 * so both are transposed when they are loaded. */
template <int C, int K>
__device__ static inline void add_line(const bf16 (*x)[STRIDE(C)], const bf16 (*dy)[STRIDE(K)], int line,
                                       int k, int c, float sum[TAPS][2][4])
{
    const int lane = (int)threadIdx.x % 32, square = lane / 8, row = lane % 8;
    uint32_t a[4];
    load_squares<true>(&dy[line * TILE + square / 2 * 8 + row][k + square % 2 * 8], a);
    UNROLL
    for (int tap = 0; tap < TAPS; tap++) {
        uint32_t b[4];
        const int pixel = (line + tap / SIDE) * HALO + tap % SIDE;
        load_squares<true>(&x[pixel + square % 2 * 8 + row][c + square / 2 * 8], b);
        UNROLL
        for (int i = 0; i < 2; i++) mma(sum[tap][i], a, b + 2 * i);
    }
}

/* total[tap][k][c] = sum, or += sum, for this thread's part of the matrices. */
template <int C, int K>
__device__ static inline void put_sums(float (*total)[K][C], int k, int c, const float sum[TAPS][2][4],
                                       bool add)
{
    const int lane = (int)threadIdx.x % 32, g = lane / 4, t = lane % 4;
    UNROLL
    for (int tap = 0; tap < TAPS; tap++)
        for (int i = 0; i < 2; i++)
            for (int v = 0; v < 4; v++) {
                float *to = &total[tap][k + g + v / 2 * 8][c + i * 8 + 2 * t + v % 2];
                *to = add ? *to + sum[tap][i][v] : sum[tap][i][v];
            }
}

/* Writes partial [blocks][TAPS][K][C]. a.y is dy. There is a warp for each 16 x 16 channels of dy and x; these warps
 * are a group. The groups share out the lines of a tile, and at the end add their sums one after the other. */
template <int C, int K>
__global__ void __launch_bounds__(THREADS, WEIGHTS_RESIDENT)
    narrow_weights_kernel(narrow_args a, int tiles, float *partial)
{
    enum { GROUP = (C / 16) * (K / 16), GROUPS = WARPS / GROUP };
    typedef bf16 x_tile[HALO * HALO][STRIDE(C)];
    typedef bf16 dy_tile[TILE * TILE][STRIDE(K)];
    typedef float totals[TAPS][K][C];
    enum { BYTES = sizeof(x_tile) + sizeof(dy_tile) };
    static_assert((size_t)BYTES >= sizeof(totals), "in the end, the sums are stored over the tiles");
    alignas(16) __shared__ char memory[BYTES];
    x_tile &x = *(x_tile *)(void *)memory;
    dy_tile &dy = *(dy_tile *)(void *)(memory + sizeof(x_tile));
    totals &total = *(totals *)(void *)memory;
    const int warp = (int)threadIdx.x / 32, group = warp / GROUP, member = warp % GROUP;
    const int k = member % (K / 16) * 16, c = member / (K / 16) * 16;
    float sum[TAPS][2][4] = {};
    for (int i = (int)blockIdx.x; i < tiles; i += (int)gridDim.x) {
        const tile_place at = tile_at(a, i);
        load_tile<C, HALO>(a, image_of(a, a.x, a.c, at), a.c, at.h - 1, at.w - 1, x);
        load_tile<K, TILE>(a, image_of(a, a.y, a.k, at), a.k, at.h, at.w, dy);
        __syncthreads();
        for (int line = group; line < TILE; line += GROUPS) add_line<C, K>(x, dy, line, k, c, sum);
        __syncthreads();
    }
    for (int g = 0; g < GROUPS; g++) {
        if (group == g) put_sums<C, K>(total, k, c, sum, g > 0);
        __syncthreads();
    }
    float *to = partial + (int64_t)blockIdx.x * TAPS * K * C;
    for (int i = (int)threadIdx.x; i < TAPS * K * C; i += THREADS) to[i] = (&total[0][0][0])[i];
}

/* dw from the partial sums. */
template <int C, int K>
__global__ void narrow_totals(narrow_args a, const float *partial, int parts, bf16 *dw)
{
    const int value = parts_value(), tap = value / (K * C), k = value / C % K, c = value % C;
    const double total = parts_sum(partial, parts, TAPS * K * C);
    if ((int)threadIdx.x < PARTS_VALUES && tap < TAPS && k < a.k && c < a.c)
        dw[((int64_t)k * TAPS + tap) * a.c + c] = bf16_from_float((float)total);
}

/* --- launchers --- */

static int tiles_of(const narrow_args *a)
{
    return a->n * tiles_along(a->h) * tiles_along(a->w);
}

/* As many blocks as the device runs at once: more would only load the weights, or leave partial sums, more often. */
static int blocks_of(const narrow_args *a, int resident, int multiprocessors)
{
    const int tiles = tiles_of(a), most = multiprocessors * resident;
    return tiles < most ? tiles : most;
}

/* call(C, K) */
#define BY_CHANNELS(c, k, call)                                                                              \
    ((c) <= 16 ? ((k) <= 16 ? call(16, 16) : call(16, 32)) : ((k) <= 16 ? call(32, 16) : call(32, 32)))

static int narrow(cuda_stream stream, const narrow_args *a, int multiprocessors)
{
    const unsigned blocks = (unsigned)blocks_of(a, RESIDENT(a->k), multiprocessors);
#define CALL(C, K) LAUNCH_BLOCKS((narrow_kernel<C, K>), blocks, THREADS, stream, *a, tiles_of(a))
    return BY_CHANNELS(a->c, a->k, CALL);
#undef CALL
}

static narrow_args forward_args(const void *x, const void *w, void *y, shape4 X, int k)
{
    const narrow_args a = {
        (const bf16 *)x, (const bf16 *)w, (bf16 *)y, X.n, X.h, X.w, X.c, k, false, false
    };
    return a;
}

int narrow_forward(cuda_stream stream, const void *x, const void *w, void *y, shape4 X, int k,
                   int multiprocessors)
{
    const narrow_args a = forward_args(x, w, y, X, k);
    return narrow(stream, &a, multiprocessors);
}

int narrow_data(cuda_stream stream, const void *dy, const void *w, void *dx, bool add, shape4 X, int k,
                int multiprocessors)
{
    const narrow_args a = { (const bf16 *)dy, (const bf16 *)w, (bf16 *)dx, X.n, X.h, X.w, k, X.c, true, add };
    return narrow(stream, &a, multiprocessors);
}

size_t narrow_weights_bytes(shape4 X, int multiprocessors)
{
    const narrow_args a = forward_args(NULL, NULL, NULL, X, 0);
    return (size_t)blocks_of(&a, WEIGHTS_RESIDENT, multiprocessors) * TAPS * NARROW_CHANNELS *
           NARROW_CHANNELS * sizeof(float);
}

int narrow_weights(cuda_stream stream, const void *x, const void *dy, void *dw, void *scratch, shape4 X,
                   int k, int multiprocessors)
{
    const narrow_args a = forward_args(x, NULL, (void *)dy, X, k);
    const int blocks = blocks_of(&a, WEIGHTS_RESIDENT, multiprocessors);
    float *partial = (float *)scratch;
    bf16 *to = (bf16 *)dw;
#define CALL(C, K)                                                                                           \
    LAUNCH_BLOCKS((narrow_weights_kernel<C, K>), (unsigned)blocks, THREADS, stream, a, tiles_of(&a), partial)
    const int error = BY_CHANNELS(X.c, k, CALL);
#undef CALL
    if (error) return error;
#define CALL(C, K)                                                                                           \
    LAUNCH_BLOCKS((narrow_totals<C, K>), parts_blocks(TAPS *(C) * (K)), THREADS, stream, a,                  \
                  (const float *)partial, blocks, to)
    return BY_CHANNELS(X.c, k, CALL);
#undef CALL
}
