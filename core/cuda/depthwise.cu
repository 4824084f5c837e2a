/* core/cuda/depthwise.cu -- 3x3 convolutions with a filter for each channel, pad 1, stride 1 or 2.
 *
 *   y[p][q]  = sum_{r,s} w[r][s] x[p*stride + r - 1][q*stride + s - 1]           of each channel
 *   dx[i][j] = sum_{r,s} w[r][s] dy[(i + 1 - r)/stride][(j + 1 - s)/stride]      where these are whole and in dy;
 *              with stride 1, forward of dy with the filter turned round
 *   dw[r][s] = sum_{p,q} dy[p][q] x[p*stride + r - 1][q*stride + s - 1]          over all images, too
 *
 * Nine products a value: it costs what reading and writing costs. Rows are cut into strips of a few places. A thread
 * keeps a vector of channels, and their filters in registers, and goes from strip to strip; a strip's neighbours
 * read most of the same places at the same time, so that memory is read about once. What columns.h calls a row is a
 * strip here. */
#include "columns.h"
#include "parts.h"

enum { SIDE = 3, TAPS = SIDE * SIDE, STRIP_VECTORS = 32 };

/* The places of a strip, and those that it is made of: as many as fit into registers. */
#define STRIP(stride)  ((stride) == 1 ? 4 : 2)
#define SOURCE(stride) ((STRIP(stride) - 1) * (stride) + SIDE)

/* Four channels whatever the type: what a thread has of eight does not fit into its registers. */
typedef wide<bf16, 4> bf16x4;
#define BY_FOUR(type, c, call)                                                                               \
    ((type) == F32 ? ((c) % 4 ? call(f32x1) : call(f32x4)) : ((c) % 4 ? call(bf16x1) : call(bf16x4)))

HD shape4 strips_of(shape4 s, int strip)
{
    const shape4 strips = { s.n, s.c, s.h, (s.w + strip - 1) / strip };
    return strips;
}

static inline columns columns_of_strips(shape4 s, int strip)
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
    return columns_in_parts(k);
}

/* N places of row h from column w on, zeros where there are none. */
template <typename W, int N>
__device__ static inline void load_places(const void *from, shape4 s, int n, int h, int w, int vector,
                                          W (&to)[N])
{
    const int vectors = s.c / W::WIDTH, at = w * vectors + vector;
    const W *row = (const W *)from + ((int64_t)n * s.h + h) * s.w * vectors;
    const bool inside = h >= 0 && h < s.h;
    UNROLL
    for (int i = 0; i < N; i++) {
        const W zero = {};
        to[i] = inside && w + i >= 0 && w + i < s.w ? row[at + i * vectors] : zero;
    }
}

/* The filters w [C][TAPS] of a thread's channels, or of none. */
template <typename W>
__device__ static inline void load_filters(const void *w, int vector, bool turned, float f[TAPS][W::WIDTH])
{
    const typename W::element *from = (const typename W::element *)w + (int64_t)vector * W::WIDTH * TAPS;
    UNROLL
    for (int tap = 0; tap < TAPS; tap++)
        for (int i = 0; i < W::WIDTH; i++)
            f[tap][i] = vector < 0 ? 0 : to_float(from[i * TAPS + (turned ? TAPS - 1 - tap : tap)]);
}

/* sum[i] += f[i] * v[i] */
template <typename W>
__device__ static inline void multiply_add(const float f[W::WIDTH], const W &v, float sum[W::WIDTH])
{
    for (int i = 0; i < W::WIDTH; i++) sum[i] = fmaf(f[i], to_float(v.v[i]), sum[i]);
}

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
COLUMN_KERNEL filter_strips(columns k, const void *x, const void *w, void *y, shape4 X, shape4 Y, bool turned,
                            bool add)
{
    const int vector = my_vector(k);
    const row_range mine = row_range_of(k, vector);
    float f[TAPS][W::WIDTH];
    load_filters<W>(w, vector, turned, f);
    for (int strip = mine.first; strip < mine.end; strip += k.ys) {
        const nhw to = nhw_of(strips_of(Y, STRIP(S)), strip);
        float sum[STRIP(S)][W::WIDTH] = {};
        UNROLL
        for (int r = 0; r < SIDE; r++) {
            W row[SOURCE(S)];
            load_places(x, X, to.n, to.h * S + r - 1, to.w * STRIP(S) * S - 1, vector, row);
            UNROLL
            for (int j = 0; j < STRIP(S); j++)
                for (int s = 0; s < SIDE; s++) multiply_add(f[r * SIDE + s], row[j * S + s], sum[j]);
        }
        store_strip<W>(y, Y, to, vector, sum, add);
    }
}

/* --- backward to x with stride 2: of every two places only one is whole --- */

enum { SPREAD = 4 };

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
            W row[SPREAD / 2 + 1];
            if ((to.h + 1 - r) % 2 != 0) continue;
            load_places(dy, Y, to.n, (to.h + 1 - r) / 2, to.w * SPREAD / 2, vector, row);
            UNROLL
            for (int j = 0; j < SPREAD; j++)
                for (int s = 0; s < SIDE; s++)
                    if ((j + 1 - s) % 2 == 0) multiply_add(f[r * SIDE + s], row[(j + 1 - s) / 2], sum[j]);
        }
        store_strip<W>(dx, X, to, vector, sum, add);
    }
}

/* --- backward to w --- */

/* partial [parts][TAPS][c] */
template <typename W, int S>
COLUMN_KERNEL filter_parts(columns k, const void *x, const void *dy, float *partial, shape4 X, shape4 Y)
{
    enum { V = W::WIDTH };
    const int vector = my_vector(k);
    const row_range mine = row_range_of(k, vector);
    float sum[TAPS][V] = {};
    for (int strip = mine.first; strip < mine.end; strip += k.ys) {
        const nhw from = nhw_of(strips_of(Y, STRIP(S)), strip);
        W places[STRIP(S)];
        float g[STRIP(S)][V];
        load_places(dy, Y, from.n, from.h, from.w * STRIP(S), vector, places);
        UNROLL
        for (int j = 0; j < STRIP(S); j++) unpack(places[j], g[j]);
        UNROLL
        for (int r = 0; r < SIDE; r++) {
            W row[SOURCE(S)];
            load_places(x, X, from.n, from.h * S + r - 1, from.w * STRIP(S) * S - 1, vector, row);
            UNROLL
            for (int j = 0; j < STRIP(S); j++)
                for (int s = 0; s < SIDE; s++) multiply_add(g[j], row[j * S + s], sum[r * SIDE + s]);
        }
    }
    UNROLL
    for (int tap = 0; tap < TAPS; tap++) {
        sum_rows<V>(k, sum[tap]);
        if ((int)threadIdx.x < k.xs && vector >= 0)
            store<wide<float, V>>(partial, (my_part(k) * TAPS + tap) * k.vectors + vector, sum[tap], false);
    }
}

template <typename T> __global__ void filter_totals(const float *partial, int parts, int c, T *dw)
{
    const int value = my_value();
    const double total = sum_parts(partial, parts, TAPS * c);
    if ((int)threadIdx.x < PART_VALUES && value < TAPS * c)
        from_float(&dw[value % c * TAPS + value / c], (float)total);
}

/* --- launchers --- */

int depthwise_forward(cuda_stream stream, dtype type, const void *x, const void *w, void *y, shape4 X,
                      shape4 Y, int stride)
{
    const columns k = columns_of_strips(Y, STRIP(stride));
#define LAUNCH_STRIDE(W, S)                                                                                  \
    LAUNCH((filter_strips<W, S>), columns_grid(k), columns_block(k), stream, k, x, w, y, X, Y, false, false)
#define CALL(W) (stride == 1 ? LAUNCH_STRIDE(W, 1) : LAUNCH_STRIDE(W, 2))
    return BY_FOUR(type, Y.c, CALL);
#undef CALL
#undef LAUNCH_STRIDE
}

int depthwise_data(cuda_stream stream, dtype type, const void *dy, const void *w, void *dx, bool add,
                   shape4 X, shape4 Y, int stride)
{
    const columns k = columns_of_strips(X, stride == 1 ? STRIP(1) : SPREAD);
#define CALL(W)                                                                                              \
    (stride == 1                                                                                             \
         ? LAUNCH((filter_strips<W, 1>), columns_grid(k), columns_block(k), stream, k, dy, w, dx, Y, X,      \
                  true, add)                                                                                 \
         : LAUNCH(spread_strips<W>, columns_grid(k), columns_block(k), stream, k, dy, w, dx, X, Y, add))
    return BY_FOUR(type, X.c, CALL);
#undef CALL
}

size_t depthwise_filter_bytes(shape4 Y, int stride)
{
    const columns k = columns_of_strips(Y, STRIP(stride));
    return (size_t)k.parts * TAPS * (size_t)k.c * sizeof(float);
}

int depthwise_filter(cuda_stream stream, dtype type, const void *x, const void *dy, void *dw, void *scratch,
                     shape4 X, shape4 Y, int stride)
{
    const columns k = columns_of_strips(Y, STRIP(stride));
    float *partial = (float *)scratch;
    const unsigned blocks = blocks_for_parts(TAPS * k.c);
#define LAUNCH_STRIDE(W, S)                                                                                  \
    LAUNCH_BLOCKS((filter_parts<W, S>), columns_grid(k), columns_block(k), stream, k, x, dy, partial, X, Y)
#define CALL(W) (stride == 1 ? LAUNCH_STRIDE(W, 1) : LAUNCH_STRIDE(W, 2))
    const int error = BY_FOUR(type, Y.c, CALL);
#undef CALL
#undef LAUNCH_STRIDE
    if (error) return error;
#define CALL(T)                                                                                              \
    LAUNCH_BLOCKS(filter_totals<T>, blocks, THREADS, stream, (const float *)partial, k.parts, k.c, (T *)dw)
    return BY_TYPE(type, CALL);
#undef CALL
}
