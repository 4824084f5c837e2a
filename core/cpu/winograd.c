/* core/cpu/winograd.c -- 3x3 convolutions by Winograd's method, [Lavin & Gray 2016, "Fast Algorithms for Convolutional
 * Neural Networks"].
 *
 * For one tile of outputs y, one channel c of its inputs d and one filter g (winograd_tile.h):
 *
 *   y = A^T [ (G g G^T) . (B^T d B) ] A                    . multiplies element by element
 *
 * A convolution adds this up over all c. The outer transform A^T [] A is linear, so the sum can be taken before it. At one
 * place of the transformed patch, the sums for all tiles and filters are then one product of matrices: there are 36 for
 * tiles of 4x4, which have 6x6 places, and 16 for tiles of 2x2, which suit small images.
 *
 *   for each group of tiles, the groups divided among the threads:
 *       V[place][tile][c] = B^T d B                        [c]: channels of x
 *       M[place][tile][k] = V[place] x U[place]            U[place][c][k] = G g G^T, made once (winograd_pack)
 *       y = A^T M A, plus bias and z, activated            [k]: channels of y
 *
 * A group is so small that V and M stay in the cache between the three steps. The gradient of the weights
 * goes through the transforms backwards:
 *
 *   W[place][tile][k] = A dy A^T;   dU[place][c][k] = sum over all tiles of V[place]^T x W[place];   dg = G^T dU G
 *
 * The gradient of x is a convolution of dy with the filters turned by 180 degrees.
 *
 * A vector holds the channels of a block, so the transforms combine whole vectors and never move values between
 * lanes. */
#include "winograd.h"

#include "../base/minmax.h"
#include "cpu.h"
#include "microkernel.h"
#include "winograd_tile.h"

#include <omp.h>
#include <string.h>

static int rounded_up(int n, int multiple)
{
    return (n + multiple - 1) / multiple * multiple;
}

/* ---- tiles ---- */

/* How the outputs are cut into tiles. */
typedef struct tiling {
    int tile, places;       /* side of a tile; (tile + 2)^2 */
    int down, across;       /* tiles of an image, along its height and its width */
    int tiles;              /* of all images */
    int blocks_c, blocks_k; /* of channels of x, of y */
} tiling;

static tiling tiling_by(const winograd *s, int tile)
{
    tiling g = { .tile = tile,
                 .places = (tile + 2) * (tile + 2),
                 .down = (s->h + tile - 1) / tile,
                 .across = (s->w + tile - 1) / tile,
                 .blocks_c = layout_blocks(s->c),
                 .blocks_k = layout_blocks(s->k) };
    g.tiles = s->n * g.down * g.across;
    return g;
}

/* Multiplications for one image and one pair of channels. */
static int64_t products_of(tiling g)
{
    return (int64_t)g.down * g.across * g.places;
}

/* With the tiles that need fewer multiplications. */
static tiling tiling_of(const winograd *s)
{
    const tiling two = tiling_by(s, 2), four = tiling_by(s, 4);
    return products_of(two) < products_of(four) ? two : four;
}

int64_t winograd_products(int h, int w)
{
    return products_of(tiling_of(&(winograd){ .h = h, .w = w }));
}

/* Where tile t is: its image and its first output. */
typedef struct tile_place {
    int image, y, x;
} tile_place;

static tile_place tile_at(const tiling *g, int t)
{
    const int image = t / (g->down * g->across), rest = t % (g->down * g->across);
    return (tile_place){ image, rest / g->across * g->tile, rest % g->across * g->tile };
}

/* V, W or M of a group of tiles: for each place a matrix of tiles x channels. Its channels are cut into panels of
 * `width` blocks, and the rows of a panel follow each other:
 *
 *   matrix of place 0                                            matrix of place 1
 *   | panel 0: tile 0, tile 1, ... | panel 1: tile 0, ... | ...  | ...
 *              |<- row ->|
 *              width * LANES channels, padding
 *
 * The paddings keep the steps from being powers of two: elements that are read or written one after the other would all
 * fall into the same set of the cache. */
typedef struct matrices {
    float *at;
    int width;
    int64_t row, panel, matrix; /* floats from one tile, panel, matrix to the next */
} matrices;

/* One panel of all channels, for products that sum over the channels. */
static matrices one_panel(float *at, int tiles, int blocks)
{
    const int64_t row = (int64_t)(blocks < 8 ? blocks : blocks + 1) * LANES, panel = tiles * row + LANES;
    return (matrices){ at, blocks, row, panel, panel };
}

/* Narrow panels, for products that sum over the tiles. */
static matrices narrow_panels(float *at, int tiles, int blocks, int width)
{
    const int64_t row = width * LANES, panel = tiles * row + LANES;
    return (matrices){ at, width, row, panel, (blocks + width - 1) / width * panel };
}

static float *element_at(const matrices *m, int tile, int block)
{
    return m->at + tile * m->row + block / m->width * m->panel + block % m->width * LANES;
}

static matrices from_tile(matrices m, int first)
{
    m.at += first * m.row;
    return m;
}

static int64_t floats_of_one_panel(const tiling *g, int tiles, int blocks)
{
    return g->places * one_panel(NULL, tiles, blocks).matrix;
}

static plane plane_of(const winograd *s, const void *value, int image, int block, int blocks)
{
    const int64_t first = ((int64_t)image * blocks + block) * s->h * s->w;
    return (plane){ vector_at(value, first, s->type), s->h, s->w };
}

/* ---- V and W: transforms of values ---- */

INLINED void transform_as(int kind, dtype type, int tile, const plane *p, int y, int x, float *to,
                          int64_t matrix)
{
    if (tile == 2)
        transform_values(kind, 2, p, y, x, false, type, to, matrix);
    else if (y > 0 && x > 0 && y + tile < p->h && x + tile < p->w)
        transform_values(kind, 4, p, y, x, true, type, to, matrix);
    else
        transform_values(kind, 4, p, y, x, false, type, to, matrix);
}

INLINED void transform(int kind, dtype type, int tile, const plane *p, int y, int x, float *to,
                       int64_t matrix)
{
    if (type == F32)
        transform_as(kind, F32, tile, p, y, x, to, matrix);
    else
        transform_as(kind, BF16, tile, p, y, x, to, matrix);
}

/* INPUT: V of x; GRADIENT: W of dy; for tiles [first, first + n). Tiles behind the last one are zeros. */
static void transform_group(const winograd *s, const tiling *g, int kind, const void *value, int first, int n,
                            matrices to)
{
    const int blocks = kind == INPUT ? g->blocks_c : g->blocks_k;
    for (int b = 0; b < blocks; b++)
        for (int t = 0; t < n; t++) {
            const tile_place at = tile_at(g, first + t);
            float *out = element_at(&to, t, b);
            if (first + t >= g->tiles) {
                for (int i = 0; i < g->places; i++) *(vec *)(out + i * to.matrix) = (vec){ 0 };
                continue;
            }
            const plane p = plane_of(s, value, at.image, b, blocks);
            if (kind == INPUT)
                transform(INPUT, s->type, g->tile, &p, at.y, at.x, out, to.matrix);
            else
                transform(GRADIENT, s->type, g->tile, &p, at.y, at.x, out, to.matrix);
        }
}

/* ---- U: transforms of weights ---- */

/* Strips of MICRO_COLUMNS = two blocks of channels. */
static int strips_of(int channels)
{
    return (layout_blocks(channels) + 1) / 2;
}

size_t winograd_packed_bytes(const winograd *s)
{
    const tiling g = tiling_of(s);
    return sizeof(float) * (size_t)g.places * (size_t)layout_blocks(s->c) * LANES * (size_t)strips_of(s->k) *
           MICRO_COLUMNS;
}

/* The 9 weights from channel c to the block of channels that begins at k0; zeros where there is no such channel. With
 * bf16 values the weights are rounded to bf16, too. */
static void read_filters(const winograd *s, const float *w, bool rotated, int c, int k0,
                         vec g[FILTER_WEIGHTS])
{
    float lanes[FILTER_WEIGHTS][LANES] __attribute__((aligned(64))) = { 0 };
    for (int l = 0; c < s->c && l < LANES && k0 + l < s->k; l++) {
        const int64_t pair = rotated ? (int64_t)c * s->k + k0 + l : (int64_t)(k0 + l) * s->c + c;
        const float *from = w + pair * FILTER_WEIGHTS;
        for (int i = 0; i < FILTER_WEIGHTS; i++) lanes[i][l] = from[rotated ? FILTER_WEIGHTS - 1 - i : i];
    }
    for (int i = 0; i < FILTER_WEIGHTS; i++) {
        g[i] = *(const vec *)lanes[i];
        if (s->type == BF16) g[i] = bf16_vec_to(bf16_vec_from(g[i]));
    }
}

/* u[place][strip][c][MICRO_COLUMNS], as the products read it. */
void winograd_pack(const winograd *s, const float *w, bool rotated, float *u)
{
    const tiling g = tiling_of(s);
    const int rows = layout_blocks(s->c) * LANES, strips = strips_of(s->k);
    const int64_t matrix = (int64_t)strips * rows * MICRO_COLUMNS;
#pragma omp parallel num_threads(s->threads)
    {
#pragma omp for collapse(2) schedule(static)
        for (int block = 0; block < 2 * strips; block++)
            for (int c = 0; c < rows; c++) {
                vec filter[FILTER_WEIGHTS];
                float *to = u + ((int64_t)(block / 2) * rows + c) * MICRO_COLUMNS + block % 2 * LANES;
                read_filters(s, w, rotated, c, block * LANES, filter);
                if (g.tile == 2)
                    transform_weights(2, filter, to, matrix);
                else
                    transform_weights(4, filter, to, matrix);
            }
        stream_end();
    }
}

/* ---- convolution ---- */

/* Larger results are stored past the caches: no cache keeps them until they are read. */
enum { CACHED_BYTES = 8 << 20 };

/* Tiles of a group: a multiple of MICRO_ROWS. V and M of a group are GROUP_BYTES unless that is fewer than LEAST
 * tiles. */
static int group_tiles(const winograd *s)
{
    enum { GROUP_BYTES = 512 << 10, LEAST = 32 };
    const tiling g = tiling_of(s);
    const int channels = (g.blocks_c + 2 * strips_of(s->k)) * LANES;
    const int fit = GROUP_BYTES / ((int)sizeof(float) * g.places * channels);
    const int share = (g.tiles + s->threads - 1) / s->threads;
    return rounded_up(min_int(fit > LEAST ? fit : LEAST, share), MICRO_ROWS);
}

/* V and M. */
static size_t thread_floats(const winograd *s)
{
    const tiling g = tiling_of(s);
    const int tiles = group_tiles(s);
    return (size_t)(floats_of_one_panel(&g, tiles, g.blocks_c) +
                    floats_of_one_panel(&g, tiles, 2 * strips_of(s->k)));
}

size_t winograd_scratch_bytes(const winograd *s)
{
    return sizeof(float) * thread_floats(s) * (size_t)s->threads;
}

/* M[place] = V[place] x U[place] */
static void multiply_group(const winograd *s, int places, int tiles, matrices v, const float *u, matrices m)
{
    const int strips = strips_of(s->k), rows = v.width * LANES;
    const bool odd = layout_blocks(s->k) % 2;
    for (int place = 0; place < places; place++)
        for (int strip = 0; strip < strips; strip++) {
            const float *factors = u + ((int64_t)place * strips + strip) * rows * MICRO_COLUMNS;
            for (int t = 0; t < tiles; t += MICRO_ROWS) {
                micro_factors f = { .row_step = 1,
                                    .strip = (const uint32_t *)factors,
                                    .strip_step = MICRO_COLUMNS,
                                    .depth = rows };
                for (int i = 0; i < MICRO_ROWS; i++)
                    f.row[i] = (const uint32_t *)(v.at + place * v.matrix + (t + i) * v.row);
                float *to = m.at + place * m.matrix + t * m.row + strip * MICRO_COLUMNS;
                if (odd && strip == strips - 1)
                    micro_multiply(&f, MICRO_ROWS, 1, F32, false, to, m.row);
                else
                    micro_multiply(&f, MICRO_ROWS, 2, F32, false, to, m.row);
            }
        }
}

static vec bias_of(const winograd *s, const float *bias, int block)
{
    vec out = { 0 };
    for (int l = 0; bias && l < LANES && block * LANES + l < s->k; l++) out[l] = bias[block * LANES + l];
    return out;
}

/* y = A^T M A, plus bias and z, activated: for tiles [first, first + n). */
INLINED void output_as(const winograd *s, const tiling *g, int tile, int first, int n, matrices m,
                       winograd_epilogue end, void *y, bool streamed, dtype type)
{
    for (int b = 0; b < g->blocks_k; b++) {
        const vec bias = bias_of(s, end.bias, b);
        for (int t = 0; t < n; t++) {
            const tile_place at = tile_at(g, first + t);
            const plane to = plane_of(s, y, at.image, b, g->blocks_k);
            const plane z = plane_of(s, end.z, at.image, b, g->blocks_k);
            transform_output(tile, m.at + t * m.row + b * LANES, m.matrix, bias, &z, end.act, &to, at.y, at.x,
                             streamed, type);
        }
    }
    if (streamed) stream_end();
}

INLINED void output(const winograd *s, const tiling *g, int first, int n, matrices m, winograd_epilogue end,
                    void *y, bool streamed, dtype type)
{
    if (g->tile == 2)
        output_as(s, g, 2, first, n, m, end, y, false, type);
    else if (streamed)
        output_as(s, g, 4, first, n, m, end, y, true, type);
    else
        output_as(s, g, 4, first, n, m, end, y, false, type);
}

void winograd_convolve(const winograd *s, const void *x, const float *u, winograd_epilogue end, void *y,
                       void *scratch)
{
    const tiling g = tiling_of(s);
    const int size = group_tiles(s), groups = (g.tiles + size - 1) / size;
    const size_t bytes =
        (size_t)s->n * (size_t)(g.blocks_k * LANES) * (size_t)(s->h * s->w) * dtype_bytes(s->type);
    const bool streamed = bytes > CACHED_BYTES;
#pragma omp parallel for schedule(static) num_threads(s->threads)
    for (int i = 0; i < groups; i++) {
        const int first = i * size, n = min_int(size, g.tiles - first);
        float *own = (float *)scratch + thread_floats(s) * (size_t)omp_get_thread_num();
        const matrices v = one_panel(own, size, g.blocks_c);
        const matrices m =
            one_panel(own + floats_of_one_panel(&g, size, g.blocks_c), size, 2 * strips_of(s->k));
        const int multiplied = rounded_up(n, MICRO_ROWS);
        transform_group(s, &g, INPUT, x, first, multiplied, v);
        multiply_group(s, g.places, multiplied, v, u, m);
        if (s->type == F32)
            output(s, &g, first, n, m, end, y, streamed, F32);
        else
            output(s, &g, first, n, m, end, y, streamed, BF16);
    }
}

/* ---- gradient of the weights ----
 *
 * The unit of work is a pair: a block of channels of x and a strip of channels of dy. The pair's part of dU is LANES x
 * MICRO_COLUMNS sums over the tiles for each place. It stays in the nearest cache while tiles are added. */

enum {
    GRADIENT_ROWS = LANES == 16 ? 8 : 4,        /* channels of x at a time; divides LANES */
    SUMS_MATRIX = LANES * MICRO_COLUMNS + LANES /* floats from the sums of one place to those of the next */
};

/* How the work is divided among the threads.
 *
 * Separately, if the sums are small: each thread has sums of its own for all pairs, and adds some of the tiles to them.
 * At the end the threads' sums are added.
 *
 * Together, if the sums are large: there is one set of sums. All threads work at one group of tiles: each transforms
 * some of the group's tiles, then adds the group to the sums of some pairs. */
typedef struct gradient_plan {
    bool together;
    bool one_group; /* together, and one group holds all tiles: a thread has the sums of one pair at a time */
    int size;       /* tiles of a group */
    size_t groups, sums; /* floats of V and W; floats of sums. Separately: of one thread */
} gradient_plan;

static gradient_plan plan_gradient(const winograd *s)
{
    enum { SMALL_SUMS = 4 << 20, GROUP_BYTES = 512 << 10, LEAST = 32, LEAST_TOGETHER = 256 };
    const tiling g = tiling_of(s);
    const int strips = strips_of(s->k), rows = g.blocks_c * LANES;
    const int fit = GROUP_BYTES / ((int)sizeof(float) * g.places * (rows + strips * MICRO_COLUMNS));
    const size_t pair = (size_t)(g.places * SUMS_MATRIX), pairs = (size_t)(g.blocks_c * strips);
    gradient_plan p = { .together = pair * pairs * sizeof(float) > SMALL_SUMS };
    p.size = p.together ? LEAST_TOGETHER : fit > LEAST ? fit : LEAST;
    if (p.size > g.tiles) p.size = g.tiles;
    p.one_group = p.together && p.size == g.tiles;
    p.groups = (size_t)(g.places * (narrow_panels(NULL, p.size, g.blocks_c, 1).matrix +
                                    narrow_panels(NULL, p.size, 2 * strips, 2).matrix));
    p.sums = pair * (p.one_group ? (size_t)s->threads : pairs);
    return p;
}

size_t winograd_gradient_scratch_bytes(const winograd *s)
{
    const gradient_plan p = plan_gradient(s);
    return sizeof(float) * (p.groups + p.sums) * (size_t)(p.together ? 1 : s->threads);
}

/* A gradient that is being computed, by one thread or together, and its memory. */
typedef struct gradient {
    const winograd *s;
    const tiling *g;
    const gradient_plan *p;
    matrices v, w;
    float *sums;
} gradient;

static gradient gradient_in(float *scratch, const winograd *s, const tiling *g, const gradient_plan *p)
{
    const matrices v = narrow_panels(scratch, p->size, g->blocks_c, 1);
    return (gradient){ .s = s,
                       .g = g,
                       .p = p,
                       .v = v,
                       .w = narrow_panels(scratch + g->places * v.matrix, p->size, 2 * strips_of(s->k), 2),
                       .sums = scratch + p->groups };
}

static float *sums_of(const gradient *h, int strip, int block)
{
    const int pair = h->p->one_group ? omp_get_thread_num() : strip * h->g->blocks_c + block;
    return h->sums + (int64_t)pair * h->g->places * SUMS_MATRIX;
}

/* sums[place][c][k] = or += V^T x W: the sum over `tiles` tiles. */
static void multiply_pair(const gradient *h, int tiles, int strip, int block, bool add, float *sums)
{
    const bool half = 2 * strip + 1 == h->g->blocks_k; /* the last strip of an odd number of blocks */
    micro_factors f = { .row_step = h->v.row, .strip_step = h->w.row, .depth = tiles };
    for (int place = 0; place < h->g->places; place++)
        for (int c = 0; c < LANES; c += GRADIENT_ROWS) {
            float *to = sums + place * SUMS_MATRIX + c * MICRO_COLUMNS;
            const float *v = element_at(&h->v, 0, block) + place * h->v.matrix + c;
            f.strip = (const uint32_t *)(element_at(&h->w, 0, 2 * strip) + place * h->w.matrix);
            for (int i = 0; i < GRADIENT_ROWS; i++) f.row[i] = (const uint32_t *)(v + i);
            if (half)
                micro_multiply(&f, GRADIENT_ROWS, 1, F32, add, to, MICRO_COLUMNS);
            else
                micro_multiply(&f, GRADIENT_ROWS, 2, F32, add, to, MICRO_COLUMNS);
        }
}

/* dw of a block of channels of x and one of dy: G^T dU G. dU is the sum of `parts` arrays that are `stride` floats
 * apart. */
static void store_filters(const gradient *h, const float *sums, int parts, size_t stride, int block_c,
                          int block_k, float *dw)
{
    const winograd *s = h->s;
    const int first = block_c * LANES, channels = min_int(LANES, s->c - first);
    float of[LANES][LANES * FILTER_WEIGHTS]; /* for each channel of dy a part of its row of dw */
    for (int c = 0; c < channels; c++) {
        vec filter[FILTER_WEIGHTS];
        if (h->g->tile == 2)
            transform_weight_gradient(2, sums + c * MICRO_COLUMNS, SUMS_MATRIX, parts, stride, filter);
        else
            transform_weight_gradient(4, sums + c * MICRO_COLUMNS, SUMS_MATRIX, parts, stride, filter);
        for (int i = 0; i < FILTER_WEIGHTS; i++)
            for (int l = 0; l < LANES; l++) of[l][c * FILTER_WEIGHTS + i] = filter[i][l];
    }
    for (int l = 0; l < LANES && block_k * LANES + l < s->k; l++)
        memcpy(dw + ((int64_t)(block_k * LANES + l) * s->c + first) * FILTER_WEIGHTS, of[l],
               sizeof(float) * (size_t)(channels * FILTER_WEIGHTS));
}

static void store_pair(const gradient *h, const float *sums, int parts, size_t stride, int strip, int block,
                       float *dw)
{
    for (int b = 2 * strip; b < 2 * strip + 2 && b < h->g->blocks_k; b++)
        store_filters(h, sums + b % 2 * LANES, parts, stride, block, b, dw);
}

static void gradient_together(const gradient *h, const void *x, const void *dy, float *dw)
{
    const winograd *s = h->s;
    const tiling *g = h->g;
    const int parts = s->threads, strips = strips_of(s->k);
    for (int t = 0; t < g->tiles; t += h->p->size) {
        const int n = min_int(h->p->size, g->tiles - t);
#pragma omp parallel num_threads(parts)
        {
#pragma omp for schedule(static, 1)
            for (int i = 0; i < parts; i++) {
                const int from = n * i / parts, to = n * (i + 1) / parts;
                transform_group(s, g, INPUT, x, t + from, to - from, from_tile(h->v, from));
                transform_group(s, g, GRADIENT, dy, t + from, to - from, from_tile(h->w, from));
            }
#pragma omp for collapse(2) schedule(static)
            for (int strip = 0; strip < strips; strip++)
                for (int block = 0; block < g->blocks_c; block++) {
                    float *sums = sums_of(h, strip, block);
                    multiply_pair(h, n, strip, block, t > 0, sums);
                    if (t + n == g->tiles) store_pair(h, sums, 1, 0, strip, block, dw);
                }
        }
    }
}

/* Adds tiles [first, last) to the sums of one thread. */
static void sum_separately(const gradient *h, const void *x, const void *dy, int first, int last)
{
    for (int t = first; t < last; t += h->p->size) {
        const int n = min_int(h->p->size, last - t);
        transform_group(h->s, h->g, INPUT, x, t, n, h->v);
        transform_group(h->s, h->g, GRADIENT, dy, t, n, h->w);
        for (int strip = 0; strip < strips_of(h->s->k); strip++)
            for (int block = 0; block < h->g->blocks_c; block++)
                multiply_pair(h, n, strip, block, t > first, sums_of(h, strip, block));
    }
}

void winograd_gradient(const winograd *s, const void *x, const void *dy, float *dw, void *scratch)
{
    const tiling g = tiling_of(s);
    const gradient_plan p = plan_gradient(s);
    const gradient h = gradient_in(scratch, s, &g, &p);
    const int parts = min_int(s->threads, g.tiles), strips = strips_of(s->k);
    const size_t stride = p.groups + p.sums;
    if (p.together) {
        gradient_together(&h, x, dy, dw);
        return;
    }
#pragma omp parallel for schedule(static, 1) num_threads(parts)
    for (int i = 0; i < parts; i++) {
        const gradient own = gradient_in((float *)scratch + stride * (size_t)i, s, &g, &p);
        sum_separately(&own, x, dy, (int)((int64_t)g.tiles * i / parts),
                       (int)((int64_t)g.tiles * (i + 1) / parts));
    }
#pragma omp parallel for collapse(2) schedule(static) num_threads(parts)
    for (int strip = 0; strip < strips; strip++)
        for (int block = 0; block < g.blocks_c; block++)
            store_pair(&h, sums_of(&h, strip, block), parts, stride, strip, block, dw);
}
