/* prune/cost.c -- the median of many passes: one slow pass (another process, a page fault) does not count. */
#include "cost.h"
#include "../core/base/progress.h"
#include "../core/base/rng.h"
#include "../nets/device.h"
#include "../nets/run.h"
#include <stdlib.h>

enum { CASE_ONE, CASE_BATCH, MAX_PASSES = 4096 };
static const double MIN_SECONDS = 0.5;

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* One pass as a user sees it: image in, logits out. */
static status pass(net *n, int which, int rows, const float *images, float *logits)
{
    status st = OK;
    TRY(net_input(n, which, images, NULL, rows));
    TRY(net_forward(n, which));
    TRY(net_logits(n, which, rows, logits)); /* waits for the device */
out:
    return st;
}

static status median_seconds(net *n, int which, int rows, int min_passes, const float *images, float *logits,
                             double *out)
{
    status st = OK;
    double seconds[MAX_PASSES], total = 0;
    int passes = 0;
    TRY(pass(n, which, rows, images, logits)); /* warm-up: first touch of memory, packed weights */
    while (passes < MAX_PASSES && (passes < min_passes || total < MIN_SECONDS)) {
        double start = time_now();
        TRY(pass(n, which, rows, images, logits));
        total += seconds[passes++] = time_now() - start;
    }
    qsort(seconds, (size_t)passes, sizeof *seconds, ascending);
    *out = seconds[passes / 2];
out:
    return st;
}

status cost_measure(const char *arch, int classes, char *const *remove, unsigned n_remove, const char *device,
                    int threads, dtype type, int batch, cost *out)
{
    status st = OK;
    backend *b = NULL;
    net *n = NULL;
    float *images = NULL, *logits = NULL;
    double one, many;
    const size_t count = (size_t)batch * 3 * 32 * 32;
    const net_case cases[] = { [CASE_ONE] = { 1, false }, [CASE_BATCH] = { batch, false } };

    TRY(net_create(arch, classes, remove, n_remove, &n));
    TRY(backend_open(device, threads, &b, NULL, 0));
    TRY(net_compile(n, b, type, cases, 2));
    TRY(net_init(n, 0));
    TRY_ALLOC(images, malloc(count * sizeof *images));
    TRY_ALLOC(logits, malloc((size_t)batch * (size_t)classes * sizeof *logits));
    for (size_t i = 0; i < count; i++) images[i] = 2 * rng_uniform(0, RNG_TEST, 0, i) - 1;
    TRY(median_seconds(n, CASE_ONE, 1, 20, images, logits, &one));
    TRY(median_seconds(n, CASE_BATCH, batch, 3, images, logits, &many));
    *out = (cost){ net_param_count(n), net_macs(n), 1e3 * one, batch / many };
out:
    free(logits);
    free(images);
    net_free(n);
    backend_close(b);
    return st;
}
