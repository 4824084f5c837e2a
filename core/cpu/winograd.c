/* core/cpu/winograd.c -- [Lavin & Gray 2016, "Fast Algorithms for Convolutional Neural Networks"]
 *
 *   y = A^T [ (G g G^T) . (B^T d B) ] A          for each tile of outputs, its inputs d, and 3x3 weights g
 *
 * The sum over the channels can be done before the outer transform: 36 matrix products, one for each place of the 6x6
 * inputs of a 4x4 tile; 16 for a tile of 2x2, which is for images so small.
 *
 *   for each group of tiles, group by group to the threads:
 *       V[place][tile][c] = B^T d B
 *       M[place][tile][k] = V[place] x U[place]            U[place][c][k] = G g G^T, made once
 *       y = A^T M A, plus bias and z, activated
 *
 * A group is small enough for V and M to stay in the cache. The gradient of the weights goes the other way round:
 *
 *   W[place][tile][k] = A dy A^T;   dU[place][c][k] = sum over all tiles V[place]^T x W[place];   dg = G^T dU G
 *
 * A vector holds the channels of a block: nothing is ever shuffled. */
#include "winograd.h"

#include "block.h"
#include "cpu.h"
#include "winograd_tile.h"

#include <omp.h>
#include <string.h>

static int least(int a, int b)
{
    return a < b ? a : b;
}

static int rounded_up(int n, int multiple)
{
    return (n + multiple - 1) / multiple * multiple;
}

/* ---- tiles ---- */

typedef struct geometry {
    int tile, places;       /* outputs along a tile, matrices */
    int down, across;       /* tiles of an image */
    int tiles;              /* of all images */
    int blocks_c, blocks_k; /* of channels */
} geometry;

static geometry geometry_with(const winograd *s, int tile)
{
    geometry g = { .tile = tile,
                   .places = (tile + 2) * (tile + 2),
                   .down = (s->h + tile - 1) / tile,
                   .across = (s->w + tile - 1) / tile,
                   .blocks_c = layout_blocks(s->c),
                   .blocks_k = layout_blocks(s->k) };
    g.tiles = s->n * g.down * g.across;
    return g;
}

static int64_t products_of(geometry g)
{
    return (int64_t)g.down * g.across * g.places;
}

/* With the tiles that multiply less. */
static geometry geometry_of(const winograd *s)
{
    const geometry two = geometry_with(s, 2), four = geometry_with(s, 4);
    return products_of(two) < products_of(four) ? two : four;
}

int64_t winograd_products(int h, int w)
{
    return products_of(geometry_of(&(winograd){ .h = h, .w = w }));
}

/* Where a tile is: its image, and its first output. */
typedef struct tile_place {
    int image, y, x;
} tile_place;

static tile_place tile_at(const geometry *g, int t)
{
    const int image = t / (g->down * g->across), rest = t % (g->down * g->across);
    return (tile_place){ image, rest / g->across * g->tile, rest % g->across * g->tile };
}

/* V, W and M of a group: matrices of tiles x channels. Neither tiles nor matrices follow each other at a power of two:
 * what is read or written one after the other would share a cache set. */
typedef struct group {
    float *at;
    int channels;
    int64_t row, matrix; /* floats from one tile to the next, from one matrix to the next */
} group;

static group group_of(float *at, int tiles, int blocks)
{
    const int64_t row = (int64_t)(blocks < 8 ? blocks : blocks + 1) * LANES;
    return (group){ at, blocks * LANES, row, tiles * row + LANES };
}

static group group_from(group g, int first)
{
    g.at += first * g.row;
    return g;
}

static int64_t group_floats(const geometry *g, int tiles, int blocks)
{
    return g->places * group_of(NULL, tiles, blocks).matrix;
}

static plane plane_of(const winograd *s, const void *value, int image, int block, int blocks)
{
    const int64_t first = ((int64_t)image * blocks + block) * s->h * s->w;
    return (plane){ vector_at(value, first, s->type), s->h, s->w };
}

/* ---- groups of tiles ---- */

enum { INPUT, GRADIENT };

/* One tile; what is constant becomes a loop of its own, here and below. */
INLINED void transform_as(int which, int tile, bool inside, dtype type, const plane *p, int y, int x,
                          float *to, int64_t matrix)
{
    if (which == INPUT)
        transform_input(tile, p, y, x, inside, type, to, matrix);
    else
        transform_gradient(tile, p, y, x, inside, type, to, matrix);
}

INLINED void transform_typed(int which, int tile, bool inside, dtype type, const plane *p, int y, int x,
                             float *to, int64_t matrix)
{
    if (type == F32)
        transform_as(which, tile, inside, F32, p, y, x, to, matrix);
    else
        transform_as(which, tile, inside, BF16, p, y, x, to, matrix);
}

INLINED void transform(int which, int tile, const plane *p, int y, int x, dtype type, float *to,
                       int64_t matrix)
{
    if (tile == 2)
        transform_typed(which, 2, false, type, p, y, x, to, matrix);
    else if (y > 0 && x > 0 && y + tile < p->h && x + tile < p->w)
        transform_typed(which, 4, true, type, p, y, x, to, matrix);
    else
        transform_typed(which, 4, false, type, p, y, x, to, matrix);
}

/* Blocks [from, to) of tiles [first, first + n); those behind the last tile are zero. */
static void transform_group(const winograd *s, const geometry *g, int which, const void *value, int from,
                            int to, int first, int n, group v)
{
    const int blocks = which == INPUT ? g->blocks_c : g->blocks_k;
    for (int b = from; b < to; b++)
        for (int t = 0; t < n; t++) {
            const tile_place at = tile_at(g, first + t);
            float *out = v.at + t * v.row + (b - from) * LANES;
            if (first + t >= g->tiles) {
                for (int i = 0; i < g->places; i++) *(vec *)(out + i * v.matrix) = (vec){ 0 };
                continue;
            }
            const plane p = plane_of(s, value, at.image, b, blocks);
            if (which == INPUT)
                transform(INPUT, g->tile, &p, at.y, at.x, s->type, out, v.matrix);
            else
                transform(GRADIENT, g->tile, &p, at.y, at.x, s->type, out, v.matrix);
        }
}

/* ---- weights ---- */

static int strips_of(int channels)
{
    return (layout_blocks(channels) + 1) / 2;
}

size_t winograd_packed_bytes(const winograd *s)
{
    const geometry g = geometry_of(s);
    return sizeof(float) * (size_t)g.places * (size_t)layout_blocks(s->c) * LANES * (size_t)strips_of(s->k) *
           BLOCK_STRIP;
}

/* The 9 weights from channel c to the block of channels from k0 on; zero where there is no such channel. In bf16 they are
 * those that bf16 holds. */
static void read_filters(const winograd *s, const float *w, bool rotated, int c, int k0,
                         vec g[FILTER * FILTER])
{
    float lanes[FILTER * FILTER][LANES] __attribute__((aligned(64))) = { 0 };
    for (int l = 0; c < s->c && l < LANES && k0 + l < s->k; l++) {
        const int64_t pair = rotated ? (int64_t)c * s->k + k0 + l : (int64_t)(k0 + l) * s->c + c;
        const float *from = w + pair * FILTER * FILTER;
        for (int i = 0; i < FILTER * FILTER; i++) lanes[i][l] = from[rotated ? FILTER * FILTER - 1 - i : i];
    }
    for (int i = 0; i < FILTER * FILTER; i++) {
        g[i] = *(const vec *)lanes[i];
        if (s->type == BF16) g[i] = (vec)(__builtin_convertvector(round_halves(g[i]), ivec) << 16);
    }
}

/* u[place][strip][c][BLOCK_STRIP] */
void winograd_pack(const winograd *s, const float *w, bool rotated, float *u)
{
    const geometry g = geometry_of(s);
    const int rows = layout_blocks(s->c) * LANES, strips = strips_of(s->k);
    const int64_t matrix = (int64_t)strips * rows * BLOCK_STRIP;
#pragma omp parallel for collapse(2) schedule(static) num_threads(s->threads)
    for (int block = 0; block < 2 * strips; block++)
        for (int c = 0; c < rows; c++) {
            vec filter[FILTER * FILTER];
            float *to = u + ((int64_t)(block / 2) * rows + c) * BLOCK_STRIP + block % 2 * LANES;
            read_filters(s, w, rotated, c, block * LANES, filter);
            if (g.tile == 2)
                transform_filter(2, filter, to, matrix);
            else
                transform_filter(4, filter, to, matrix);
        }
}

/* ---- convolution ---- */

enum { CACHED_BYTES = 8 << 20 };

/* Tiles of a group, a multiple of BLOCK_ROWS. */
static int group_tiles(const winograd *s)
{
    enum { GROUP_BYTES = 512 << 10, LEAST = 32 };
    const geometry g = geometry_of(s);
    const int channels = (g.blocks_c + 2 * strips_of(s->k)) * LANES;
    const int fit = GROUP_BYTES / ((int)sizeof(float) * g.places * channels);
    const int share = (g.tiles + s->threads - 1) / s->threads;
    return rounded_up(least(fit > LEAST ? fit : LEAST, share), BLOCK_ROWS);
}

static size_t thread_floats(const winograd *s)
{
    const geometry g = geometry_of(s);
    const int tiles = group_tiles(s);
    return (size_t)(group_floats(&g, tiles, g.blocks_c) + group_floats(&g, tiles, 2 * strips_of(s->k)));
}

size_t winograd_scratch_bytes(const winograd *s)
{
    return sizeof(float) * thread_floats(s) * (size_t)s->threads;
}

/* M[place] = V[place] x U[place] */
static void multiply_group(const winograd *s, int places, int tiles, group v, const float *u, group m)
{
    const int strips = strips_of(s->k), rows = v.channels;
    const bool odd = layout_blocks(s->k) % 2;
    for (int place = 0; place < places; place++)
        for (int strip = 0; strip < strips; strip++) {
            const float *factors = u + ((int64_t)place * strips + strip) * rows * BLOCK_STRIP;
            for (int t = 0; t < tiles; t += BLOCK_ROWS) {
                block_factors f = { .row_step = 1,
                                    .strip = (const uint32_t *)factors,
                                    .strip_step = BLOCK_STRIP,
                                    .depth = rows };
                for (int i = 0; i < BLOCK_ROWS; i++)
                    f.row[i] = (const uint32_t *)(v.at + place * v.matrix + (t + i) * v.row);
                float *to = m.at + place * m.matrix + t * m.row + strip * BLOCK_STRIP;
                if (odd && strip == strips - 1)
                    block_multiply(&f, BLOCK_ROWS, 1, F32, false, to, m.row);
                else
                    block_multiply(&f, BLOCK_ROWS, 2, F32, false, to, m.row);
            }
        }
}

static vec bias_of(const winograd *s, const float *bias, int block)
{
    vec out = { 0 };
    for (int l = 0; bias && l < LANES && block * LANES + l < s->k; l++) out[l] = bias[block * LANES + l];
    return out;
}

INLINED void output_as(const winograd *s, const geometry *g, int tile, int first, int n, group m,
                       winograd_after after, void *y, bool far, dtype type)
{
    for (int b = 0; b < g->blocks_k; b++) {
        const vec bias = bias_of(s, after.bias, b);
        for (int t = 0; t < n; t++) {
            const tile_place at = tile_at(g, first + t);
            const plane to = plane_of(s, y, at.image, b, g->blocks_k);
            const plane z = plane_of(s, after.z, at.image, b, g->blocks_k);
            transform_output(tile, m.at + t * m.row + b * LANES, m.matrix, bias, &z, after.act, &to, at.y,
                             at.x, far, type);
        }
    }
    if (far) stream_end();
}

INLINED void output_typed(const winograd *s, const geometry *g, int first, int n, group m,
                          winograd_after after, void *y, bool far, dtype type)
{
    if (g->tile == 2)
        output_as(s, g, 2, first, n, m, after, y, false, type);
    else if (far)
        output_as(s, g, 4, first, n, m, after, y, true, type);
    else
        output_as(s, g, 4, first, n, m, after, y, false, type);
}

void winograd_convolve(const winograd *s, const void *x, const float *u, winograd_after after, void *y,
                       void *scratch)
{
    const geometry g = geometry_of(s);
    const int size = group_tiles(s), groups = (g.tiles + size - 1) / size;
    const size_t bytes =
        (size_t)s->n * (size_t)(g.blocks_k * LANES) * (size_t)(s->h * s->w) * dtype_bytes(s->type);
    const bool far = bytes > CACHED_BYTES; /* no cache keeps y until it is read */
#pragma omp parallel for schedule(static) num_threads(s->threads)
    for (int i = 0; i < groups; i++) {
        const int first = i * size, n = least(size, g.tiles - first);
        float *own = (float *)scratch + thread_floats(s) * (size_t)omp_get_thread_num();
        const group v = group_of(own, size, g.blocks_c);
        const group m = group_of(own + group_floats(&g, size, g.blocks_c), size, 2 * strips_of(s->k));
        const int multiplied = rounded_up(n, BLOCK_ROWS);
        transform_group(s, &g, INPUT, x, 0, g.blocks_c, first, multiplied, v);
        multiply_group(s, g.places, multiplied, v, u, m);
        if (s->type == F32)
            output_typed(s, &g, first, n, m, after, y, far, F32);
        else
            output_typed(s, &g, first, n, m, after, y, far, BF16);
    }
}

/* ---- gradient of the weights ---- */

/* Where the sums are small, each thread has its own, of some of the tiles. Else all threads are at one group: each
 * transforms some of its tiles, then multiplies some of its matrices, for so many strips of dy at a time as the cache holds
 * sums of. */
typedef struct gradient_plan {
    bool together;
    int size;            /* tiles of a group */
    int strips;          /* of dy, at a time */
    size_t groups, sums; /* floats of V and W, and of dU */
} gradient_plan;

enum { GRADIENT_ROWS = LANES == 16 ? 8 : 4 }; /* divides a block of channels */

static gradient_plan plan_gradient(const winograd *s)
{
    enum {
        SMALL_SUMS = 4 << 20,
        LARGE_SUMS = 10 << 20,
        GROUP_BYTES = 512 << 10,
        LEAST = 32,
        LEAST_TOGETHER = 256
    };
    const geometry g = geometry_of(s);
    const int rows = g.blocks_c * LANES, strips = strips_of(s->k);
    const size_t strip = (size_t)g.places * (size_t)rows * BLOCK_STRIP;
    const int fit = GROUP_BYTES / ((int)sizeof(float) * g.places * (rows + strips * BLOCK_STRIP));
    const int at_a_time = (int)(LARGE_SUMS / (strip * sizeof(float)));
    gradient_plan p = { .together = strip * (size_t)strips * sizeof(float) > SMALL_SUMS, .strips = strips };
    p.size = p.together ? LEAST_TOGETHER : fit > LEAST ? fit : LEAST;
    if (p.size > g.tiles) p.size = g.tiles;
    if (p.together && at_a_time < strips) p.strips = at_a_time > 0 ? at_a_time : 1;
    p.groups = (size_t)(group_floats(&g, p.size, g.blocks_c) + group_floats(&g, p.size, 2 * p.strips));
    p.sums = strip * (size_t)p.strips;
    return p;
}

size_t winograd_gradient_scratch_bytes(const winograd *s)
{
    const gradient_plan p = plan_gradient(s);
    return sizeof(float) * (p.groups + p.sums) * (size_t)(p.together ? 1 : s->threads);
}

/* What one share of the work reads and writes. Strips [from, to) of dy are W and the columns of the sums. */
typedef struct share {
    group v, w;
    float *sums; /* [place][channels of x][channels of w] */
    int from, to;
} share;

static share share_of(const geometry *g, const gradient_plan *p, float *scratch)
{
    const int blocks_c = g->blocks_c;
    return (share){ .v = group_of(scratch, p->size, blocks_c),
                    .w = group_of(scratch + group_floats(g, p->size, blocks_c), p->size, 2 * p->strips),
                    .sums = scratch + p->groups,
                    .to = p->strips };
}

/* sums[c][k] = or += V^T x W, of one place and one strip. */
static void multiply_gradient(const share *h, int tiles, int place, int strip, bool half, bool add)
{
    block_factors f = { .row_step = h->v.row,
                        .strip = (const uint32_t *)(h->w.at + place * h->w.matrix + strip * BLOCK_STRIP),
                        .strip_step = h->w.row,
                        .depth = tiles };
    for (int c = 0; c < h->v.channels; c += GRADIENT_ROWS) {
        const int64_t row = h->w.channels;
        float *to = h->sums + ((int64_t)place * h->v.channels + c) * row + strip * BLOCK_STRIP;
        for (int i = 0; i < GRADIENT_ROWS; i++)
            f.row[i] = (const uint32_t *)(h->v.at + place * h->v.matrix + c + i);
        if (half)
            block_multiply(&f, GRADIENT_ROWS, 1, F32, add, to, row);
        else
            block_multiply(&f, GRADIENT_ROWS, 2, F32, add, to, row);
    }
}

/* The last strip of an odd number of blocks. */
static bool is_half(const winograd *s, int strip)
{
    return layout_blocks(s->k) % 2 && strip == strips_of(s->k) - 1;
}

/* Tiles [first, last) by one thread. */
static void sum_alone(const winograd *s, const geometry *g, int size, const void *x, const void *dy,
                      int first, int last, const share *h)
{
    for (int t = first; t < last; t += size) {
        const int n = least(size, last - t);
        transform_group(s, g, INPUT, x, 0, g->blocks_c, t, n, h->v);
        transform_group(s, g, GRADIENT, dy, 0, g->blocks_k, t, n, h->w);
        for (int place = 0; place < g->places; place++)
            for (int strip = 0; strip < h->to; strip++)
                multiply_gradient(h, n, place, strip, is_half(s, strip), t > first);
    }
}

/* All tiles by all threads, strips [h->from, h->to). V may be there from the strips before. */
static void sum_together(const winograd *s, const geometry *g, int size, const void *x, const void *dy,
                         const share *h, bool v_is_there)
{
    const int parts = s->threads, block = 2 * h->from, blocks = least(2 * h->to, g->blocks_k);
    for (int t = 0; t < g->tiles; t += size) {
        const int n = least(size, g->tiles - t);
#pragma omp parallel num_threads(parts)
        {
#pragma omp for schedule(static, 1)
            for (int i = 0; i < parts; i++) {
                const int from = n * i / parts, to = n * (i + 1) / parts;
                if (!v_is_there)
                    transform_group(s, g, INPUT, x, 0, g->blocks_c, t + from, to - from,
                                    group_from(h->v, from));
                transform_group(s, g, GRADIENT, dy, block, blocks, t + from, to - from,
                                group_from(h->w, from));
            }
#pragma omp for collapse(2) schedule(static)
            for (int place = 0; place < g->places; place++)
                for (int strip = h->from; strip < h->to; strip++)
                    multiply_gradient(h, n, place, strip - h->from, is_half(s, strip), t > 0);
        }
    }
}

/* dw of channel c of x and one block of dy: G^T dU G, dU the sum of `parts` that are `stride` floats apart. */
static void store_filters(const winograd *s, const geometry *g, const share *h, int parts, size_t stride,
                          int c, int block, float *dw)
{
    const int64_t row = h->w.channels, matrix = h->v.channels * row;
    const float *sums = h->sums + c * row + (block - 2 * h->from) * LANES;
    vec filter[FILTER * FILTER];
    if (g->tile == 2)
        transform_filter_gradient(2, sums, matrix, parts, stride, filter);
    else
        transform_filter_gradient(4, sums, matrix, parts, stride, filter);
    const float *lanes = (const float *)filter;
    for (int l = 0; l < LANES && block * LANES + l < s->k; l++)
        for (int i = 0; i < FILTER * FILTER; i++)
            dw[((int64_t)(block * LANES + l) * s->c + c) * FILTER * FILTER + i] = lanes[i * LANES + l];
}

static void store_strips(const winograd *s, const geometry *g, const share *h, int parts, size_t stride,
                         float *dw)
{
    const int blocks = least(2 * h->to, g->blocks_k);
#pragma omp parallel for collapse(2) schedule(static) num_threads(s->threads)
    for (int c = 0; c < s->c; c++)
        for (int block = 2 * h->from; block < blocks; block++)
            store_filters(s, g, h, parts, stride, c, block, dw);
}

void winograd_gradient(const winograd *s, const void *x, const void *dy, float *dw, void *scratch)
{
    const geometry g = geometry_of(s);
    const gradient_plan p = plan_gradient(s);
    const int strips = strips_of(s->k), parts = least(s->threads, g.tiles);
    const size_t stride = p.groups + p.sums;
    share h = share_of(&g, &p, scratch);
    for (h.from = 0; p.together && h.from < strips; h.from += p.strips) {
        h.to = least(h.from + p.strips, strips);
        sum_together(s, &g, p.size, x, dy, &h, h.from > 0 && p.size == g.tiles);
        store_strips(s, &g, &h, 1, 0, dw);
    }
    if (p.together) return;
#pragma omp parallel for schedule(static, 1) num_threads(parts)
    for (int i = 0; i < parts; i++) {
        const share own = share_of(&g, &p, (float *)scratch + stride * (size_t)i);
        const int first = (int)((int64_t)g.tiles * i / parts),
                  last = (int)((int64_t)g.tiles * (i + 1) / parts);
        sum_alone(s, &g, p.size, x, dy, first, last, &own);
    }
    store_strips(s, &g, &h, parts, stride, dw);
}
