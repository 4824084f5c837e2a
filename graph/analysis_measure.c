/* graph/analysis_measure.c -- one sweep over the similarities of each layer feeds histogram, top-|E| edges and
 * nearest neighbours; modularities follow from these.
 *
 *   for each group of layers that fits in memory:
 *       pass over the images: activations -> normalised rows       features.c
 *       for each layer: tiles of the upper triangle -> consumers   gram.c; histogram.c, edges.c, nearest.c, cka.c
 *                       edges, neighbours -> M, Q                  modularity.c
 */
#include "../core/base/log.h"
#include "../core/base/stop.h"
#include "analysis_state.h"

#include <stdlib.h>
#include <string.h>

/* ---- time ---- */

static int64_t passes_images(int n, int block)
{
    int64_t images = 0;
    for (int i = 0; i < n; i += block) images += n - i;
    return images;
}

static int last_of_group(const analysis_state *r, int group)
{
    int l = r->features->n - 1;
    while (r->plan[l].group != group) l--;
    return l;
}

/* Everything in millions of multiply-accumulates. */
static int64_t total_cost(const analysis_state *r)
{
    int64_t cost = 0;
    int group = -1;
    for (int l = 0; l < r->features->n; l++) {
        cost += (int64_t)((double)r->n * r->n / 2 * (double)r->features->tap[l].dim / 1e6);
        if (r->plan[l].group <= group) continue;
        group = r->plan[l].group;
        cost += passes_images(r->n, r->plan[l].block) * features_cost(r->features, last_of_group(r, group));
    }
    return cost;
}

/* A gram_consumer that moves the bar, and sees a request to stop. */
static status count_tile(void *ctx, const gram_tile *t)
{
    status st = OK;
    analysis_state *r = ctx;
    double values = (double)t->rows * t->cols * (t->row0 == t->col0 ? 0.5 : 1);
    progress_update(&r->bar, r->bar.done + (int64_t)(values / 1e6 * (double)r->pair_cost), "similarities");
    if (stop_requested()) FAIL(STOPPED, "%s: the analysis was left unfinished", stop_signal());
out:
    return st;
}

/* ---- one layer ---- */

/* What wants activations themselves sees each row of a layer once, in order of position. */
static status see_rows(analysis_state *r, const feature_matrix *m, int first)
{
    for (int i = 0; i < m->rows && first + i < r->cka.n; i++) r->cka.norm[first + i] = m->norm[i];
    return export_rows(&r->export, m, first);
}

static gram_rows rows_at(const feature_matrix *m, int first)
{
    return (gram_rows){ m->x, m->rows, m->room, first, m->type, m->scale };
}

/* Rows behind block [begin, end) stream by, one row of tiles at a time. */
static status sweep_behind(analysis_state *r, int l, int end, feature_matrix *stream)
{
    status st = OK;
    feature_tap *tap = &r->features->tap[l];
    const feature_matrix *m = &r->matrix[l];
    tap->into = stream;
    for (int j = end; j < r->n; j += GRAM_TILE) {
        int rows = r->n - j < GRAM_TILE ? r->n - j : GRAM_TILE;
        TRY(features_read(r->features, &r->source, r->image + j, rows));
        if (end == m->rows) TRY(see_rows(r, stream, j)); /* behind the first block */
        TRY(gram_rectangle(&r->gram, rows_at(m, end - m->rows), rows_at(stream, j), m->dim));
    }
out:
    tap->into = &r->matrix[l];
    return st;
}

/* All tiles of one layer, block after block; its first block is there. */
static status sweep_layer(analysis_state *r, int l)
{
    status st = OK;
    feature_matrix *m = &r->matrix[l], stream = { 0 };
    int block = r->plan[l].block;
    r->pair_cost = m->dim;
    if (block < r->n) TRY(feature_matrix_open(&stream, m->device, m->type, GRAM_TILE, m->dim));
    for (int i = 0; i < r->n; i += block) {
        int end = r->n - i < block ? r->n : i + block;
        TRY(i == 0 ? see_rows(r, m, 0) : features_read(r->features, &r->source, r->image + i, end - i));
        TRY(gram_triangle(&r->gram, rows_at(m, i), m->dim));
        TRY(sweep_behind(r, l, end, &stream));
    }
out:
    feature_matrix_close(&stream);
    return st;
}

static status lu_all(const analysis_state *r, lu_result *out)
{
    status st = OK;
    const nearest *n = &r->nearest;
    const int32_t *label = r->lu_label;
    TRY_ALLOC(out->Q, malloc(((size_t)n->batches + 1) * sizeof(double)));
    out->n = n->batches;
    for (int b = 0; b < n->batches; b++) {
        neighbour_list kept = nearest_batch(n, b);
        TRY(lu_modularity(&kept, n->batch, label + b * n->batch, r->out->classes, &out->Q[b]));
    }
    lu_summary(out);
out:
    return st;
}

static status measure_layer(analysis_state *r, int l)
{
    status st = OK;
    layer_analysis *y = &r->out->layer[l];
    analysis *out = r->out;
    memset(r->histogram.bin, 0, sizeof r->histogram.bin);
    r->histogram.negative = 0;
    nearest_clear(&r->nearest);
    r->cka.layer = l;
    TRY(export_layer(&r->export, r->features->tap[l].name, r->features->tap[l].dim));
    TRY(sweep_layer(r, l));
    TRY(resident_finish(&r->resident));
    TRY(export_layer_end(&r->export));
    cka_layer_end(&r->cka);
    memcpy(y->name, r->features->tap[l].name, sizeof y->name);
    y->dim = r->features->tap[l].dim;
    memcpy(y->histogram, r->histogram.bin, sizeof y->histogram);
    y->negative = r->histogram.negative;
    TRY(edge_top_finish(&r->top, &y->edges));
    TRY(yang_modularity(&y->edges, out->samples, out->label, out->classes, out->norm, &y->yang));
    TRY(lu_all(r, &y->lu));
    log_debug("%s: M %.4f r %.4f Q %.4f", y->name, y->yang.M, y->yang.r, y->lu.mean);
out:
    return st;
}

static status measure_group(analysis_state *r, int group)
{
    status st = OK;
    features *f = r->features;
    int block = 0;
    for (int l = 0; l < f->n; l++) {
        if (r->plan[l].group != group) continue;
        block = r->plan[l].block;
        TRY(feature_matrix_open(&r->matrix[l], f->device, r->type, block, f->tap[l].dim));
        f->tap[l].into = &r->matrix[l];
    }
    TRY(features_read(f, &r->source, r->image, block));
    for (int l = 0; l < f->n; l++) {
        if (r->plan[l].group != group) continue;
        TRY(measure_layer(r, l));
        f->tap[l].into = NULL;
        feature_matrix_close(&r->matrix[l]);
    }
out:
    return st;
}

/* ---- all layers ---- */

static status open_sweep(analysis_state *r)
{
    status st = OK;
    r->consumer[0] = (gram_consumer){ histogram_take, &r->histogram };
    r->consumer[1] = (gram_consumer){ edge_top_take, &r->top };
    r->consumer[2] = (gram_consumer){ nearest_take, &r->nearest, .wants = nearest_wants };
    r->consumer[3] = (gram_consumer){ cka_take, &r->cka, .wants = cka_wants };
    r->consumer[4] = (gram_consumer){ count_tile, r, .on_device = true }; /* does not look at it */
    TRY(resident_open(&r->resident, r->features->device, &r->histogram, &r->top, r->n));
    if (r->resident.device) {
        r->consumer[0] = (gram_consumer){ resident_take_histogram, &r->resident, .on_device = true,
                                          .wants = resident_wants_histogram };
        r->consumer[1] = (gram_consumer){ resident_take_edges, &r->resident, .on_device = true };
    }
    TRY(gram_open(&r->gram, r->features->device, r->consumer, CONSUMERS));
out:
    return st;
}

status analysis_measure(const config *cfg, analysis_state *r, int batch_size)
{
    status st = OK;
    int groups = 0;
    /* One batch brings the device and makes the memory of the passes resident. */
    progress_start(&r->bar, "analysis", 1);
    TRY(features_read(r->features, &r->source, r->image, r->n < batch_size ? r->n : batch_size));
    TRY(analysis_plan(cfg, r, batch_size, &groups));
    TRY(open_sweep(r));
    progress_end(&r->bar);
    progress_start(&r->bar, "analysis", total_cost(r));
    for (int g = 0; g < groups; g++) TRY(measure_group(r, g));
    if (r->cka.n == 0) goto out;
    TRY_ALLOC(r->out->cka, malloc((size_t)r->cka.layers * (size_t)r->cka.layers * sizeof(double)));
    cka_matrix(&r->cka, r->out->cka);
out:
    progress_end(&r->bar);
    return st;
}
