/* graph/analysis_setup.c -- what an analysis settles before it measures: which images it looks at, what it
 * collects from them, and which layers fit into memory together. */
#include "../core/base/log.h"
#include "../core/base/minmax.h"
#include "analysis_state.h"
#include "sample.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* ---- which images ---- */

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

status analysis_choose(const config *cfg, const char *export_dir, const dataset *test, analysis_state *r)
{
    status st = OK;
    analysis *out = r->out;
    const config_analysis *c = &cfg->analysis;
    int exported = export_dir ? min_int(c->features, test->n) : 0;
    TRY(choose_sample(cfg, test, out));
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
    TRY(export_open(&r->export, export_dir, exported, test));
    TRY(edge_top_open(&r->top, out->edges, out->samples, r->vertex));
out:
    return st;
}

/* ---- which type, how many layers at a time ---- */

static status check_type(const analysis_state *r)
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
    *out = total - resident_bytes() - stage - edges - kernels - slack;
out:
    return st;
}

status analysis_plan(const config *cfg, analysis_state *r, int batch_size, int *n_groups)
{
    status st = OK;
    int64_t left, *dim = NULL;
    TRY(check_type(r));
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
