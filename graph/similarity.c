/* graph/similarity.c -- [Yang23] eq. 6 as matrix products of normalised rows, over tiles of the upper triangle.
 *
 *   tiles     0 1 2 3      A sweep costs n^2 dim / 2 multiply-accumulates and SIMILARITY_TILE^2 floats; the whole matrix
 *         0   x x x x      would cost twice as much and n^2 floats. The tiles are the same whether the rows come in one
 *         1     x x x      block or in several. So the products, and every number that follows from them, do not depend
 *         2       x x      on how much memory there is.
 *         3         x */
#include "similarity.h"

#include <math.h>
#include <stdlib.h>

enum { TILE_BYTES = SIMILARITY_TILE * SIMILARITY_TILE * sizeof(float) };

status similarity_open(similarity_sweep *s, backend *device, const similarity_consumer *consumers,
                       int n_consumers)
{
    status st = OK;
    *s = (similarity_sweep){ .device = device, .consumer = consumers, .n_consumers = n_consumers };
    void *tile;
    TRY(device->alloc(device, TILE_BYTES, &tile));
    s->tile = tile;
    if (device->host_memory)
        s->host = s->tile;
    else
        TRY_ALLOC(s->host, malloc(TILE_BYTES));
out:
    if (st != OK) similarity_close(s);
    return st;
}

void similarity_close(similarity_sweep *s)
{
    if (s->host != s->tile) free(s->host);
    if (s->tile) s->device->release(s->device, s->tile, TILE_BYTES);
    *s = (similarity_sweep){ 0 };
}

/* False if a value is not finite; the sum of squares of finite floats does not overflow a double. */
static bool normalise_row(float *x, int64_t dim, double *norm)
{
    double sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t k = 0; k < dim; k++) sum += (double)x[k] * x[k];
    if (!isfinite(sum)) return false;
    *norm = sqrt(sum);
    double scale = 1 / similarity_divisor(*norm);
    for (int64_t k = 0; k < dim; k++) x[k] = (float)(x[k] * scale);
    return true;
}

int similarity_normalise(float *x, int rows, int64_t dim, double *norm)
{
    int bad = rows;
#pragma omp parallel for reduction(min : bad) schedule(static)
    for (int r = 0; r < rows; r++) {
        double own;
        if (!normalise_row(x + r * dim, dim, norm ? &norm[r] : &own) && r < bad) bad = r;
    }
    return bad < rows ? bad : -1;
}

/* ---- rows of int8 ---- */

/* 46340^2 < 2^31, and rounding adds 0.5 * sqrt(dim) at most: 340 for SIMILARITY_INT8_DIM. */
static const double LONGEST = 46000;

/* False if a value is not finite. */
static bool round_row(const float *x, int64_t dim, int8_t *to, i8_scale *scale, double *norm)
{
    double squares = 0;
    float peak = 0;
    int64_t length = 0;
    int32_t sum = 0;
#pragma omp simd reduction(+ : squares) reduction(max : peak)
    for (int64_t k = 0; k < dim; k++) {
        squares += (double)x[k] * x[k];
        peak = fabsf(x[k]) > peak ? fabsf(x[k]) : peak;
    }
    if (!isfinite(squares)) return false;
    *norm = sqrt(squares);
    const float factor = *norm > 1e-30 ? (float)fmin(127 / (double)peak, LONGEST / *norm) : 0;
#pragma omp simd reduction(+ : length, sum)
    for (int64_t k = 0; k < dim; k++) {
        const int32_t value = (int32_t)rintf(x[k] * factor);
        to[k] = (int8_t)value;
        length += value * value;
        sum += value;
    }
    const double unit = *norm / similarity_divisor(*norm);
    *scale = (i8_scale){ length > 0 ? (float)(unit / sqrt((double)length)) : 0, sum };
    return true;
}

int similarity_round(const float *x, int rows, int64_t dim, int8_t *to, i8_scale *scale, double *norm)
{
    int bad = rows;
#pragma omp parallel for reduction(min : bad) schedule(static)
    for (int r = 0; r < rows; r++)
        if (!round_row(x + r * dim, dim, to + r * dim, &scale[r], &norm[r]) && r < bad) bad = r;
    return bad < rows ? bad : -1;
}

/* ---- tiles of rows ---- */

/* Rows of the tile that begins with row `from`. */
static int tile_rows(const similarity_rows *m, int from)
{
    return m->rows - from < SIMILARITY_TILE ? m->rows - from : SIMILARITY_TILE;
}

static const void *row_of(const similarity_rows *m, int row, int64_t dim)
{
    return (const char *)m->x + row * dim * (int64_t)dtype_bytes(m->type);
}

/* ---- products of one shape, for devices where another shape may round differently ---- */

/* A product takes SIMILARITY_TILE rows if that many fit in the room. At the end they begin before the tile. */
static int product_rows(const similarity_rows *m)
{
    return m->room < SIMILARITY_TILE ? m->room : SIMILARITY_TILE;
}

static int product_from(const similarity_rows *m, int from)
{
    int last = m->room - product_rows(m);
    return from < last ? from : last;
}

/* *offset: where the tile begins in s->tile, which may hold more. */
static status multiply_whole(similarity_sweep *s, const similarity_rows *a, int i, const similarity_rows *b,
                             int j, int64_t dim, int *offset)
{
    const int row = product_from(a, i), col = product_from(b, j);
    *offset = (i - row) * SIMILARITY_TILE + (j - col);
    return s->device->products->product(s->device, a->type, product_rows(a), product_rows(b), dim,
                                        row_of(a, row, dim), dim, row_of(b, col, dim), dim, false, s->tile,
                                        SIMILARITY_TILE);
}

/* ---- tiles ---- */

static bool is_wanted(const similarity_consumer *k, const similarity_tile *t)
{
    return !k->wants || k->wants(k->ctx, t);
}

/* Gives the tile at `offset` of the product to the consumers. It is copied to the host only if one needs it there. */
static status give(similarity_sweep *s, similarity_tile *t, int rows_made, int offset)
{
    status st = OK;
    backend *d = s->device;
    const size_t bytes = (size_t)rows_made * SIMILARITY_TILE * sizeof(float);
    bool there = d->host_memory;
    for (int k = 0; k < s->n_consumers; k++) {
        const similarity_consumer *consumer = &s->consumer[k];
        if (!is_wanted(consumer, t)) continue;
        if (!consumer->on_device && !there) {
            TRY(d->download(d, s->host, s->tile, bytes));
            there = true;
        }
        t->sim = (consumer->on_device ? s->tile : s->host) + offset;
        TRY(consumer->take(consumer->ctx, t));
    }
out:
    return st;
}

static i8_rows i8_rows_from(const similarity_rows *m, int row, int64_t dim)
{
    return (i8_rows){ row_of(m, row, dim), dim, m->scale + row };
}

/* The tile whose rows begin at a[i] and whose columns begin at b[j]. */
static status compute_tile(similarity_sweep *s, const similarity_rows *a, int i, const similarity_rows *b,
                           int j, int64_t dim)
{
    status st = OK;
    backend *d = s->device;
    similarity_tile t = { a->first + i, b->first + j, tile_rows(a, i), tile_rows(b, j), NULL };
    int offset = 0;
    if (a->type == I8)
        TRY(d->products->product_i8(d, t.rows, t.cols, dim, i8_rows_from(a, i, dim), i8_rows_from(b, j, dim),
                                    t.row0 == t.col0, s->tile, SIMILARITY_TILE));
    else if (d->products->one_shape)
        TRY(multiply_whole(s, a, i, b, j, dim, &offset));
    else
        TRY(d->products->product(d, a->type, t.rows, t.cols, dim, row_of(a, i, dim), dim, row_of(b, j, dim),
                                 dim, t.row0 == t.col0, s->tile, SIMILARITY_TILE));
    TRY(give(s, &t, product_rows(a), offset));
out:
    return st;
}

status similarity_triangle(similarity_sweep *s, similarity_rows m, int64_t dim)
{
    status st = OK;
    for (int i = 0; i < m.rows; i += SIMILARITY_TILE) {
        for (int j = i; j < m.rows; j += SIMILARITY_TILE) TRY(compute_tile(s, &m, i, &m, j, dim));
    }
out:
    return st;
}

status similarity_rectangle(similarity_sweep *s, similarity_rows a, similarity_rows b, int64_t dim)
{
    status st = OK;
    for (int i = 0; i < a.rows; i += SIMILARITY_TILE) {
        for (int j = 0; j < b.rows; j += SIMILARITY_TILE) TRY(compute_tile(s, &a, i, &b, j, dim));
    }
out:
    return st;
}
