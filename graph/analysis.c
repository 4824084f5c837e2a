/* graph/analysis.c -- one analysis, from its settings to its results.
 *
 *   analysis_run:
 *       choose which images to look at, and open what collects results from them      sample.c
 *       group the layers so that each group fits in memory                            features.c
 *       for each group:
 *           pass over the images: activations -> normalised rows                      features.c
 *           for each layer of the group:
 *               tiles of the upper triangle of its similarity matrix -> consumers     similarity.c
 *                   (histogram, |E| edges, nearest neighbours, CKA)                   histogram.c, edges.c, cka.c
 *               edges, neighbours -> M, Q                                             modularity.c
 *       (where the device can, tiles stay there: resident.c)
 */
#include "analysis.h"

#include "../core/base/log.h"
#include "../core/base/minmax.h"
#include "../core/base/progress.h"
#include "../core/base/stop.h"
#include "../core/base/threads.h"
#include "cka.h"
#include "feature_files.h"
#include "features.h"
#include "resident.h"
#include "sample.h"

#include <omp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_BATCH = 64, CONSUMERS = 5 };

struct analyser {
    const config *cfg;
    features *features;
    const char *export_dir;
};

/* One analysis_run while it runs; close_state releases all of it. */
typedef struct analysis_state {
    features *features;
    feature_source source;
    analysis *out;
    dtype type; /* of the values of feature matrices */

    /* which images, and what collects results from them: choose */
    int *image;              /* [n] images needed, ascending; row r of every feature matrix is image[r] */
    int32_t *vertex;         /* [n] place in the sample, or -1 */
    const int32_t *lu_label; /* of the first images */
    int n;
    histogram histogram;
    edge_top top;
    nearest nearest;
    cka cka;
    feature_files files;

    /* which layers at a time: group_layers */
    feature_group *group;   /* [layers] */
    feature_matrix *matrix; /* [layers], open while the layer's group is worked on */

    /* the sweep over the similarities: measure */
    progress bar;
    int64_t pair_cost; /* multiply-accumulates of one pair: the layer's dim */
    resident resident;
    similarity_consumer consumer[CONSUMERS];
    similarity_sweep sweep;
} analysis_state;

/* ---- the analyser ---- */

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

/* ---- which images, and what collects results from them ---- */

/* The vertices and the number of edges of Yang's graph. */
static status draw_sample(const config *cfg, const dataset *test, analysis *out)
{
    status st = OK;
    const config_analysis *c = &cfg->analysis;
    TRY_ALLOC(out->sample, malloc(((size_t)test->n + 1) * sizeof(int)));
    TRY(sample_draw(cfg->seed, min_int(c->samples, test->n), c->balanced, test->label, test->n, test->classes,
                    out->sample, &out->samples));
    TRY_ALLOC(out->label, malloc(((size_t)out->samples + 1) * sizeof(int32_t)));
    for (int i = 0; i < out->samples; i++) out->label[i] = test->label[out->sample[i]];
    int64_t pairs = (int64_t)out->samples * (out->samples - 1) / 2;
    out->edges = c->edges < pairs ? c->edges : pairs;
out:
    return st;
}

status analysis_settings(const config *cfg, const dataset *test, analysis *out)
{
    const config_analysis *c = &cfg->analysis;
    const int lu_batch = min_int(c->lu_batch, test->n);
    *out = (analysis){ .norm = c->norm,
                       .k = c->k,
                       .lu_batch = lu_batch,
                       .lu_batches = lu_batch ? min_int(c->lu_batches, test->n / lu_batch) : 0,
                       .hooks = c->hooks,
                       .precision = c->precision,
                       .balanced = c->balanced,
                       .seed = cfg->seed,
                       .images = dataset_hash(test, &cfg->data),
                       .histogram_samples = min_int(c->histogram_samples, test->n),
                       .cka_samples = min_int(c->cka, test->n) };
    return draw_sample(cfg, test, out);
}

static status copy_names(const dataset *test, analysis *out)
{
    status st = OK;
    out->classes = test->classes;
    TRY_ALLOC(out->class_name, calloc((size_t)test->classes + 1, sizeof(char *)));
    for (int c = 0; c < test->classes; c++) TRY_ALLOC(out->class_name[c], strdup(test->class_name[c]));
out:
    return st;
}

/* All of *out but the results. */
static status describe(const analyser *a, const dataset *test, const char *checkpoint, analysis *out)
{
    status st = OK;
    const config_analysis *c = &a->cfg->analysis;
    TRY(analysis_settings(a->cfg, test, out));
    if (out->samples == 0)
        FAIL(ERR_USAGE, "analysis.samples=%d: too few for %d classes with the same number of each",
             c->samples, test->classes);
    if (out->samples < c->samples)
        log_warn("analysis.samples: %d of %d: there are no more%s", out->samples, c->samples,
                 c->balanced ? " with the same number of every class" : "");
    out->n_layers = a->features->n;
    TRY_ALLOC(out->arch, strdup(net_arch(a->features->net)));
    TRY_ALLOC(out->checkpoint, strdup(checkpoint));
    TRY_ALLOC(out->layer, calloc((size_t)out->n_layers, sizeof *out->layer));
    TRY(copy_names(test, out));
out:
    return st;
}

/* Opens the consumers of tiles and rows that need no device. */
static status choose(const analyser *a, const dataset *test, analysis_state *r)
{
    status st = OK;
    const analysis *out = r->out;
    const int exported = a->export_dir ? min_int(a->cfg->analysis.features, test->n) : 0;
    const int prefix = max_int(max_int(out->lu_batch * out->lu_batches, out->histogram_samples),
                               max_int(out->cka_samples, exported));
    TRY_ALLOC(r->image, malloc(((size_t)test->n + 1) * sizeof(int)));
    TRY_ALLOC(r->vertex, malloc(((size_t)test->n + 1) * sizeof(int32_t)));
    r->n = sample_union(out->sample, out->samples, prefix, test->n, r->image, r->vertex);

    /* image[] begins with the first `prefix` images, so only the edges need vertex[]. */
    r->histogram.limit = out->histogram_samples;
    TRY(nearest_open(&r->nearest, min_int(out->k, out->lu_batch), out->lu_batch, out->lu_batches));
    TRY(cka_open(&r->cka, out->cka_samples, r->features->n));
    TRY(feature_files_open(&r->files, a->export_dir, exported, test));
    TRY(edge_top_open(&r->top, out->edges, out->samples, r->vertex));
out:
    return st;
}

/* ---- which layers at a time ---- */

static status check_type(const analysis_state *r)
{
    status st = OK;
    const features *f = r->features;
    if (r->type != I8) goto out;
    if (!f->device->products->product_i8)
        FAIL(ERR_USAGE, "analysis.precision: the device %s has no int8 similarities; f32 and bf16 it has",
             f->device->name);
    for (int l = 0; l < f->n; l++)
        if (f->tap[l].dim % 4 || f->tap[l].dim > SIMILARITY_INT8_DIM)
            FAIL(ERR_USAGE,
                 "analysis.precision=int8: %s has %lld values an image; multiples of 4 up to %d can be "
                 "rounded",
                 f->tap[l].name, (long long)f->tap[l].dim, SIMILARITY_INT8_DIM);
out:
    return st;
}

/* Physical memory of this process. */
static int64_t process_bytes(void)
{
    long pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (!f) return 0;
    if (fscanf(f, "%*d %ld", &pages) != 1) pages = 0;
    fclose(f);
    return (int64_t)pages * sysconf(_SC_PAGESIZE);
}

/* The part of analysis.memory that is left for feature matrices. One batch has gone through the net already, so the
 * process has what a pass needs, except the copy of one batch of the largest layer. */
static status memory_left(const config *cfg, const analysis_state *r, int batch_size, int64_t *out)
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
    *out = total - process_bytes() - stage - edges - kernels - slack;
out:
    return st;
}

static status group_layers(const config *cfg, analysis_state *r, int batch_size, int *n_groups)
{
    status st = OK;
    const int n = r->features->n;
    int64_t left, *dim = NULL;
    TRY(check_type(r));
    TRY_ALLOC(r->group, calloc((size_t)n, sizeof *r->group));
    TRY_ALLOC(r->matrix, calloc((size_t)n, sizeof *r->matrix));
    TRY_ALLOC(dim, malloc((size_t)n * sizeof *dim));
    for (int l = 0; l < n; l++) dim[l] = r->features->tap[l].dim;
    TRY(memory_left(cfg, r, batch_size, &left));
    TRY(features_group(dim, n, r->n, dtype_bytes(r->type), left, r->group, n_groups));
    log_debug("analysis: %d layers in %d groups, %lld MB for activations", n, *n_groups,
              (long long)(left / 1000000));
out:
    free(dim);
    return st;
}

/* ---- progress, in millions of multiply-accumulates ---- */

/* Images that go through the net in all passes for a layer with blocks of `block` rows. */
static int64_t passes_images(int n, int block)
{
    int64_t images = 0;
    for (int i = 0; i < n; i += block) images += n - i;
    return images;
}

static int last_of_group(const analysis_state *r, int group)
{
    int l = r->features->n - 1;
    while (r->group[l].number != group) l--;
    return l;
}

static int64_t total_cost(const analysis_state *r)
{
    int64_t cost = 0;
    int group = -1;
    for (int l = 0; l < r->features->n; l++) {
        cost += (int64_t)((double)r->n * r->n / 2 * (double)r->features->tap[l].dim / 1e6);
        if (r->group[l].number <= group) continue;
        group = r->group[l].number;
        cost += passes_images(r->n, r->group[l].block) * features_cost(r->features, last_of_group(r, group));
    }
    return cost;
}

/* A similarity_consumer that moves the bar and stops the analysis after a signal. */
static status count_tile(void *ctx, const similarity_tile *t)
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

/* For consumers of rows: they get each row of a layer once, in order of position. */
static status take_rows(analysis_state *r, const feature_matrix *m, int first)
{
    for (int i = 0; i < m->rows && first + i < r->cka.n; i++) r->cka.norm[first + i] = m->norm[i];
    return feature_files_rows(&r->files, m, first);
}

static similarity_rows rows_at(const feature_matrix *m, int first)
{
    return (similarity_rows){ m->x, m->rows, m->room, first, m->type, m->scale };
}

/* Pairs of a row of the block that ends at `end` with a row behind it. Those rows stream by, SIMILARITY_TILE at a
 * time. */
static status sweep_behind(analysis_state *r, int l, int end, feature_matrix *stream)
{
    status st = OK;
    feature_tap *tap = &r->features->tap[l];
    const feature_matrix *m = &r->matrix[l];
    tap->into = stream;
    for (int j = end; j < r->n; j += SIMILARITY_TILE) {
        TRY(features_read(r->features, &r->source, r->image + j, min_int(r->n - j, SIMILARITY_TILE)));
        if (end == m->rows) TRY(take_rows(r, stream, j)); /* m is the first block: each row comes once */
        TRY(similarity_rectangle(&r->sweep, rows_at(m, end - m->rows), rows_at(stream, j), m->dim));
    }
out:
    tap->into = &r->matrix[l];
    return st;
}

/* All tiles of one layer, block after block; the first block has been read. */
static status sweep_layer(analysis_state *r, int l)
{
    status st = OK;
    feature_matrix *m = &r->matrix[l], stream = { 0 };
    int block = r->group[l].block;
    r->pair_cost = m->dim;
    if (block < r->n) TRY(feature_matrix_open(&stream, m->device, m->type, SIMILARITY_TILE, m->dim));
    for (int i = 0; i < r->n; i += block) {
        int end = r->n - i < block ? r->n : i + block;
        TRY(i == 0 ? take_rows(r, m, 0) : features_read(r->features, &r->source, r->image + i, end - i));
        TRY(similarity_triangle(&r->sweep, rows_at(m, i), m->dim));
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
    TRY_ALLOC(out->Q, malloc(((size_t)n->batches + 1) * sizeof(double)));
    out->n = n->batches;
    for (int b = 0; b < n->batches; b++) {
        neighbour_list kept = nearest_batch(n, b);
        TRY(lu_modularity(&kept, n->batch, r->lu_label + b * n->batch, r->out->classes, &out->Q[b]));
    }
    lu_summary(out);
out:
    return st;
}

static status measure_layer(analysis_state *r, int l)
{
    status st = OK;
    analysis *out = r->out;
    layer_analysis *y = &out->layer[l];
    const feature_tap *tap = &r->features->tap[l];
    memset(r->histogram.bin, 0, sizeof r->histogram.bin);
    r->histogram.negative = 0;
    nearest_clear(&r->nearest);
    r->cka.layer = l;
    TRY(feature_files_begin(&r->files, tap->name, tap->dim));
    TRY(sweep_layer(r, l));
    TRY(resident_finish(&r->resident));
    TRY(feature_files_end(&r->files));
    cka_layer_end(&r->cka);
    memcpy(y->name, tap->name, sizeof y->name);
    y->dim = tap->dim;
    memcpy(y->histogram, r->histogram.bin, sizeof y->histogram);
    y->negative = r->histogram.negative;
    TRY(edge_top_finish(&r->top, &y->edges));
    TRY(yang_modularity(&y->edges, out->samples, out->label, out->classes, out->norm, &y->yang));
    TRY(lu_all(r, &y->lu));
    log_debug("%s: M %.4f r %.4f Q %.4f", y->name, y->yang.M, y->yang.r, y->lu.mean);
out:
    return st;
}

/* ---- all layers ---- */

static status measure_group(analysis_state *r, int group)
{
    status st = OK;
    features *f = r->features;
    int block = 0;
    for (int l = 0; l < f->n; l++) {
        if (r->group[l].number != group) continue;
        block = r->group[l].block;
        TRY(feature_matrix_open(&r->matrix[l], f->device, r->type, block, f->tap[l].dim));
        f->tap[l].into = &r->matrix[l];
    }
    TRY(features_read(f, &r->source, r->image, block));
    for (int l = 0; l < f->n; l++) {
        if (r->group[l].number != group) continue;
        TRY(measure_layer(r, l));
        f->tap[l].into = NULL;
        feature_matrix_close(&r->matrix[l]);
    }
out:
    return st;
}

static status open_sweep(analysis_state *r)
{
    status st = OK;
    r->consumer[0] = (similarity_consumer){ histogram_take, &r->histogram };
    r->consumer[1] = (similarity_consumer){ edge_top_take, &r->top };
    r->consumer[2] = (similarity_consumer){ nearest_take, &r->nearest, .wants = nearest_wants };
    r->consumer[3] = (similarity_consumer){ cka_take, &r->cka, .wants = cka_wants };
    r->consumer[4] = (similarity_consumer){ count_tile, r, .on_device = true }; /* reads no values */
    TRY(resident_open(&r->resident, r->features->device, &r->histogram, &r->top, r->n));
    if (r->resident.device) {
        r->consumer[0] = (similarity_consumer){ resident_take_histogram, &r->resident, .on_device = true,
                                                .wants = resident_wants_histogram };
        r->consumer[1] = (similarity_consumer){ resident_take_edges, &r->resident, .on_device = true };
    }
    TRY(similarity_open(&r->sweep, r->features->device, r->consumer, CONSUMERS));
out:
    return st;
}

/* Fills out->layer and out->cka. */
static status measure(const config *cfg, analysis_state *r, int batch_size)
{
    status st = OK;
    int groups = 0;
    /* The first batch tells features which device it is, and allocates the memory of a pass: memory_left. */
    progress_start(&r->bar, "analysis", NULL, 1);
    TRY(features_read(r->features, &r->source, r->image, min_int(r->n, batch_size)));
    TRY(group_layers(cfg, r, batch_size, &groups));
    TRY(open_sweep(r));
    progress_end(&r->bar);
    progress_start(&r->bar, "analysis", NULL, total_cost(r));
    for (int g = 0; g < groups; g++) TRY(measure_group(r, g));
    if (r->cka.n == 0) goto out;
    TRY_ALLOC(r->out->cka, malloc((size_t)r->cka.layers * (size_t)r->cka.layers * sizeof(double)));
    cka_matrix(&r->cka, r->out->cka);
out:
    progress_end(&r->bar);
    return st;
}

/* ---- the whole ---- */

static dtype similarity_type(precision_kind precision)
{
    return precision == PRECISION_BF16 ? BF16 : precision == PRECISION_INT8 ? I8 : F32;
}

static void close_state(analysis_state *r)
{
    for (int l = 0; l < r->features->n; l++) {
        r->features->tap[l].into = NULL;
        if (r->matrix) feature_matrix_close(&r->matrix[l]);
    }
    loader_close(r->source.loader);
    similarity_close(&r->sweep);
    resident_close(&r->resident);
    edge_top_close(&r->top);
    nearest_close(&r->nearest);
    cka_close(&r->cka);
    feature_files_close(&r->files);
    free(r->matrix);
    free(r->group);
    free(r->image);
    free(r->vertex);
}

status analysis_run(analyser *a, int eval_case, int batch_size, const dataset *test, const char *checkpoint,
                    analysis *out)
{
    status st = OK;
    const config *cfg = a->cfg;
    const loader_options order = { .batch = batch_size };
    const int threads_before = omp_get_max_threads();
    analysis_state r = { .features = a->features,
                         .type = similarity_type(cfg->analysis.precision),
                         .out = out,
                         .lu_label = test->label,
                         .source = { .eval_case = eval_case, .bar = &r.bar } };
    *out = (analysis){ 0 };
    if (test->n < 1) FAIL(ERR_DATA, "there are no test images to analyse");
    omp_set_num_threads(threads_choose(cfg->threads));
    TRY(describe(a, test, checkpoint, out));
    TRY(choose(a, test, &r));
    TRY(loader_open(test, &cfg->data, &order, &r.source.loader));
    TRY(measure(cfg, &r, batch_size));
out:
    close_state(&r);
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
