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

/* V, W and M of a group: matrices of tiles x channels, in panels of some blocks of channels: all tiles of a panel follow
 * each other. No step is a power of two: what is read or written one after the other would share a cache set. */
typedef struct group {
    float *at;
    int width;                  /* blocks of a panel */
    int64_t row, panel, matrix; /* floats from one tile, panel, matrix to the next */
} group;

/* All channels in one panel: a product sums over them. */
static group group_of(float *at, int tiles, int blocks)
{
    const int64_t row = (int64_t)(blocks < 8 ? blocks : blocks + 1) * LANES, panel = tiles * row + LANES;
    return (group){ at, blocks, row, panel, panel };
}

/* Narrow panels: a product sums over the tiles. */
static group panels_of(float *at, int tiles, int blocks, int width)
{
    const int64_t row = width * LANES, panel = tiles * row + LANES;
    return (group){ at, width, row, panel, (blocks + width - 1) / width * panel };
}

static float *group_block(const group *g, int tile, int block)
{
    return g->at + tile * g->row + block / g->width * g->panel + block % g->width * LANES;
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

/* Tiles [first, first + n); those behind the last tile are zero. */
static void transform_group(const winograd *s, const geometry *g, int which, const void *value, int first,
                            int n, group v)
{
    const int blocks = which == INPUT ? g->blocks_c : g->blocks_k;
    for (int b = 0; b < blocks; b++)
        for (int t = 0; t < n; t++) {
            const tile_place at = tile_at(g, first + t);
            float *out = group_block(&v, t, b);
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
           MICRO_COLUMNS;
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
        if (s->type == BF16) g[i] = bf16_vec_to(bf16_vec_from(g[i]));
    }
}

/* u[place][strip][c][MICRO_COLUMNS] */
void winograd_pack(const winograd *s, const float *w, bool rotated, float *u)
{
    const geometry g = geometry_of(s);
    const int rows = layout_blocks(s->c) * LANES, strips = strips_of(s->k);
    const int64_t matrix = (int64_t)strips * rows * MICRO_COLUMNS;
#pragma omp parallel num_threads(s->threads)
    {
#pragma omp for collapse(2) schedule(static)
        for (int block = 0; block < 2 * strips; block++)
            for (int c = 0; c < rows; c++) {
                vec filter[FILTER * FILTER];
                float *to = u + ((int64_t)(block / 2) * rows + c) * MICRO_COLUMNS + block % 2 * LANES;
                read_filters(s, w, rotated, c, block * LANES, filter);
                if (g.tile == 2)
                    transform_filter(2, filter, to, matrix);
                else
                    transform_filter(4, filter, to, matrix);
            }
        stream_end();
    }
}

/* ---- convolution ---- */

enum { CACHED_BYTES = 8 << 20 };

/* Tiles of a group, a multiple of MICRO_ROWS. */
static int group_tiles(const winograd *s)
{
    enum { GROUP_BYTES = 512 << 10, LEAST = 32 };
    const geometry g = geometry_of(s);
    const int channels = (g.blocks_c + 2 * strips_of(s->k)) * LANES;
    const int fit = GROUP_BYTES / ((int)sizeof(float) * g.places * channels);
    const int share = (g.tiles + s->threads - 1) / s->threads;
    return rounded_up(min_int(fit > LEAST ? fit : LEAST, share), MICRO_ROWS);
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
        const int first = i * size, n = min_int(size, g.tiles - first);
        float *own = (float *)scratch + thread_floats(s) * (size_t)omp_get_thread_num();
        const group v = group_of(own, size, g.blocks_c);
        const group m = group_of(own + group_floats(&g, size, g.blocks_c), size, 2 * strips_of(s->k));
        const int multiplied = rounded_up(n, MICRO_ROWS);
        transform_group(s, &g, INPUT, x, first, multiplied, v);
        multiply_group(s, g.places, multiplied, v, u, m);
        if (s->type == F32)
            output_typed(s, &g, first, n, m, after, y, far, F32);
        else
            output_typed(s, &g, first, n, m, after, y, far, BF16);
    }
}

/* ---- gradient of the weights ----
 * One share of the work is a pair: a block of channels of x and a strip of dy. Its sums, over the tiles, stay in the
 * nearest cache: LANES x MICRO_COLUMNS of each place. */

enum {
    GRADIENT_ROWS = LANES == 16 ? 8 : 4,        /* divides a block */
    SUMS_MATRIX = LANES * MICRO_COLUMNS + LANES /* floats from one place to the next */
};

/* Where the sums are small, each thread has its own of all pairs, over some of the tiles. Else all threads are at one
 * group: each transforms some of its tiles, then multiplies some of its pairs. */
typedef struct gradient_plan {
    bool together;
    int size;            /* tiles of a group */
    bool at_once;        /* one group holds all tiles: a thread needs the sums of one pair only */
    size_t groups, sums; /* floats of V and W; of sums, one thread's if not together */
} gradient_plan;

static gradient_plan plan_gradient(const winograd *s)
{
    enum { SMALL_SUMS = 4 << 20, GROUP_BYTES = 512 << 10, LEAST = 32, LEAST_TOGETHER = 256 };
    const geometry g = geometry_of(s);
    const int strips = strips_of(s->k), rows = g.blocks_c * LANES;
    const int fit = GROUP_BYTES / ((int)sizeof(float) * g.places * (rows + strips * MICRO_COLUMNS));
    const size_t pair = (size_t)(g.places * SUMS_MATRIX), pairs = (size_t)(g.blocks_c * strips);
    gradient_plan p = { .together = pair * pairs * sizeof(float) > SMALL_SUMS };
    p.size = p.together ? LEAST_TOGETHER : fit > LEAST ? fit : LEAST;
    if (p.size > g.tiles) p.size = g.tiles;
    p.at_once = p.together && p.size == g.tiles;
    p.groups = (size_t)(g.places * (panels_of(NULL, p.size, g.blocks_c, 1).matrix +
                                    panels_of(NULL, p.size, 2 * strips, 2).matrix));
    p.sums = pair * (p.at_once ? (size_t)s->threads : pairs);
    return p;
}

size_t winograd_gradient_scratch_bytes(const winograd *s)
{
    const gradient_plan p = plan_gradient(s);
    return sizeof(float) * (p.groups + p.sums) * (size_t)(p.together ? 1 : s->threads);
}

/* One gradient, and where it is computed. */
typedef struct gradient {
    const winograd *s;
    const geometry *g;
    const gradient_plan *p;
    group v, w;
    float *sums;
} gradient;

static gradient gradient_in(float *scratch, const winograd *s, const geometry *g, const gradient_plan *p)
{
    const group v = panels_of(scratch, p->size, g->blocks_c, 1);
    return (gradient){ .s = s,
                       .g = g,
                       .p = p,
                       .v = v,
                       .w = panels_of(scratch + g->places * v.matrix, p->size, 2 * strips_of(s->k), 2),
                       .sums = scratch + p->groups };
}

static float *sums_of(const gradient *h, int strip, int block)
{
    const int pair = h->p->at_once ? omp_get_thread_num() : strip * h->g->blocks_c + block;
    return h->sums + (int64_t)pair * h->g->places * SUMS_MATRIX;
}

/* sums[place][c][k] = or += V^T x W over so many tiles. */
static void multiply_pair(const gradient *h, int tiles, int strip, int block, bool add, float *sums)
{
    const bool half = 2 * strip + 1 == h->g->blocks_k; /* an odd number of blocks */
    micro_factors f = { .row_step = h->v.row, .strip_step = h->w.row, .depth = tiles };
    for (int place = 0; place < h->g->places; place++)
        for (int c = 0; c < LANES; c += GRADIENT_ROWS) {
            float *to = sums + place * SUMS_MATRIX + c * MICRO_COLUMNS;
            const float *v = group_block(&h->v, 0, block) + place * h->v.matrix + c;
            f.strip = (const uint32_t *)(group_block(&h->w, 0, 2 * strip) + place * h->w.matrix);
            for (int i = 0; i < GRADIENT_ROWS; i++) f.row[i] = (const uint32_t *)(v + i);
            if (half)
                micro_multiply(&f, GRADIENT_ROWS, 1, F32, add, to, MICRO_COLUMNS);
            else
                micro_multiply(&f, GRADIENT_ROWS, 2, F32, add, to, MICRO_COLUMNS);
        }
}

/* dw of a block of channels of x and one of dy: G^T dU G, dU the sum of `parts` that are `stride` floats apart. */
static void store_filters(const gradient *h, const float *sums, int parts, size_t stride, int block_c,
                          int block_k, float *dw)
{
    enum { WEIGHTS = FILTER * FILTER };
    const winograd *s = h->s;
    const int first = block_c * LANES, channels = min_int(LANES, s->c - first);
    float of[LANES][LANES * WEIGHTS]; /* of each output channel, as they follow each other in dw */
    for (int c = 0; c < channels; c++) {
        vec filter[WEIGHTS];
        if (h->g->tile == 2)
            transform_filter_gradient(2, sums + c * MICRO_COLUMNS, SUMS_MATRIX, parts, stride, filter);
        else
            transform_filter_gradient(4, sums + c * MICRO_COLUMNS, SUMS_MATRIX, parts, stride, filter);
        for (int i = 0; i < WEIGHTS; i++)
            for (int l = 0; l < LANES; l++) of[l][c * WEIGHTS + i] = filter[i][l];
    }
    for (int l = 0; l < LANES && block_k * LANES + l < s->k; l++)
        memcpy(dw + ((int64_t)(block_k * LANES + l) * s->c + first) * WEIGHTS, of[l],
               sizeof(float) * (size_t)(channels * WEIGHTS));
}

static void store_pair(const gradient *h, const float *sums, int parts, size_t stride, int strip, int block,
                       float *dw)
{
    for (int b = 2 * strip; b < 2 * strip + 2 && b < h->g->blocks_k; b++)
        store_filters(h, sums + b % 2 * LANES, parts, stride, block, b, dw);
}

/* All tiles by all threads. */
static void gradient_together(const gradient *h, const void *x, const void *dy, float *dw)
{
    const winograd *s = h->s;
    const geometry *g = h->g;
    const int parts = s->threads, strips = strips_of(s->k);
    for (int t = 0; t < g->tiles; t += h->p->size) {
        const int n = min_int(h->p->size, g->tiles - t);
#pragma omp parallel num_threads(parts)
        {
#pragma omp for schedule(static, 1)
            for (int i = 0; i < parts; i++) {
                const int from = n * i / parts, to = n * (i + 1) / parts;
                transform_group(s, g, INPUT, x, t + from, to - from, group_from(h->v, from));
                transform_group(s, g, GRADIENT, dy, t + from, to - from, group_from(h->w, from));
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

/* Tiles [first, last) by one thread, which keeps the sums. */
static void sum_alone(const gradient *h, const void *x, const void *dy, int first, int last)
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
    const geometry g = geometry_of(s);
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
        sum_alone(&own, x, dy, (int)((int64_t)g.tiles * i / parts),
                  (int)((int64_t)g.tiles * (i + 1) / parts));
    }
#pragma omp parallel for collapse(2) schedule(static) num_threads(parts)
    for (int strip = 0; strip < strips; strip++)
        for (int block = 0; block < g.blocks_c; block++)
            store_pair(&h, sums_of(&h, strip, block), parts, stride, strip, block, dw);
}
