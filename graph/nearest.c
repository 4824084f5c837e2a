/* graph/nearest.c -- each row's k nearest within its batch, [Lu22], docs/definitions.md. */
#include "../core/base/minmax.h"
#include "edges.h"

#include <math.h>
#include <stdlib.h>

status nearest_open(nearest *n, int k, int batch, int batches)
{
    status st = OK;
    *n = (nearest){ .k = k, .batch = batch, .batches = batches };
    TRY_ALLOC(n->neighbour, malloc(((size_t)batch * batches * k + 1) * sizeof(neighbour)));
    nearest_clear(n);
out:
    return st;
}

void nearest_close(nearest *n)
{
    free(n->neighbour);
    *n = (nearest){ 0 };
}

/* Each row begins with its zero diagonal, which competes like any other entry; a free place comes after
 * every entry. */
void nearest_clear(nearest *n)
{
    for (int row = 0; row < n->batch * n->batches; row++) {
        neighbour *kept = n->neighbour + (size_t)row * n->k;
        kept[0] = (neighbour){ row % n->batch, 0 };
        for (int p = 1; p < n->k; p++) kept[p] = (neighbour){ -1, -INFINITY };
    }
}

static bool comes_before(neighbour a, neighbour b)
{
    return a.sim != b.sim ? a.sim > b.sim : a.j < b.j;
}

static void insert(neighbour *kept, int k, neighbour e)
{
    if (!comes_before(e, kept[k - 1])) return;
    int p = k - 1;
    for (; p > 0 && comes_before(e, kept[p - 1]); p--) kept[p] = kept[p - 1];
    kept[p] = e;
}

bool nearest_wants(void *ctx, const gram_tile *t)
{
    const nearest *n = ctx;
    const int end = n->batch * n->batches, last_row = min_int(t->row0 + t->rows, end) - 1;
    /* Columns come after rows: the last row's batch is the one that reaches furthest. */
    return t->row0 < end && t->col0 < end && t->col0 / n->batch <= last_row / n->batch;
}

/* A pair serves both its rows. Rows and columns take turns, so that each thread writes only rows of its own.
 */
status nearest_take(void *ctx, const gram_tile *t)
{
    nearest *n = ctx;
    int end = n->batch * n->batches, row_end = min_int(t->row0 + t->rows, end);
    int col_end = min_int(t->col0 + t->cols, end);
#pragma omp parallel for schedule(dynamic, 16)
    for (int i = t->row0; i < row_end; i++) {
        int first = i / n->batch * n->batch, last = min_int(col_end, first + n->batch);
        const float *sim = t->sim + (i - t->row0) * GRAM_TILE;
        for (int j = max_int(t->col0, i + 1); j < last; j++)
            insert(n->neighbour + (size_t)i * n->k, n->k, (neighbour){ j - first, sim[j - t->col0] });
    }
#pragma omp parallel for schedule(dynamic, 16)
    for (int j = t->col0; j < col_end; j++) {
        int first = j / n->batch * n->batch, last = min_int(row_end, j);
        for (int i = max_int(t->row0, first); i < last; i++) {
            float sim = t->sim[(i - t->row0) * GRAM_TILE + j - t->col0];
            insert(n->neighbour + (size_t)j * n->k, n->k, (neighbour){ i - first, sim });
        }
    }
    return OK;
}

neighbour_list nearest_batch(const nearest *n, int batch)
{
    return (neighbour_list){ n->k, n->neighbour + (size_t)batch * n->batch * n->k };
}
