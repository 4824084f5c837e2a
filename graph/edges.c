/* graph/edges.c -- the |E| most similar pairs, exactly, in memory for about 2 |E|; and the k nearest of each row.
 *
 * Candidates are collected in a buffer. When it holds more than 2 |E|, or has no space for the next tile, quickselect
 * moves the first |E| to the front, and the last of these becomes the threshold for later candidates. The order is
 * total (similarity, then i, then j), so the result does not depend on the order in which the pairs come. */
#include "edges.h"

#include "../core/base/minmax.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool edge_before(const edge *a, const edge *b)
{
    if (a->sim != b->sim) return a->sim > b->sim;
    return a->i != b->i ? a->i < b->i : a->j < b->j;
}

static int edge_compare(const void *a, const void *b)
{
    return edge_before(a, b) ? -1 : edge_before(b, a) ? 1 : 0;
}

/* Reorders e so that the first `k` in the order are at the front, the last of them at e[k - 1]:
 * quickselect [Hoare61]. The pivots come from a fixed pseudo-random sequence. */
static void edge_select(edge *e, int64_t n, int64_t k)
{
    int64_t lo = 0, hi = n - 1, target = k - 1;
    uint64_t random = 88172645463325252u;
    while (lo < hi) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        edge pivot = e[lo + (int64_t)((random >> 33) % (uint64_t)(hi - lo + 1))];
        int64_t i = lo, j = hi;
        while (i <= j) {
            while (edge_before(&e[i], &pivot)) i++;
            while (edge_before(&pivot, &e[j])) j--;
            if (i <= j) {
                edge swap = e[i];
                e[i++] = e[j];
                e[j--] = swap;
            }
        }
        if (target <= j)
            hi = j;
        else if (target >= i)
            lo = i;
        else
            return;
    }
}

static int64_t pair_count(int vertices)
{
    return (int64_t)vertices * (vertices - 1) / 2;
}

static int64_t top_capacity(int64_t want, int vertices)
{
    int64_t pairs = pair_count(vertices), most = want + (int64_t)SIMILARITY_TILE * SIMILARITY_TILE;
    if (want > pairs / 2 || most + want > pairs) return pairs;
    return most + want;
}

size_t edge_top_bytes(int64_t want, int vertices)
{
    return (size_t)top_capacity(want, vertices) * sizeof(edge);
}

status edge_top_open(edge_top *t, int64_t want, int vertices, const int32_t *vertex)
{
    status st = OK;
    int64_t pairs = pair_count(vertices);
    *t = (edge_top){ .want = want < pairs ? want : pairs, .vertex = vertex };
    t->capacity = top_capacity(t->want, vertices);
    TRY_ALLOC(t->edge, malloc((size_t)(t->capacity + 1) * sizeof(edge)));
out:
    return st;
}

void edge_top_close(edge_top *t)
{
    free(t->edge);
    *t = (edge_top){ 0 };
}

static void top_shrink(edge_top *t)
{
    if (t->n <= t->want) return;
    if (t->want > 0) {
        edge_select(t->edge, t->n, t->want);
        t->last = t->edge[t->want - 1];
        t->raised = true;
    }
    t->n = t->want;
}

/* The members among a tile's columns. */
typedef struct tile_columns {
    int n, column[SIMILARITY_TILE];
    int32_t vertex[SIMILARITY_TILE];
} tile_columns;

static void find_columns(const edge_top *t, const similarity_tile *tile, tile_columns *out)
{
    out->n = 0;
    for (int c = 0; c < tile->cols; c++) {
        int32_t v = t->vertex[tile->col0 + c];
        if (v < 0) continue;
        out->column[out->n] = c;
        out->vertex[out->n++] = v;
    }
}

enum { STRIDE = 32 };

static bool any_not_below(const float *sim, int n, float least)
{
    int found = 0;
#pragma omp simd reduction(| : found)
    for (int c = 0; c < n; c++) found |= sim[c] >= least;
    return found;
}

/* Counts the pairs of row r that may become edges and, if `out` is given, writes them there. */
static int scan_row(const edge_top *t, const similarity_tile *tile, const tile_columns *columns, int r,
                    edge *out)
{
    int32_t i = t->vertex[tile->row0 + r];
    if (i < 0) return 0;
    const float *sim = tile->sim + r * SIMILARITY_TILE;
    int n = 0, from = similarity_tile_from(tile, r);
    for (int c0 = 0; c0 < columns->n; c0 += STRIDE) {
        const int c1 = c0 + STRIDE < columns->n ? c0 + STRIDE : columns->n, first = columns->column[c0];
        /* Most similarities are far below the threshold: skip them, a vector at a time. */
        if (t->raised && !any_not_below(sim + first, columns->column[c1 - 1] - first + 1, t->last.sim))
            continue;
        for (int c = c0; c < c1; c++) {
            if (columns->column[c] < from) continue;
            edge e = { i, columns->vertex[c], sim[columns->column[c]] };
            if (t->raised && (e.sim < t->last.sim || !edge_before(&e, &t->last))) continue;
            if (out) out[n] = e;
            n++;
        }
    }
    return n;
}

/* begin[r]: where the candidates of row r go, behind those of earlier tiles. */
static void place_rows(const edge_top *t, const similarity_tile *tile, const tile_columns *columns,
                       int64_t *begin)
{
    begin[0] = t->n;
#pragma omp parallel for schedule(dynamic, 16)
    for (int r = 0; r < tile->rows; r++) begin[r + 1] = scan_row(t, tile, columns, r, NULL);
    for (int r = 0; r < tile->rows; r++) begin[r + 1] += begin[r];
}

status edge_top_take(void *ctx, const similarity_tile *tile)
{
    edge_top *t = ctx;
    tile_columns columns;
    int64_t begin[SIMILARITY_TILE + 1];
    /* Shrinking for every tile would move the same candidates many times; shrinking late would let in many candidates
     * that cannot become edges. */
    if (t->n > 2 * t->want) top_shrink(t);
    find_columns(t, tile, &columns);
    place_rows(t, tile, &columns, begin);
    if (begin[tile->rows] > t->capacity) { /* not if the buffer has space for every pair */
        top_shrink(t);
        place_rows(t, tile, &columns, begin);
    }
#pragma omp parallel for schedule(dynamic, 16)
    for (int r = 0; r < tile->rows; r++) {
        if (begin[r + 1] > begin[r]) scan_row(t, tile, &columns, r, t->edge + begin[r]);
    }
    t->n = begin[tile->rows];
    return OK;
}

void edge_top_add(edge_top *t, int row, int col, float sim)
{
    const edge e = { t->vertex[row], t->vertex[col], sim };
    if (e.i < 0 || e.j < 0 || (t->raised && !edge_before(&e, &t->last))) return;
    if (t->n == t->capacity) top_shrink(t); /* not if the buffer has space for every pair */
    t->edge[t->n++] = e;
}

float edge_top_least(edge_top *t)
{
    top_shrink(t);
    return t->raised ? t->last.sim : -INFINITY;
}

status edge_top_finish(edge_top *t, edge_list *out)
{
    status st = OK;
    edge *sorted;
    top_shrink(t);
    TRY_ALLOC(sorted, malloc((size_t)(t->n + 1) * sizeof(edge)));
    memcpy(sorted, t->edge, (size_t)t->n * sizeof(edge));
    qsort(sorted, (size_t)t->n, sizeof(edge), edge_compare);
    *out = (edge_list){ t->n, sorted };
    t->n = 0;
    t->raised = false;
out:
    return st;
}

/* ---- the k nearest of each row within its batch: [Lu22], docs/definitions.md ---- */

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

/* Each row begins with its zero diagonal, which competes like any other entry. A free place comes after every entry. */
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

bool nearest_wants(void *ctx, const similarity_tile *t)
{
    const nearest *n = ctx;
    const int end = n->batch * n->batches, last_row = min_int(t->row0 + t->rows, end) - 1;
    /* Columns do not come before rows: of all rows, the batch of the last one extends furthest. */
    return t->row0 < end && t->col0 < end && t->col0 / n->batch <= last_row / n->batch;
}

/* A pair is an entry of both its rows. First the rows of the tile, then its columns: so each thread writes only rows of
 * its own. */
status nearest_take(void *ctx, const similarity_tile *t)
{
    nearest *n = ctx;
    int end = n->batch * n->batches, row_end = min_int(t->row0 + t->rows, end);
    int col_end = min_int(t->col0 + t->cols, end);
#pragma omp parallel for schedule(dynamic, 16)
    for (int i = t->row0; i < row_end; i++) {
        int first = i / n->batch * n->batch, last = min_int(col_end, first + n->batch);
        const float *sim = t->sim + (i - t->row0) * SIMILARITY_TILE;
        for (int j = max_int(t->col0, i + 1); j < last; j++)
            insert(n->neighbour + (size_t)i * n->k, n->k, (neighbour){ j - first, sim[j - t->col0] });
    }
#pragma omp parallel for schedule(dynamic, 16)
    for (int j = t->col0; j < col_end; j++) {
        int first = j / n->batch * n->batch, last = min_int(row_end, j);
        for (int i = max_int(t->row0, first); i < last; i++) {
            float sim = t->sim[(i - t->row0) * SIMILARITY_TILE + j - t->col0];
            insert(n->neighbour + (size_t)j * n->k, n->k, (neighbour){ i - first, sim });
        }
    }
    return OK;
}

neighbour_list nearest_batch(const nearest *n, int batch)
{
    return (neighbour_list){ n->k, n->neighbour + (size_t)batch * n->batch * n->k };
}
