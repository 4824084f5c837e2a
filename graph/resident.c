/* graph/resident.c -- the list of candidates is read after 1, 2, 4 and 8 tiles, and then after every 8. Each time the
 * threshold rises (edges.c), and the device picks fewer candidates afterwards. */
#include "resident.h"
#include "../core/base/minmax.h"

#include <stdlib.h>

enum { PATIENCE = 8, CHUNK = 1 << 16 };
static const int64_t LIST_ROOM = (int64_t)PATIENCE * SIMILARITY_TILE * SIMILARITY_TILE;

static size_t list_bytes(void)
{
    return (size_t)LIST_ROOM * sizeof(device_pair);
}

static size_t wanted_bytes(const resident *r)
{
    return (size_t)r->positions * sizeof(int32_t);
}

static const size_t count_bytes = (HISTOGRAM_BINS + 1) * sizeof(int64_t);

static status alloc_all(resident *r)
{
    status st = OK;
    backend *d = r->device;
    void *p;
    TRY(d->alloc(d, count_bytes, &p));
    r->count = p;
    TRY(d->alloc(d, wanted_bytes(r), &p));
    r->wanted = p;
    TRY(d->alloc(d, list_bytes(), &p));
    r->list = p;
    TRY(d->alloc(d, sizeof *r->n, &p));
    r->n = p;
    TRY_ALLOC(r->chunk, malloc(CHUNK * sizeof *r->chunk));
out:
    return st;
}

status resident_open(resident *r, backend *device, histogram *h, edge_top *top, int positions)
{
    status st = OK;
    *r = (resident){ .histogram = h, .top = top, .positions = positions, .patience = 1 };
    const backend_products *s = device->products;
    if (!s->count_tile || !s->pick_from_tile) goto out;
    r->device = device;
    histogram_begins(r->begin);
    TRY(alloc_all(r));
    TRY(device->upload(device, r->wanted, top->vertex, wanted_bytes(r)));
out:
    if (st != OK) resident_close(r);
    return st;
}

void resident_close(resident *r)
{
    backend *d = r->device;
    if (r->count) d->release(d, r->count, count_bytes);
    if (r->wanted) d->release(d, r->wanted, wanted_bytes(r));
    if (r->list) d->release(d, r->list, list_bytes());
    if (r->n) d->release(d, r->n, sizeof *r->n);
    free(r->chunk);
    *r = (resident){ 0 };
}

static device_tile tile_there(const similarity_tile *t)
{
    return (device_tile){ t->sim, SIMILARITY_TILE, t->row0, t->col0, t->rows, t->cols };
}

bool resident_wants_histogram(void *ctx, const similarity_tile *t)
{
    const resident *r = ctx;
    return t->row0 < r->histogram->limit && t->col0 < r->histogram->limit;
}

status resident_take_histogram(void *ctx, const similarity_tile *t)
{
    resident *r = ctx;
    device_tile tile = tile_there(t);
    tile.rows = min_int(tile.rows, r->histogram->limit - t->row0);
    tile.cols = min_int(tile.cols, r->histogram->limit - t->col0);
    return r->device->products->count_tile(r->device, &tile, r->begin, HISTOGRAM_BINS, r->count);
}

/* Empties the list. */
static status read_list(resident *r)
{
    status st = OK;
    backend *d = r->device;
    const int64_t none = 0;
    int64_t n;
    TRY(d->download(d, &n, r->n, sizeof n));
    for (int64_t i = 0; i < n; i += CHUNK) {
        const int64_t piece = n - i < CHUNK ? n - i : CHUNK;
        TRY(d->download(d, r->chunk, r->list + i, (size_t)piece * sizeof *r->chunk));
        for (int64_t k = 0; k < piece; k++)
            edge_top_add(r->top, r->chunk[k].row, r->chunk[k].col, r->chunk[k].value);
    }
    TRY(d->upload(d, r->n, &none, sizeof none));
    r->bound = 0;
    r->tiles = 0;
out:
    return st;
}

status resident_take_edges(void *ctx, const similarity_tile *t)
{
    status st = OK;
    resident *r = ctx;
    const device_tile tile = tile_there(t);
    const int64_t most = (int64_t)t->rows * t->cols;
    if (r->tiles >= r->patience || r->bound + most > LIST_ROOM) {
        TRY(read_list(r));
        r->patience = min_int(2 * r->patience, PATIENCE);
    }
    TRY(r->device->products->pick_from_tile(r->device, &tile, r->wanted, edge_top_least(r->top), r->list,
                                            r->n));
    r->bound += most;
    r->tiles++;
out:
    return st;
}

status resident_finish(resident *r)
{
    status st = OK;
    int64_t count[HISTOGRAM_BINS + 1];
    const int64_t zero[HISTOGRAM_BINS + 1] = { 0 };
    if (!r->device) goto out;
    TRY(read_list(r));
    r->patience = 1;
    TRY(r->device->download(r->device, count, r->count, count_bytes));
    TRY(r->device->upload(r->device, r->count, zero, count_bytes));
    histogram_add(r->histogram, count, count[HISTOGRAM_BINS]);
out:
    return st;
}
