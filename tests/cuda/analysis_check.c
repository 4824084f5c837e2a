/* tests/cuda/analysis_check.c -- a whole analysis of a small resnet20, three times: on the emulated device; on the same
 * device with rows, histogram and edges computed on the host; and on cpu. */
#include "checks.h"

#include "../../core/device/products.h"

#include "../../graph/analysis.h"
#include "../../nets/run.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { IMAGES = 40, BATCH = 16 };

static int n_wrong;

static void must_hold(bool good, const char *layer, const char *what)
{
    if (good) return;
    printf("# %s: %s\n", layer, what);
    n_wrong++;
}

static status analyse(const config *cfg, backend *b, const dataset *test, analysis *out)
{
    status st = OK;
    net *n = NULL;
    analyser *a = NULL;
    const net_case evaluation = { .batch = BATCH };
    TRY(net_from_config(cfg, &n));
    TRY(analyser_create(n, cfg, &a));
    TRY(net_compile(n, b, F32, &evaluation, 1));
    TRY(net_init(n, 3));
    TRY(analysis_run(a, 0, BATCH, test, "none", out));
out:
    analyser_free(a);
    net_free(n);
    return st;
}

/* The similarities of the edges, best first, agree to `limit`. With same_edges, edges and counts are equal; without,
 * a few pairs may have crossed a bound. */
static void compare(const layer_analysis *a, const layer_analysis *b, double limit, bool same_edges)
{
    int64_t moved = 0;
    must_hold(a->edges.n == b->edges.n && a->edges.n > 0, a->name, "another number of edges");
    for (int64_t i = 0; i < a->edges.n && i < b->edges.n; i++) {
        const edge *e = &a->edges.edge[i], *f = &b->edges.edge[i];
        must_hold(fabs((double)e->sim - f->sim) <= limit, a->name, "another similarity");
        must_hold(!same_edges || (e->i == f->i && e->j == f->j), a->name, "another edge");
    }
    for (int k = 0; k < 10; k++) moved += llabs(a->histogram[k] - b->histogram[k]);
    must_hold(moved <= (same_edges ? 0 : 4), a->name, "another histogram");
    must_hold(llabs(a->negative - b->negative) <= (same_edges ? 0 : 2), a->name,
              "another number is negative");
    const double allowed = same_edges ? 1e-6 : 0.02;
    must_hold(fabs(a->yang.M - b->yang.M) <= allowed, a->name, "another M");
    must_hold(fabs(a->yang.r - b->yang.r) <= allowed, a->name, "another r");
    must_hold(fabs(a->lu.mean - b->lu.mean) <= allowed, a->name, "another Q");
}

/* A value may be rounded up on one device and down on another; in bf16 these differ by a relative 4e-3. */
static status run(backend *cuda, char *precision)
{
    status st = OK;
    char *settings[] = { precision,
                         "net.arch=resnet20",
                         "net.remove=[layer1.1, layer1.2, layer2.1, layer2.2, layer3.1, layer3.2]",
                         "data.format=synthetic",
                         "data.test_limit=40",
                         "analysis.samples=30",
                         "analysis.edges=100",
                         "analysis.histogram_samples=37",
                         "analysis.lu_batch=20",
                         "analysis.lu_batches=2",
                         "analysis.cka=12" };
    config *cfg = NULL;
    backend *cpu = NULL;
    dataset test = { 0 };
    analysis there = { 0 }, here = { 0 }, on_cpu = { 0 };
    const backend whole = *cuda;
    const bool rounded = strstr(precision, "bf16");
    TRY(config_load(NULL, settings, sizeof settings / sizeof *settings, &cfg));
    TRY(dataset_open(&cfg->data, cfg->net.classes, NULL, &test));
    TRY(cpu_open(1, &cpu));
    TRY(analyse(cfg, cuda, &test, &there));
    backend_products products_only = *whole.products;
    products_only.normalise_rows = NULL;
    products_only.count_tile = NULL;
    products_only.pick_from_tile = NULL;
    cuda->products = &products_only;
    TRY(analyse(cfg, cuda, &test, &here));
    TRY(analyse(cfg, cpu, &test, &on_cpu));
    must_hold(there.n_layers == 4 && here.n_layers == 4 && on_cpu.n_layers == 4, "net", "not four layers");
    for (int l = 0; l < there.n_layers; l++) {
        compare(&there.layer[l], &here.layer[l], rounded ? 1e-4 : 2e-7, !rounded);
        compare(&there.layer[l], &on_cpu.layer[l], rounded ? 1e-4 : 4e-6, false);
        for (int k = 0; k < there.n_layers; k++)
            must_hold(fabs(there.cka[l * there.n_layers + k] - on_cpu.cka[l * there.n_layers + k]) < 1e-4,
                      there.layer[l].name, "another CKA");
    }
out:
    cuda->products = whole.products;
    analysis_free(&there);
    analysis_free(&here);
    analysis_free(&on_cpu);
    dataset_free(&test);
    config_free(cfg);
    backend_close(cpu);
    return st;
}

int check_analysis(backend *cuda)
{
    n_wrong = 0;
    static char *const precision[] = { "analysis.precision=f32", "analysis.precision=bf16" };
    for (int i = 0; i < 2; i++)
        if (run(cuda, precision[i]) != OK) {
            printf("# %s\n", status_message());
            n_wrong++;
        }
    must_hold(run(cuda, "analysis.precision=int8") == ERR_USAGE, "int8", "not refused");
    return n_wrong;
}
