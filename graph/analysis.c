/* graph/analysis.c -- an analysis from its settings to its results: what is looked at (analysis_setup.c), the
 * layers one after the other (analysis_measure.c), and what belongs to whom afterwards. */
#include "../core/base/minmax.h"
#include "analysis_state.h"

#include <omp.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_BATCH = 64 };

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

static status copy_names(const dataset *test, analysis *out)
{
    status st = OK;
    out->classes = test->classes;
    TRY_ALLOC(out->class_name, calloc((size_t)test->classes + 1, sizeof(char *)));
    for (int c = 0; c < test->classes; c++) TRY_ALLOC(out->class_name[c], strdup(test->class_name[c]));
out:
    return st;
}

static void close_run(analysis_state *r)
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
    analysis_state r = { .features = a->features,
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
    TRY(analysis_choose(a->cfg, a->export_dir, test, &r));
    TRY(loader_open(test, &a->cfg->data, &order, &r.source.loader));
    TRY(analysis_measure(a->cfg, &r, batch_size));
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
