/* graph/gram.c -- [Yang23] eq. 6 as matrix products of normalised rows, over tiles of the upper triangle.
 *
 *   tiles     0 1 2 3      A sweep costs n^2 dim / 2 multiply-accumulates and GRAM_TILE^2 floats, where the
 *         0   x x x x      whole matrix would cost twice that and n^2 floats. Tile borders lie at the same
 *         1     x x x      positions whether the rows come in one block or in several, so the products, and
 *         2       x x      with them every number that follows, do not depend on the memory at hand.
 *         3         x */
#include "gram.h"

#include <math.h>
#include <stdlib.h>

enum { TILE_BYTES = GRAM_TILE * GRAM_TILE * sizeof(float) };

status gram_open(gram *g, backend *device, const gram_consumer *consumers, int n_consumers)
{
    status st = OK;
    *g = (gram){ .device = device, .consumer = consumers, .n_consumers = n_consumers };
    void *tile;
    TRY(device->alloc(device, TILE_BYTES, &tile));
    g->tile = tile;
    TRY_ALLOC(g->host, malloc(TILE_BYTES));
out:
    if (st != OK) gram_close(g);
    return st;
}

void gram_close(gram *g)
{
    if (g->tile) g->device->release(g->device, g->tile, TILE_BYTES);
    free(g->host);
    *g = (gram){ 0 };
}

/* False if a value is not finite: the sum of squares cannot overflow a double otherwise. */
static bool normalise_row(float *x, int64_t dim, double *norm)
{
    double sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t k = 0; k < dim; k++) sum += (double)x[k] * x[k];
    if (!isfinite(sum)) return false;
    *norm = sqrt(sum);
    double scale = 1 / fmax(*norm, 1e-8);
    for (int64_t k = 0; k < dim; k++) x[k] = (float)(x[k] * scale);
    return true;
}

int gram_normalise(float *x, int rows, int64_t dim, double *norm)
{
    int bad = rows;
#pragma omp parallel for reduction(min : bad) schedule(static)
    for (int r = 0; r < rows; r++) {
        double own;
        if (!normalise_row(x + r * dim, dim, norm ? &norm[r] : &own) && r < bad) bad = r;
    }
    return bad < rows ? bad : -1;
}

static int tile_size(int rows, int from)
{
    return rows - from < GRAM_TILE ? rows - from : GRAM_TILE;
}

static status show_tile(gram *g, const float *a, const float *b, int64_t dim, gram_tile t)
{
    status st = OK;
    backend *d = g->device;
    TRY(d->gemm_nt(d, t.rows, t.cols, dim, a, dim, b, dim, g->tile, GRAM_TILE));
    TRY(d->download(d, g->host, g->tile, (size_t)t.rows * GRAM_TILE * sizeof(float)));
    t.sim = g->host;
    for (int i = 0; i < g->n_consumers; i++) TRY(g->consumer[i].take(g->consumer[i].ctx, &t));
out:
    return st;
}

status gram_triangle(gram *g, const float *x, int rows, int64_t dim, int first)
{
    status st = OK;
    for (int i = 0; i < rows; i += GRAM_TILE) {
        for (int j = i; j < rows; j += GRAM_TILE) {
            gram_tile t = { first + i, first + j, tile_size(rows, i), tile_size(rows, j), NULL };
            TRY(show_tile(g, x + i * dim, x + j * dim, dim, t));
        }
    }
out:
    return st;
}

status gram_rectangle(gram *g, const float *a, int rows_a, int first_a, const float *b, int rows_b,
                      int first_b, int64_t dim)
{
    status st = OK;
    for (int i = 0; i < rows_a; i += GRAM_TILE) {
        for (int j = 0; j < rows_b; j += GRAM_TILE) {
            gram_tile t = { first_a + i, first_b + j, tile_size(rows_a, i), tile_size(rows_b, j), NULL };
            TRY(show_tile(g, a + i * dim, b + j * dim, dim, t));
        }
    }
out:
    return st;
}
