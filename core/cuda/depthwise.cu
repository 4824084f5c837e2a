/* core/cuda/depthwise.cu -- 3x3 convolutions with a filter for each channel, pad 1, stride 1 or 2. For each channel:
 *
 *   y[p][q]  = sum_{r,s} w[r][s] x[p*stride + r - 1][q*stride + s - 1]
 *   dx[i][j] = sum_{r,s} w[r][s] dy[(i + 1 - r)/stride][(j + 1 - s)/stride]      over the r, s for which both divisions
 *              have no remainder and the pixel exists. With stride 1: a forward convolution of dy, filter flipped.
 *   dw[r][s] = sum_{p,q} dy[p][q] x[p*stride + r - 1][q*stride + s - 1]          also over all images
 *
 * There are only nine products for each value, so the time goes into reading and writing. A line of an image is cut
 * into strips of a few pixels:
 *
 *   x, three lines  . . . . . .        A thread computes one strip for one vector of channels. It reads the three
 *                   . . . . . .        lines of x above, in and below the strip one after the other, and adds what each
 *                   . . . . . .        gives to the sums of the strip, which are in registers.
 *   y, one strip      o o o o
 *
 * Threads are shared out as in columns.h, with strips for rows: a thread keeps its channels, so it reads their
 * filters once, and goes from strip to strip. Threads of the same block work on neighbouring strips at the same time,
 * so most of what they read is in the cache. */
#include "sums.h"

enum { SIDE = 3, TAPS = SIDE * SIDE, STRIP_VECTORS = 32 };

/* Pixels of a strip of y, and pixels of a line of x that it is computed from. Limited by the registers of a thread. */
#define STRIP(stride)  ((stride) == 1 ? 4 : 2)
#define SOURCE(stride) ((STRIP(stride) - 1) * (stride) + SIDE)

/* Four channels for both types: eight need more registers than a thread has. */
typedef wide<bf16, 4> bf16x4;
#define BY_FOUR(type, c, call)                                                                               \
    ((type) == F32 ? ((c) % 4 ? call(f32x1) : call(f32x4)) : ((c) % 4 ? call(bf16x1) : call(bf16x4)))

/* A value of shape s, in strips for pixels. */
HOST_DEVICE shape4 strips_of(shape4 s, int strip)
{
    const shape4 strips = { s.n, s.c, s.h, (s.w + strip - 1) / strip };
    return strips;
}

static inline columns columns_of_strips(shape4 s, int strip, int multiprocessors)
{
    const shape4 strips = strips_of(s, strip);
    columns k = {};
    k.m = (int64_t)strips.n * strips.h * strips.w;
    k.c = s.c;
    k.width = s.c % 4 ? 1 : 4;
    k.vectors = s.c / k.width;
    k.tiles = (k.vectors + STRIP_VECTORS - 1) / STRIP_VECTORS;
    k.xs = (k.vectors + k.tiles - 1) / k.tiles;
    k.ys = COLUMN_THREADS / k.xs;
    return columns_in_parts(k, multiprocessors);
}

/* N pixels of line h, from column w on; zeros outside the image. */
template <typename W, int N>
__device__ static inline void load_pixels(const void *from, shape4 s, int n, int h, int w, int vector,
                                          W (&to)[N])
{
    const int vectors = s.c / W::WIDTH, at = w * vectors + vector;
    const W *line = (const W *)from + ((int64_t)n * s.h + h) * s.w * vectors;
    const bool inside = h >= 0 && h < s.h;
    UNROLL
    for (int i = 0; i < N; i++) {
        const W zero = {};
        to[i] = inside && w + i >= 0 && w + i < s.w ? line[at + i * vectors] : zero;
    }
}

/* f[tap][i]: the filter of channel i of the vector, of w [C][TAPS]; flipped, for backward. Zeros if vector is -1. */
template <typename W>
__device__ static inline void load_filters(const void *w, int vector, bool flipped, float f[TAPS][W::WIDTH])
{
    const typename W::element *from = (const typename W::element *)w + (int64_t)vector * W::WIDTH * TAPS;
    UNROLL
    for (int tap = 0; tap < TAPS; tap++)
        for (int i = 0; i < W::WIDTH; i++)
            f[tap][i] = vector < 0 ? 0 : to_float(from[i * TAPS + (flipped ? TAPS - 1 - tap : tap)]);
}

/* sum[i] += f[i] * v[i] */
template <typename W>
__device__ static inline void multiply_add(const float f[W::WIDTH], const W &v, float sum[W::WIDTH])
{
    for (int i = 0; i < W::WIDTH; i++) sum[i] = fmaf(f[i], to_float(v.v[i]), sum[i]);
}

/* The strip that begins at pixel strip.w * N of its line; the last strip of a line may be shorter. */
template <typename W, int N>
__device__ static inline void store_strip(void *to, shape4 s, nhw strip, int vector,
                                          const float (&sum)[N][W::WIDTH], bool add)
{
    const int vectors = s.c / W::WIDTH, w = strip.w * N;
    const int64_t at = (((int64_t)strip.n * s.h + strip.h) * s.w + w) * vectors + vector;
    UNROLL
    for (int j = 0; j < N; j++)
        if (w + j < s.w) store<W>(to, at + j * vectors, sum[j], add);
}

/* --- forward, and backward to x with stride 1 --- */

template <typename W, int S>
COLUMN_KERNEL filter_strips(columns k, const void *x, const void *w, void *y, shape4 X, shape4 Y,
                            bool flipped, bool add)
{
    const int vector = my_vector(k);
    const row_range mine = row_range_of(k, vector);
    float f[TAPS][W::WIDTH];
    load_filters<W>(w, vector, flipped, f);
    for (int strip = mine.first; strip < mine.end; strip += k.ys) {
        const nhw to = nhw_of(strips_of(Y, STRIP(S)), strip);
        float sum[STRIP(S)][W::WIDTH] = {};
        UNROLL
        for (int r = 0; r < SIDE; r++) {
            W line[SOURCE(S)];
            load_pixels(x, X, to.n, to.h * S + r - 1, to.w * STRIP(S) * S - 1, vector, line);
            UNROLL
            for (int j = 0; j < STRIP(S); j++)
                for (int s = 0; s < SIDE; s++) multiply_add(f[r * SIDE + s], line[j * S + s], sum[j]);
        }
        store_strip<W>(y, Y, to, vector, sum, add);
    }
}

/* --- backward to x with stride 2 ---
 *
 * Of the three filter lines r only those with (i + 1 - r) even contribute to line i of dx, and the same holds for
 * columns. A strip of dx begins at an even column, so which of its pixels take which s is known when the kernel is
 * compiled. */

enum { SPREAD = 4 }; /* pixels of a strip of dx */

template <typename W>
COLUMN_KERNEL spread_strips(columns k, const void *dy, const void *w, void *dx, shape4 X, shape4 Y, bool add)
{
    const int vector = my_vector(k);
    const row_range mine = row_range_of(k, vector);
    float f[TAPS][W::WIDTH];
    load_filters<W>(w, vector, false, f);
    for (int strip = mine.first; strip < mine.end; strip += k.ys) {
        const nhw to = nhw_of(strips_of(X, SPREAD), strip);
        float sum[SPREAD][W::WIDTH] = {};
        UNROLL
        for (int r = 0; r < SIDE; r++) {
            W line[SPREAD / 2 + 1];
            if ((to.h + 1 - r) % 2 != 0) continue;
            load_pixels(dy, Y, to.n, (to.h + 1 - r) / 2, to.w * SPREAD / 2, vector, line);
            UNROLL
            for (int j = 0; j < SPREAD; j++)
                for (int s = 0; s < SIDE; s++)
                    if ((j + 1 - s) % 2 == 0) multiply_add(f[r * SIDE + s], line[(j + 1 - s) / 2], sum[j]);
        }
        store_strip<W>(dx, X, to, vector, sum, add);
    }
}

/* --- backward to w: each block leaves the sums of its part, [TAPS][c]; a second kernel adds the parts --- */

template <typename W, int S>
COLUMN_KERNEL filter_parts(columns k, const void *x, const void *dy, float *partial, shape4 X, shape4 Y)
{
    enum { V = W::WIDTH };
    const int vector = my_vector(k);
    const row_range mine = row_range_of(k, vector);
    float sum[TAPS][V] = {};
    for (int strip = mine.first; strip < mine.end; strip += k.ys) {
        const nhw from = nhw_of(strips_of(Y, STRIP(S)), strip);
        W pixels[STRIP(S)];
        float g[STRIP(S)][V];
        load_pixels(dy, Y, from.n, from.h, from.w * STRIP(S), vector, pixels);
        UNROLL
        for (int j = 0; j < STRIP(S); j++) unpack(pixels[j], g[j]);
        UNROLL
        for (int r = 0; r < SIDE; r++) {
            W line[SOURCE(S)];
            load_pixels(x, X, from.n, from.h * S + r - 1, from.w * STRIP(S) * S - 1, vector, line);
            UNROLL
            for (int j = 0; j < STRIP(S); j++)
                for (int s = 0; s < SIDE; s++) multiply_add(g[j], line[j * S + s], sum[r * SIDE + s]);
        }
    }
    UNROLL
    for (int tap = 0; tap < TAPS; tap++) {
        rows_sum<V>(k, sum[tap]);
        if ((int)threadIdx.x < k.xs && vector >= 0)
            store<wide<float, V>>(partial, (my_part(k) * TAPS + tap) * k.vectors + vector, sum[tap], false);
    }
}

template <typename T> __global__ void filter_totals(const float *partial, int parts, int c, T *dw)
{
    const int value = parts_value();
    const double total = parts_sum(partial, parts, TAPS * c);
    if ((int)threadIdx.x < PARTS_VALUES && value < TAPS * c)
        from_float(&dw[value % c * TAPS + value / c], (float)total);
}

/* --- launchers --- */

int depthwise_forward(cuda_stream stream, dtype type, const void *x, const void *w, void *y, shape4 X,
                      shape4 Y, int stride, int multiprocessors)
{
    const columns k = columns_of_strips(Y, STRIP(stride), multiprocessors);
#define LAUNCH_STRIDE(W, S)                                                                                  \
    LAUNCH((filter_strips<W, S>), columns_grid(k), columns_block(k), stream, k, x, w, y, X, Y, false, false)
#define CALL(W) (stride == 1 ? LAUNCH_STRIDE(W, 1) : LAUNCH_STRIDE(W, 2))
    return BY_FOUR(type, Y.c, CALL);
#undef CALL
#undef LAUNCH_STRIDE
}

int depthwise_data(cuda_stream stream, dtype type, const void *dy, const void *w, void *dx, bool add,
                   shape4 X, shape4 Y, int stride, int multiprocessors)
{
    const columns k = columns_of_strips(X, stride == 1 ? STRIP(1) : SPREAD, multiprocessors);
#define CALL(W)                                                                                              \
    (stride == 1                                                                                             \
         ? LAUNCH((filter_strips<W, 1>), columns_grid(k), columns_block(k), stream, k, dy, w, dx, Y, X,      \
                  true, add)                                                                                 \
         : LAUNCH(spread_strips<W>, columns_grid(k), columns_block(k), stream, k, dy, w, dx, X, Y, add))
    return BY_FOUR(type, X.c, CALL);
#undef CALL
}

size_t depthwise_weights_bytes(shape4 Y, int stride, int multiprocessors)
{
    const columns k = columns_of_strips(Y, STRIP(stride), multiprocessors);
    return (size_t)k.parts * TAPS * (size_t)k.c * sizeof(float);
}

int depthwise_weights(cuda_stream stream, dtype type, const void *x, const void *dy, void *dw, void *scratch,
                      shape4 X, shape4 Y, int stride, int multiprocessors)
{
    const columns k = columns_of_strips(Y, STRIP(stride), multiprocessors);
    float *partial = (float *)scratch;
    const unsigned blocks = parts_blocks(TAPS * k.c);
#define LAUNCH_STRIDE(W, S) LAUNCH_COLUMNS((filter_parts<W, S>), k, stream, x, dy, partial, X, Y)
#define CALL(W)             (stride == 1 ? LAUNCH_STRIDE(W, 1) : LAUNCH_STRIDE(W, 2))
    const int error = BY_FOUR(type, Y.c, CALL);
#undef CALL
#undef LAUNCH_STRIDE
    if (error) return error;
#define CALL(T)                                                                                              \
    LAUNCH_BLOCKS(filter_totals<T>, blocks, THREADS, stream, (const float *)partial, k.parts, k.c, (T *)dw)
    return BY_TYPE(type, CALL);
#undef CALL
}
