/* core/cuda/narrow.cu -- 3x3 convolutions of at most 32 channels by tensor cores: bf16, stride 1, pad 1.
 *
 *   y[p][q][k]  = sum_{r,s,c} w[k][r][s][c] x[p + r - 1][q + s - 1][c]
 *   dx          = the same of dy, with the filter turned round and k and c changed over
 *   dw[k][r][s] = sum_{p,q} dy[p][q][k] x[p + r - 1][q + s - 1]            over all images, too
 *
 * So few channels give the libraries' large tiles too little to do. Here a block takes 16 x 16 places of an image, with
 * all channels, from tile to tile. What the tensor cores multiply at a time
 *   for y    16 places of a line by 16 channels of x at one place of the window, and these by channels of y
 *   for dw   channels of dy by 16 places of a line, and these by channels of x
 * Channels that do not exist are zeros. */
#include "mma.h"
#include "parts.h"

enum {
    SIDE = 3,
    TAPS = SIDE * SIDE,
    TILE = 16,
    HALO = TILE + SIDE - 1,
    WARPS = THREADS / 32,
    LINES = TILE / WARPS
};

/* From place to place in shared memory: so that the 8 rows of a square (mma.h), 16 bytes each, are in different banks. */
#define STRIDE(channels) ((channels) + 8)

/* What is read and written at once. */
enum { PIECE = 8 };
typedef wide<bf16, PIECE> piece;

typedef struct narrow_args {
    const bf16 *x, *filter;
    bf16 *y;
    int n, h, w, c, k; /* of x; channels of y */
    bool turned, add;
} narrow_args;

/* Where a tile is. */
typedef struct tile_place {
    int n, h, w;
} tile_place;

HD int tiles_along(int places)
{
    return (places + TILE - 1) / TILE;
}

__device__ static inline tile_place tile_at(const narrow_args &a, int tile)
{
    const int across = tiles_along(a.w), down = tiles_along(a.h), line = tile / across, n = line / down;
    const tile_place t = { n, (line - n * down) * TILE, (tile - line * across) * TILE };
    return t;
}

/* PLACES x PLACES places of an image with c channels, from line h and column w on; zeros outside of it. C: c, rounded up to
 * 16s. */
template <int C, int PLACES>
__device__ static inline void load_tile(const narrow_args &a, const bf16 *image, int c, int h, int w,
                                        bf16 (*tile)[STRIDE(C)])
{
    for (int i = (int)threadIdx.x; i < PLACES * PLACES * (C / PIECE); i += THREADS) {
        const int place = i / (C / PIECE), first = i % (C / PIECE) * PIECE;
        const int line = h + place / PLACES, column = w + place % PLACES;
        const bool inside = line >= 0 && line < a.h && column >= 0 && column < a.w;
        const bf16 *from = image + ((int64_t)line * a.w + column) * c + first;
        piece v = {};
        if (inside && c == C)
            v = *(const piece *)(const void *)from;
        else if (inside)
            for (int j = 0; j < PIECE && first + j < c; j++) v.v[j] = from[j];
        *(piece *)(void *)&tile[place][first] = v;
    }
}

/* The image of a tile in a value with c channels. */
__device__ static inline const bf16 *image_of(const narrow_args &a, const bf16 *value, int c, tile_place t)
{
    return value + (int64_t)t.n * a.h * a.w * c;
}

/* weight[tap][k][c] as forward needs it: of filter k, or with the filter turned round of filter c. In pieces of PIECE values
 * wherever the channels are as many as there is room for. */
template <int C, int K>
__device__ static inline void load_weights(const narrow_args &a, bf16 (*weight)[K][STRIDE(C)])
{
    if (!a.turned && a.c == C)
        for (int i = (int)threadIdx.x; i < TAPS * K * (C / PIECE); i += THREADS) {
            const int tap = i / (K * (C / PIECE)), k = i / (C / PIECE) % K, c = i % (C / PIECE) * PIECE;
            piece v = {};
            if (k < a.k) v = *(const piece *)(const void *)&a.filter[((int64_t)k * TAPS + tap) * C + c];
            *(piece *)(void *)&weight[tap][k][c] = v;
        }
    else if (a.turned && a.k == K)
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
                v = a.turned ? a.filter[((int64_t)c * TAPS + TAPS - 1 - tap) * a.k + k]
                             : a.filter[((int64_t)k * TAPS + tap) * a.c + c];
            weight[tap][k][c] = v;
        }
}

/* sum[line][column of 8] += what the window's place `tap` gives; of lines warp, warp + WARPS, ... of the tile. Squares, as
 * mma.h counts them: of x places across and below, then channels; of w filters, then channels. */
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
            const int place = (warp + l * WARPS + tap / SIDE) * HALO + tap % SIDE;
            load_squares<false>(&tile[place + square % 2 * 8 + row][c + square / 2 * 8], a[l]);
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

/* Two channels of a place, k and k + 1. */
__device__ static inline void store_pair(const narrow_args &a, tile_place t, int line, int place, int k,
                                         float v0, float v1)
{
    const int h = t.h + line, w = t.w + place;
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

/* Blocks of a multiprocessor: as many as shared memory and registers have room for. */
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

enum { FILTER_RESIDENT = 2 };

/* Of 16 channels of dy and 16 of x, from the lines of a group of warps: sum[tap][column of 8]. Squares: of dy channels, then
 * places; of x places, then channels. */
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
        const int place = (line + tap / SIDE) * HALO + tap % SIDE;
        load_squares<true>(&x[place + square % 2 * 8 + row][c + square / 2 * 8], b);
        UNROLL
        for (int i = 0; i < 2; i++) mma(sum[tap][i], a, b + 2 * i);
    }
}

/* total[tap][k][c] = or += sum */
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

/* partial [blocks][TAPS][K][C]. a.y: dy. The warps of a group share out the channels; the groups share out the lines, and
 * one after the other adds what it has. */
template <int C, int K>
__global__ void __launch_bounds__(THREADS, FILTER_RESIDENT)
    narrow_filter_kernel(narrow_args a, int tiles, float *partial)
{
    enum { SQUARES = (C / 16) * (K / 16), GROUPS = WARPS / SQUARES };
    typedef bf16 x_tile[HALO * HALO][STRIDE(C)];
    typedef bf16 dy_tile[TILE * TILE][STRIDE(K)];
    typedef float totals[TAPS][K][C];
    enum { BYTES = sizeof(x_tile) + sizeof(dy_tile) };
    static_assert((size_t)BYTES >= sizeof(totals), "the sums take the place of the tiles");
    alignas(16) __shared__ char memory[BYTES];
    x_tile &x = *(x_tile *)(void *)memory;
    dy_tile &dy = *(dy_tile *)(void *)(memory + sizeof(x_tile));
    totals &total = *(totals *)(void *)memory;
    const int warp = (int)threadIdx.x / 32, group = warp / SQUARES, square = warp % SQUARES;
    const int k = square % (K / 16) * 16, c = square / (K / 16) * 16;
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

template <int C, int K>
__global__ void narrow_totals(narrow_args a, const float *partial, int parts, bf16 *dw)
{
    const int value = my_value(), tap = value / (K * C), k = value / C % K, c = value % C;
    const double total = sum_parts(partial, parts, TAPS * K * C);
    if ((int)threadIdx.x < PART_VALUES && tap < TAPS && k < a.k && c < a.c)
        dw[((int64_t)k * TAPS + tap) * a.c + c] = bf16_from_float((float)total);
}

/* --- launchers --- */

static int tiles_of(const narrow_args *a)
{
    return a->n * tiles_along(a->h) * tiles_along(a->w);
}

/* As many blocks as an H100 takes at once; each brings its own weights, or leaves its own sums. */
static int blocks_of(const narrow_args *a, int resident)
{
    const int tiles = tiles_of(a), most = 132 * resident;
    return tiles < most ? tiles : most;
}

/* call(C, K) */
#define BY_CHANNELS(c, k, call)                                                                              \
    ((c) <= 16 ? ((k) <= 16 ? call(16, 16) : call(16, 32)) : ((k) <= 16 ? call(32, 16) : call(32, 32)))

static int narrow(cuda_stream stream, const narrow_args *a)
{
    const unsigned blocks = (unsigned)blocks_of(a, RESIDENT(a->k));
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

int narrow_forward(cuda_stream stream, const void *x, const void *w, void *y, shape4 X, int k)
{
    const narrow_args a = forward_args(x, w, y, X, k);
    return narrow(stream, &a);
}

int narrow_data(cuda_stream stream, const void *dy, const void *w, void *dx, bool add, shape4 X, int k)
{
    const narrow_args a = { (const bf16 *)dy, (const bf16 *)w, (bf16 *)dx, X.n, X.h, X.w, k, X.c, true, add };
    return narrow(stream, &a);
}

size_t narrow_filter_bytes(shape4 X)
{
    const narrow_args a = forward_args(NULL, NULL, NULL, X, 0);
    return (size_t)blocks_of(&a, FILTER_RESIDENT) * TAPS * NARROW_CHANNELS * NARROW_CHANNELS * sizeof(float);
}

int narrow_filter(cuda_stream stream, const void *x, const void *dy, void *dw, void *scratch, shape4 X, int k)
{
    const narrow_args a = forward_args(x, NULL, (void *)dy, X, k);
    const int blocks = blocks_of(&a, FILTER_RESIDENT);
    float *partial = (float *)scratch;
    bf16 *to = (bf16 *)dw;
#define CALL(C, K)                                                                                           \
    LAUNCH_BLOCKS((narrow_filter_kernel<C, K>), (unsigned)blocks, THREADS, stream, a, tiles_of(&a), partial)
    const int error = BY_CHANNELS(X.c, k, CALL);
#undef CALL
    if (error) return error;
#define CALL(C, K)                                                                                           \
    LAUNCH_BLOCKS((narrow_totals<C, K>), blocks_for_parts(TAPS *(C) * (K)), THREADS, stream, a,              \
                  (const float *)partial, blocks, to)
    return BY_CHANNELS(X.c, k, CALL);
#undef CALL
}
