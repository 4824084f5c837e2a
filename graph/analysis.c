/* graph/analysis.c -- one sweep over the similarities of each layer feeds histogram, top-|E| edges and
 * nearest neighbours; modularities follow from these.
 *
 *   for each group of layers that fits in memory:
 *       pass over the images: activations -> normalised rows       features.c
 *       for each layer: tiles of the upper triangle -> consumers   gram.c; histogram.c, edges.c, nearest.c,
 * cka.c edges, neighbours -> M, Q                  modularity.c                            */
#include "analysis.h"

#include "../core/log.h"
#include "../core/minmax.h"
#include "../core/progress.h"
#include "../core/stop.h"
#include "cka.h"
#include "export.h"
#include "features.h"
#include "gram.h"
#include "histogram.h"
#include "plan.h"
#include "resident.h"
#include "sample.h"

#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CONSUMERS = 5, MAX_BATCH = 64 };

struct analyser {
    const config *cfg;
    features *features;
    const char *export_dir;
};

status analyser_create(net *n, const config *cfg, analyser **out)
{
    status st = OK;
    analyser *a;
    TRY_ALLOC(a, calloc(1, sizeof *a));
    a->cfg = cfg;
    st = features_open(n, cfg->analysis.hooks, &a->features);
    if (st != OK) {
        free(a);
        goto out;
    }
    *out = a;
out:
    return st;
}

void analyser_free(analyser *a)
{
    if (!a) return;
    features_close(a->features);
    free(a);
}

void analyser_export(analyser *a, const char *dir)
{
    a->export_dir = dir;
}

int analysis_batch(const config *cfg, const dataset *test)
{
    int rows = min_int(cfg->train.batch, MAX_BATCH);
    return test->n > 0 ? min_int(rows, test->n) : rows;
}

/* One analysis_run while it runs. */
typedef struct run {
    features *features;
    feature_source source;
    analysis *out;
    int *image;      /* [n] images needed, ascending; row r of every feature matrix is image[r] */
    int32_t *vertex; /* [n] place in the sample, or -1 */
    int n;
    const int32_t *lu_label; /* of the first images */
    layer_plan *plan;        /* [layers] */
    feature_matrix *matrix;  /* [layers], open while its group is at work */
    progress bar;
    dtype type;        /* of their values */
    int64_t pair_cost; /* multiply-accumulates: the layer's dim */
    histogram histogram;
    edge_top top;
    nearest nearest;
    cka cka;
    row_export export;
    resident resident;
    gram_consumer consumer[CONSUMERS];
    gram gram;
} run;

/* ---- what to look at ---- */

static status copy_names(const dataset *test, analysis *out)
{
    status st = OK;
    out->classes = test->classes;
    TRY_ALLOC(out->class_name, calloc((size_t)test->classes + 1, sizeof(char *)));
    for (int c = 0; c < test->classes; c++) TRY_ALLOC(out->class_name[c], strdup(test->class_name[c]));
out:
    return st;
}

void analysis_lu_shape(const config_analysis *c, int n, int *size, int *batches)
{
    *size = min_int(c->lu_batch, n);
    *batches = min_int(c->lu_batches, n / *size);
}

/* Yang's graph: which images, and how many edges. */
static status choose_sample(const config *cfg, const dataset *test, analysis *out)
{
    status st = OK;
    const config_analysis *c = &cfg->analysis;
    TRY_ALLOC(out->sample, malloc(((size_t)test->n + 1) * sizeof(int)));
    TRY(sample_draw(cfg->seed, min_int(c->samples, test->n), c->balanced, test->label, test->n, test->classes,
                    out->sample, &out->samples));
    if (out->samples == 0)
        FAIL(ERR_USAGE, "analysis.samples=%d: too few for %d classes with the same number of each",
             c->samples, test->classes);
    if (out->samples < c->samples)
        log_warn("analysis.samples: %d of %d: there are no more%s", out->samples, c->samples,
                 c->balanced ? " with the same number of every class" : "");
    TRY_ALLOC(out->label, malloc(((size_t)out->samples + 1) * sizeof(int32_t)));
    for (int i = 0; i < out->samples; i++) out->label[i] = test->label[out->sample[i]];
    int64_t pairs = (int64_t)out->samples * (out->samples - 1) / 2;
    out->edges = c->edges < pairs ? c->edges : pairs;
out:
    return st;
}

static status choose_images(const analyser *a, const dataset *test, run *r)
{
    status st = OK;
    analysis *out = r->out;
    const config_analysis *c = &a->cfg->analysis;
    int exported = a->export_dir ? min_int(c->features, test->n) : 0;
    TRY(choose_sample(a->cfg, test, out));
    analysis_lu_shape(c, test->n, &out->lu_batch, &out->lu_batches);
    out->histogram_samples = min_int(c->histogram_samples, test->n);
    out->cka_samples = min_int(c->cka, test->n);

    TRY_ALLOC(r->image, malloc(((size_t)test->n + 1) * sizeof(int)));
    TRY_ALLOC(r->vertex, malloc(((size_t)test->n + 1) * sizeof(int32_t)));
    int prefix = max_int(max_int(out->lu_batch * out->lu_batches, out->histogram_samples),
                         max_int(out->cka_samples, exported));
    r->n = sample_union(out->sample, out->samples, prefix, test->n, r->image, r->vertex);

    /* image[] begins with the first `prefix` images: position = image for all but the edges. */
    r->histogram.limit = out->histogram_samples;
    TRY(nearest_open(&r->nearest, min_int(c->k, out->lu_batch), out->lu_batch, out->lu_batches));
    TRY(cka_open(&r->cka, out->cka_samples, r->features->n));
    TRY(export_open(&r->export, a->export_dir, exported, test));
    TRY(edge_top_open(&r->top, out->edges, out->samples, r->vertex));
out:
    return st;
}

/* ---- memory and time ---- */

static int64_t resident_bytes(void)
{
    long pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (!f) return 0;
    if (fscanf(f, "%*d %ld", &pages) != 1) pages = 0;
    fclose(f);
    return (int64_t)pages * sysconf(_SC_PAGESIZE);
}

/* What is left of analysis.memory for feature matrices. One batch has gone through the net already, so what
 * the passes need is resident, but for the copy of one batch of the largest layer. */
static status memory_left(const config *cfg, const run *r, int batch_size, int64_t *out)
{
    status st = OK;
    const int64_t slack = 32 << 20; /* similarity tiles, work space of the matrix product, results */
    int64_t total, stage = 0;
    TRY(config_bytes(cfg->analysis.memory, &total));
    for (int l = 0; l < r->features->n; l++) {
        const int64_t bytes = (int64_t)feature_stage_bytes(r->features->tap[l].dim * batch_size, r->type);
        if (bytes > stage) stage = bytes;
    }
    int64_t edges = (int64_t)edge_top_bytes(r->out->edges, r->out->samples);
    edges += (int64_t)(r->features->n * (size_t)r->out->edges * sizeof(edge));
    int64_t kernels = (int64_t)cka_bytes(r->cka.n, r->cka.layers);
    *out = total - resident_bytes() - stage - edges - kernels - slack;
out:
    return st;
}

static int64_t passes_images(int n, int block)
{
    int64_t images = 0;
    for (int i = 0; i < n; i += block) images += n - i;
    return images;
}

static int last_of_group(const run *r, int group)
{
    int l = r->features->n - 1;
    while (r->plan[l].group != group) l--;
    return l;
}

/* Everything in millions of multiply-accumulates. */
static int64_t total_cost(const run *r)
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
    run *r = ctx;
    double values = (double)t->rows * t->cols * (t->row0 == t->col0 ? 0.5 : 1);
    progress_update(&r->bar, r->bar.done + (int64_t)(values / 1e6 * (double)r->pair_cost), "similarities");
    if (stop_requested()) FAIL(STOPPED, "%s: the analysis was left unfinished", stop_signal());
out:
    return st;
}

/* ---- one layer ---- */

/* What wants activations themselves sees each row of a layer once, in order of position. */
static status see_rows(run *r, const feature_matrix *m, int first)
{
    for (int i = 0; i < m->rows && first + i < r->cka.n; i++) r->cka.norm[first + i] = m->norm[i];
    return export_rows(&r->export, m, first);
}

static gram_rows rows_at(const feature_matrix *m, int first)
{
    return (gram_rows){ m->x, m->rows, m->room, first, m->type, m->scale };
}

/* Rows behind block [begin, end) stream by, one row of tiles at a time. */
static status sweep_behind(run *r, int l, int end, feature_matrix *stream)
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
static status sweep_layer(run *r, int l)
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

static status lu_all(const run *r, lu_result *out)
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

static status measure_layer(run *r, int l)
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

static status measure_group(run *r, int group)
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

static status open_sweep(run *r)
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

static status plan_run(const config *cfg, run *r, int batch_size, int *n_groups)
{
    status st = OK;
    int64_t left, *dim = NULL;
    TRY_ALLOC(r->plan, calloc((size_t)r->features->n, sizeof *r->plan));
    TRY_ALLOC(r->matrix, calloc((size_t)r->features->n, sizeof *r->matrix));
    TRY_ALLOC(dim, malloc((size_t)r->features->n * sizeof *dim));
    for (int l = 0; l < r->features->n; l++) dim[l] = r->features->tap[l].dim;
    TRY(memory_left(cfg, r, batch_size, &left));
    TRY(plan_layers(dim, r->features->n, r->n, dtype_bytes(r->type), left, r->plan, n_groups));
    log_debug("analysis: %d layers in %d groups, %lld MB for activations", r->features->n, *n_groups,
              (long long)(left / 1000000));
out:
    free(dim);
    return st;
}

static status check_type(const run *r)
{
    status st = OK;
    const features *f = r->features;
    if (r->type != I8) goto out;
    if (!f->device->gram_i8)
        FAIL(ERR_USAGE, "analysis.precision: the device %s has no int8 similarities; f32 and bf16 it has",
             f->device->name);
    for (int l = 0; l < f->n; l++)
        if (f->tap[l].dim % 4 || f->tap[l].dim > GRAM_ROUNDED_DIM)
            FAIL(ERR_USAGE,
                 "analysis.precision=int8: %s has %lld values an image; multiples of 4 up to %d can be "
                 "rounded",
                 f->tap[l].name, (long long)f->tap[l].dim, GRAM_ROUNDED_DIM);
out:
    return st;
}

static status measure_all(const config *cfg, run *r, int batch_size)
{
    status st = OK;
    int groups = 0;
    /* One batch brings the device and makes the memory of the passes resident. */
    progress_start(&r->bar, "analysis", 1);
    TRY(features_read(r->features, &r->source, r->image, r->n < batch_size ? r->n : batch_size));
    TRY(check_type(r));
    TRY(plan_run(cfg, r, batch_size, &groups));
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

static void close_run(run *r)
{
    for (int l = 0; l < r->features->n; l++) {
        r->features->tap[l].into = NULL;
        if (r->matrix) feature_matrix_close(&r->matrix[l]);
    }
    loader_close(r->source.loader);
    gram_close(&r->gram);
    resident_close(&r->resident);
    edge_top_close(&r->top);
    nearest_close(&r->nearest);
    cka_close(&r->cka);
    export_close(&r->export);
    free(r->matrix);
    free(r->plan);
    free(r->image);
    free(r->vertex);
}

static dtype similarity_type(precision_kind precision)
{
    return precision == PRECISION_BF16 ? BF16 : precision == PRECISION_INT8 ? I8 : F32;
}

status analysis_run(analyser *a, int eval_case, int batch_size, const dataset *test, const char *checkpoint,
                    analysis *out)
{
    status st = OK;
    const loader_options order = { .batch = batch_size };
    const int threads_before = omp_get_max_threads();
    const config_analysis *c = &a->cfg->analysis;
    run r = { .features = a->features,
              .type = similarity_type(c->precision),
              .out = out,
              .lu_label = test->label,
              .source = { .eval_case = eval_case, .bar = &r.bar } };
    *out = (analysis){ .norm = c->norm,
                       .k = c->k,
                       .hooks = c->hooks,
                       .precision = c->precision,
                       .balanced = c->balanced,
                       .seed = a->cfg->seed,
                       .images = dataset_hash(test, &a->cfg->data),
                       .n_layers = a->features->n };
    if (test->n < 1) FAIL(ERR_DATA, "there are no test images to analyse");
    if (a->cfg->threads > 0) omp_set_num_threads(a->cfg->threads);
    TRY_ALLOC(out->arch, strdup(net_arch(a->features->net)));
    TRY_ALLOC(out->checkpoint, strdup(checkpoint));
    TRY_ALLOC(out->layer, calloc((size_t)out->n_layers, sizeof *out->layer));
    TRY(copy_names(test, out));
    TRY(choose_images(a, test, &r));
    TRY(loader_open(test, &a->cfg->data, &order, &r.source.loader));
    TRY(measure_all(a->cfg, &r, batch_size));
out:
    close_run(&r);
    omp_set_num_threads(threads_before);
    if (st != OK) analysis_free(out);
    return st;
}

void analysis_free(analysis *a)
{
    for (int l = 0; a->layer && l < a->n_layers; l++) {
        free(a->layer[l].edges.edge);
        free(a->layer[l].yang.class_share);
        free(a->layer[l].lu.Q);
    }
    for (int c = 0; a->class_name && c < a->classes; c++) free(a->class_name[c]);
    free(a->class_name);
    free(a->layer);
    free(a->cka);
    free(a->label);
    free(a->sample);
    free(a->checkpoint);
    free(a->arch);
    *a = (analysis){ 0 };
}
