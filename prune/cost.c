/* prune/cost.c -- the median of many passes: one slow pass (another process, a page fault) does not count. */
#include "cost.h"

#include "../core/base/clock.h"
#include "../core/base/median.h"
#include "../core/base/rng.h"
#include "../nets/experiment.h"

#include <stdlib.h>

enum { CASE_ONE, CASE_BATCH, MAX_PASSES = 4096 };
static const double MIN_SECONDS = 0.5;

/* One pass as a user sees it: image in, logits out. */
static status pass(net *n, int which, const float *images, float *logits)
{
    status st = OK;
    const int rows = net_batch(n, which);
    TRY(net_input(n, which, images, NULL, rows));
    TRY(net_forward(n, which));
    TRY(net_logits(n, which, rows, logits)); /* waits for the device */
out:
    return st;
}

static status median_seconds(net *n, int which, int min_passes, const float *images, float *logits,
                             double *out)
{
    status st = OK;
    double seconds[MAX_PASSES], total = 0;
    int passes = 0;
    TRY(pass(n, which, images, logits)); /* warm-up: first touch of memory, packed weights */
    while (passes < MAX_PASSES && (passes < min_passes || total < MIN_SECONDS)) {
        double start = time_now();
        TRY(pass(n, which, images, logits));
        total += seconds[passes++] = time_now() - start;
    }
    *out = median(seconds, passes);
out:
    return st;
}

status cost_measure(const config *cfg, cost *out)
{
    status st = OK;
    experiment e = { 0 };
    float *images = NULL, *logits = NULL;
    double one, many;
    const int batch = cfg->train.batch;
    const size_t values = (size_t)batch * (size_t)image_values(dataset_shape(&cfg->data));
    const net_case cases[] = { [CASE_ONE] = { 1, false }, [CASE_BATCH] = { batch, false } };

    TRY(experiment_open(cfg, 0, &e));
    TRY(experiment_compile(&e, cases, 2));
    TRY(net_init(e.net, 0));
    TRY_ALLOC(images, malloc(values * sizeof *images));
    TRY_ALLOC(logits, malloc((size_t)batch * (size_t)cfg->net.classes * sizeof *logits));
    for (size_t i = 0; i < values; i++) images[i] = 2 * rng_uniform(0, RNG_TEST, 0, i) - 1;
    TRY(median_seconds(e.net, CASE_ONE, 20, images, logits, &one));
    TRY(median_seconds(e.net, CASE_BATCH, 3, images, logits, &many));
    *out = (cost){ net_param_count(e.net), net_macs(e.net), 1e3 * one, batch / many };
out:
    free(logits);
    free(images);
    experiment_close(&e);
    return st;
}
