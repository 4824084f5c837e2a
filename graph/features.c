/* graph/features.c -- taps -> matrices, and which matrices fit in memory together. */
#include "features.h"

#include "../core/base/stop.h"
#include "../nets/run.h"
#include "../nets/tap.h"
#include "similarity.h"

#include <stdlib.h>
#include <string.h>

static size_t matrix_bytes(const feature_matrix *m)
{
    return (size_t)m->room * (size_t)m->dim * dtype_bytes(m->type);
}

status feature_matrix_open(feature_matrix *m, backend *device, dtype type, int room, int64_t dim)
{
    status st = OK;
    void *x;
    *m = (feature_matrix){ .device = device, .room = room, .dim = dim, .type = type };
    TRY(device->alloc(device, matrix_bytes(m), &x));
    m->x = x;
    TRY_ALLOC(m->norm, calloc((size_t)room + 1, sizeof *m->norm));
    TRY_ALLOC(m->scale, calloc((size_t)room + 1, sizeof *m->scale));
out:
    if (st != OK) feature_matrix_close(m);
    return st;
}

void feature_matrix_close(feature_matrix *m)
{
    if (m->x) m->device->release(m->device, m->x, matrix_bytes(m));
    free(m->norm);
    free(m->scale);
    *m = (feature_matrix){ 0 };
}

void *feature_row(const feature_matrix *m, int row)
{
    return (char *)m->x + (size_t)row * (size_t)m->dim * dtype_bytes(m->type);
}

static void round_values(const float *x, int64_t n, uint16_t *out)
{
#pragma omp parallel for simd schedule(static)
    for (int64_t i = 0; i < n; i++) out[i] = bf16_from(x[i]);
}

/* If the device has memory of its own, the rounded copy lies behind the values. */
size_t feature_stage_bytes(int64_t values, dtype type)
{
    return (size_t)values * (sizeof(float) + (type == F32 ? 0 : dtype_bytes(type)));
}

static status reserve_stage(features *f, size_t bytes)
{
    status st = OK;
    if (bytes <= f->stage_bytes) return OK;
    free(f->stage);
    f->stage_bytes = 0;
    TRY_ALLOC(f->stage, malloc(bytes));
    f->stage_bytes = bytes;
out:
    return st;
}

/* Writes n normalised rows of the matrix's type to `to`. `rows` is overwritten. Norms and scales go behind those of the
 * rows that the matrix has. Returns what similarity_normalise returns. */
static int make_rows(feature_matrix *m, float *rows, int n, void *to)
{
    if (m->type == I8) return similarity_round(rows, n, m->dim, to, m->scale + m->rows, m->norm + m->rows);
    const int bad = similarity_normalise(rows, n, m->dim, m->norm + m->rows);
    if (m->type == BF16) round_values(rows, n * m->dim, to);
    return bad;
}

/* Normalises the rows of this batch on the host and appends them to the matrix; *bad as similarity_normalise. */
static status normalise_here(feature_tap *t, const tap_view *v, int *bad)
{
    status st = OK;
    feature_matrix *m = t->into;
    const int64_t values = v->rows * t->dim;
    const bool here = m->device->host_memory;
    void *to = feature_row(m, m->rows);
    float *rows = to;
    if (!here || m->type != F32) {
        TRY(reserve_stage(t->owner, feature_stage_bytes(shape_count(v->shape), m->type)));
        rows = t->owner->stage;
    }
    void *made = m->type == F32 ? rows : here ? to : rows + values;
    TRY(tap_read(v, rows));
    *bad = make_rows(m, rows, v->rows, made);
    if (!here) TRY(m->device->upload(m->device, to, made, (size_t)values * dtype_bytes(m->type)));
out:
    return st;
}

/* The same on the device: only the norms are copied to the host. */
static status normalise_there(feature_tap *t, const tap_view *v, int *bad)
{
    feature_matrix *m = t->into;
    return v->device->products->normalise_rows(v->device, v->value, v->shape, v->type, v->rows, m->type,
                                               feature_row(m, m->rows), m->norm + m->rows, bad);
}

/* A tap_fn. */
static status take_rows(void *ctx, const tap_view *v)
{
    status st = OK;
    feature_tap *t = ctx;
    feature_matrix *m = t->into;
    int bad = -1;
    t->owner->device = v->device;
    if (!m) return OK;
    if (m->rows + v->rows > m->room) FAIL(ERR_RUNTIME, "%s: more than %d rows", t->name, m->room);
    TRY(v->device->products->normalise_rows ? normalise_there(t, v, &bad) : normalise_here(t, v, &bad));
    if (bad >= 0) FAIL(ERR_DIVERGED, "%s: activations of row %d are not finite", t->name, m->rows + bad);
    m->rows += v->rows;
out:
    return st;
}

status features_open(net *n, hook_set set, features **out)
{
    status st = OK;
    features *f = NULL;
    int n_hooks;
    const net_hook *hook = net_hooks(n, &n_hooks);
    TRY_ALLOC(f, calloc(1, sizeof *f));
    f->net = n;
    TRY_ALLOC(f->tap, calloc((size_t)n_hooks + 1, sizeof *f->tap));
    for (int h = 0; h < n_hooks; h++) {
        if (!(hook[h].sets & 1u << set)) continue;
        feature_tap *t = &f->tap[f->n++];
        t->dim = hook[h].dim;
        t->macs = hook[h].macs;
        t->owner = f;
        memcpy(t->name, hook[h].name, sizeof t->name);
        TRY(net_tap(n, t->name, take_rows, t));
    }
    if (f->n == 0) /* only lu2022 can be empty */
        FAIL(ERR_USAGE, "analysis.hooks: [Lu22] names no layers of %s for lu2022; block and conv are defined",
             net_arch(n));
    *out = f;
out:
    if (st != OK) features_close(f);
    return st;
}

void features_close(features *f)
{
    if (!f) return;
    free(f->tap);
    free(f->stage);
    free(f);
}

int64_t features_cost(const features *f, int l)
{
    return f->tap[l].macs / 1000000 + 1;
}

/* The last layer that has a matrix; -1: none. */
static int deepest(const features *f)
{
    int l = f->n - 1;
    while (l >= 0 && !f->tap[l].into) l--;
    return l;
}

static status run_batches(features *f, const feature_source *s)
{
    status st = OK;
    const int last = deepest(f);
    const int64_t cost = last < 0 ? net_macs(f->net) / 1000000 + 1 : features_cost(f, last);
    for (;;) {
        const batch *b;
        if (stop_requested()) FAIL(STOPPED, "%s: the analysis was left unfinished", stop_signal());
        TRY(loader_next(s->loader, &b));
        if (!b) break;
        TRY(net_input(f->net, s->eval_case, b->x, NULL, b->n));
        TRY(last < 0 ? net_forward(f->net, s->eval_case)
                     : net_forward_until(f->net, s->eval_case, f->tap[last].name));
        progress_update(s->bar, s->bar->done + b->n * cost, "activations");
    }
out:
    return st;
}

status features_read(features *f, const feature_source *s, const int *images, int n)
{
    status st = OK;
    for (int i = 0; i < f->n; i++) {
        if (f->tap[i].into) f->tap[i].into->rows = 0;
    }
    TRY(loader_start(s->loader, 0, 0, images, n));
    TRY(run_batches(f, s));
    for (int i = 0; i < f->n; i++) {
        const feature_tap *t = &f->tap[i];
        if (t->into && t->into->rows != n)
            FAIL(ERR_RUNTIME, "%s: %d rows from %d images", t->name, t->into->rows, n);
    }
out:
    return st;
}

/* ---- groups of layers ---- */

/* How many rows fit beside one tile of rows that stream by; the layer does not fit if there are fewer than
 * SIMILARITY_TILE. */
static int64_t block_rows(int64_t row_bytes, int64_t bytes)
{
    int64_t fit = bytes / row_bytes - SIMILARITY_TILE;
    return fit / SIMILARITY_TILE * SIMILARITY_TILE;
}

status features_group(const int64_t *dim, int n, int rows, size_t value_bytes, int64_t bytes,
                      feature_group *out, int *n_groups)
{
    status st = OK;
    int64_t *room; /* bytes left in each group; -1: closed */
    int groups = 0;
    TRY_ALLOC(room, malloc(((size_t)n + 1) * sizeof *room));
    for (int l = 0; l < n; l++) {
        int64_t row_bytes = dim[l] * (int64_t)value_bytes, need = row_bytes * rows;
        int g = 0;
        while (g < groups && room[g] < need) g++;
        if (g == groups) room[groups++] = bytes;
        out[l] = (feature_group){ g, rows };
        room[g] -= need;
        if (room[g] >= 0) continue;
        room[g] = -1;
        out[l].block = (int)block_rows(row_bytes, bytes);
        if (out[l].block < SIMILARITY_TILE)
            FAIL(ERR_USAGE,
                 "analysis.memory: a layer of %lld values an image needs %lld MB more than there is",
                 (long long)dim[l], (long long)((2 * SIMILARITY_TILE * row_bytes - bytes) / 1000000 + 1));
    }
    *n_groups = groups;
out:
    free(room);
    return st;
}
