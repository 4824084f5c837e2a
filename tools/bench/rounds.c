/* tools/bench/rounds.c -- what bench needs, its rounds, and the run with the loader. */
#include "rounds.h"

#include "../../core/base/log.h"
#include "../../core/base/progress.h"
#include "../../core/base/rng.h"
#include "../../data/loader.h"
#include "../../graph/edges.h"
#include "../../graph/histogram.h"
#include "../../nets/device.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

enum { EDGES = 40000 };

/* ---- steps ---- */

/* One training step with the images that net_input has put in; net_stats waits for the device. */
static status train_step(bench *b, double *seconds)
{
    status st = OK;
    loss_stats stats;
    const config_train *c = &b->cfg->train;
    const step_scalars s = { .lr = 1e-4f, .momentum = c->momentum, .weight_decay = c->weight_decay };
    const double start = time_now();
    TRY(net_step(b->e.net, CASE_TRAIN, &s));
    TRY(net_stats(b->e.net, &stats));
    *seconds = time_now() - start;
out:
    return st;
}

static status eval_batch(bench *b, double *seconds)
{
    status st = OK;
    loss_stats stats;
    const double start = time_now();
    TRY(net_forward(b->e.net, CASE_EVAL));
    TRY(net_stats(b->e.net, &stats));
    *seconds = time_now() - start;
out:
    return st;
}

static double peak_rss(void)
{
    struct rusage u;
    return getrusage(RUSAGE_SELF, &u) == 0 ? (double)u.ru_maxrss * 1024 : 0;
}

/* One training step and one inference batch, into sample[][round]. */
static status measure_net(bench *b, int round)
{
    status st = OK;
    TRY(net_input(b->e.net, CASE_TRAIN, b->images, b->labels, b->batch));
    TRY(train_step(b, &b->sample[TRAIN][round]));
    if (!b->peak_bytes) b->peak_bytes = peak_rss(); /* of training: before the first inference */
    TRY(net_input(b->e.net, CASE_EVAL, b->images, b->labels, b->batch));
    TRY(eval_batch(b, &b->sample[EVAL][round]));
out:
    return st;
}

/* ---- what a benchmark needs ---- */

/* Checked before minutes of measuring rather than after them. */
static status check_limits(const bench *b)
{
    status st = OK;
    const config_data *d = &b->cfg->data;
    const int limits[] = { d->train_limit, d->test_limit }; /* 0: none */
    for (int i = 0; i < 2; i++)
        if (limits[i] && limits[i] < b->batch)
            FAIL(ERR_USAGE, "data.%s_limit=%d is less than a batch of %d", i ? "test" : "train", limits[i],
                 b->batch);
out:
    return st;
}

static status prepare_net(bench *b)
{
    status st = OK;
    const config *c = b->cfg;
    const size_t values = (size_t)b->batch * (size_t)image_values(dataset_shape(&c->data));
    const net_case cases[] = { [CASE_EVAL] = { b->batch, false }, [CASE_TRAIN] = { b->batch, true } };
    TRY(experiment_open(c, 0, &b->e));
    log_info("%s: %s", b->e.why, b->e.device->description);
    TRY(experiment_compile(&b->e, cases, 2));
    TRY(net_init(b->e.net, c->seed));
    TRY_ALLOC(b->images, malloc(values * sizeof *b->images));
    TRY_ALLOC(b->labels, malloc((size_t)b->batch * sizeof *b->labels));
    for (size_t i = 0; i < values; i++) b->images[i] = rng_normal(c->seed, RNG_TEST, 0, i);
    for (int i = 0; i < b->batch; i++) b->labels[i] = i % c->net.classes;
    TRY(measure_net(b, 0)); /* the first one touches memory and packs weights: the first round replaces it */
out:
    return st;
}

static status start_peers(bench *b, const char *program)
{
    status st = OK;
    static const char *const modes[PEER_MODES] = { "contiguous", "channels_last" };
    char size[16], threads[16];
    if (!program) goto out;
    snprintf(size, sizeof size, "%d", b->batch);
    snprintf(threads, sizeof threads, "%d", b->e.device->threads);
    for (; b->n_peers < PEER_MODES; b->n_peers++) {
        char *argv[] = { (char *)program,           b->cfg->net.arch, size, (char *)config_precision(b->cfg),
                         (char *)modes[b->n_peers], threads,          NULL };
        TRY(bench_peer_start(&b->peer[b->n_peers], argv));
        TRY(bench_peer_ask(&b->peer[b->n_peers], "memory", &b->peer_peak_bytes[b->n_peers]));
    }
out:
    return st;
}

static status prepare_ceiling(bench *b)
{
    status st = OK;
    op *convs = NULL, o;
    int n = 0;
    const net_case training = { b->batch, true };
    backend *d = b->e.device;
    if (!d->measure) goto out;
    for (int i = 0; net_op(b->e.net, i, training, b->e.type, &o); i++) n += o.kind == OP_CONV;
    TRY_ALLOC(convs, calloc((size_t)n, sizeof *convs));
    n = 0;
    for (int i = 0; net_op(b->e.net, i, training, b->e.type, &o); i++)
        if (o.kind == OP_CONV) convs[n++] = o;
    log_info("timing the library's convolutions for %d layers", n);
    TRY(d->measure->ceiling_open(d, convs, n, &b->ceiling));
out:
    free(convs);
    return st;
}

static size_t feature_bytes(const bench *b)
{
    return (size_t)b->n_features * FEATURE_DIM * dtype_bytes(b->e.type);
}

static status prepare_features(bench *b)
{
    status st = OK;
    float *host = NULL;
    void *memory;
    backend *d = b->e.device;
    b->n_features = b->cfg->analysis.samples;
    const size_t count = (size_t)b->n_features * FEATURE_DIM;
    TRY_ALLOC(host, malloc(2 * count * sizeof *host)); /* the second half for rounded values */
    for (size_t i = 0; i < count; i++) host[i] = rng_uniform(b->cfg->seed, RNG_TEST, 1, i);
    similarity_normalise(host, b->n_features, FEATURE_DIM, NULL);
    TRY(d->alloc(d, feature_bytes(b), &memory));
    b->features = memory;
    uint16_t *rounded = (uint16_t *)(host + count);
    for (size_t i = 0; b->e.type == BF16 && i < count; i++) rounded[i] = bf16_from(host[i]);
    TRY(d->upload(d, b->features, b->e.type == BF16 ? (void *)rounded : host, feature_bytes(b)));
out:
    free(host);
    return st;
}

status bench_open(bench *b, const char *peer_program)
{
    status st = OK;
    b->batch = b->cfg->train.batch;
    TRY(check_limits(b));
    TRY(prepare_net(b));
    TRY(start_peers(b, peer_program));
    TRY(prepare_ceiling(b));
    TRY(prepare_features(b));
out:
    return st;
}

void bench_close(bench *b)
{
    backend *d = b->e.device;
    for (int i = 0; i < b->n_peers; i++) bench_peer_stop(&b->peer[i]);
    if (b->ceiling) d->measure->ceiling_close(b->ceiling);
    if (b->features) d->release(d, b->features, feature_bytes(b));
    free(b->images);
    free(b->labels);
    experiment_close(&b->e);
    config_free(b->cfg);
}

/* ---- rounds ---- */

static status measure_ceiling(bench *b, int round)
{
    status st = OK;
    double seconds[3];
    if (!b->ceiling) goto out;
    TRY(b->e.device->measure->ceiling_run(b->ceiling, seconds, &b->sample[PRODUCT][round]));
    b->sample[CEILING][round] = seconds[0] + seconds[1] + seconds[2];
    b->sample[CEILING_SHARE][round] = b->sample[CEILING][round] / b->sample[TRAIN][round];
out:
    return st;
}

/* All pairs of the features, with the consumers that analyze has for all of them: histogram and edges. */
static status measure_similarity(bench *b, int round)
{
    status st = OK;
    similarity_sweep sweep = { 0 };
    edge_top edges = { 0 };
    edge_list list = { 0 };
    histogram h = { .limit = b->n_features };
    int32_t *vertex = NULL;
    const similarity_consumer consumers[] = { { histogram_take, &h }, { edge_top_take, &edges } };
    const similarity_rows rows = { b->features, b->n_features, b->n_features, 0, b->e.type };
    TRY_ALLOC(vertex, malloc((size_t)b->n_features * sizeof *vertex));
    for (int i = 0; i < b->n_features; i++) vertex[i] = i;
    TRY(edge_top_open(&edges, EDGES, b->n_features, vertex));
    TRY(similarity_open(&sweep, b->e.device, consumers, 2));
    const double start = time_now();
    TRY(similarity_triangle(&sweep, rows, FEATURE_DIM));
    TRY(edge_top_finish(&edges, &list));
    const double pairs = 0.5 * b->n_features * (b->n_features - 1.0);
    b->sample[SIMILARITY][round] = 2 * pairs * FEATURE_DIM / (time_now() - start) / 1e9;
    b->sample[PRODUCT_SHARE][round] =
        b->ceiling ? b->sample[SIMILARITY][round] / b->sample[PRODUCT][round] : 0;
out:
    free(list.edge);
    similarity_close(&sweep);
    edge_top_close(&edges);
    free(vertex);
    return st;
}

static status measure_peers(bench *b, int round)
{
    status st = OK;
    for (int i = 0; i < b->n_peers; i++) {
        TRY(bench_peer_ask(&b->peer[i], "train", &b->sample[PEER_TRAIN + i][round]));
        TRY(bench_peer_ask(&b->peer[i], "eval", &b->sample[PEER_EVAL + i][round]));
        b->sample[TIMES_TRAIN + i][round] = b->sample[PEER_TRAIN + i][round] / b->sample[TRAIN][round];
        b->sample[TIMES_EVAL + i][round] = b->sample[PEER_EVAL + i][round] / b->sample[EVAL][round];
    }
out:
    return st;
}

/* ---- the run with the loader ---- */

/* Training or inference with batches from the loader. The time of training is also divided by kind of work. */
static status run_loader(bench *b, const dataset *set, bool training, double *rate)
{
    status st = OK;
    loader *l = NULL;
    const loader_options o = {
        .batch = b->batch, .shuffle = training, .augment = training, .seed = b->cfg->seed
    };
    int images = 0;
    TRY(loader_open(set, &b->cfg->data, &o, &l));
    TRY(loader_start(l, 0, 0, NULL, 0));
    const double start = time_now();
    for (double data = time_now(), seconds;; data = time_now()) {
        const batch *next;
        TRY(loader_next(l, &next));
        if (!next || next->n < b->batch) break;
        TRY(net_input(b->e.net, training ? CASE_TRAIN : CASE_EVAL, next->x, next->label, next->n));
        if (training) b->data_seconds += time_now() - data;
        TRY(training ? train_step(b, &seconds) : eval_batch(b, &seconds));
        images += next->n;
    }
    const double seconds = time_now() - start;
    if (training) b->loader_seconds = seconds;
    *rate = images / seconds;
out:
    loader_close(l);
    return st;
}

static void count_work(const bench *b, double *seconds)
{
    backend *d = b->e.device;
    if (d->measure) d->measure->count_work(d, seconds);
}

static status measure_loader(bench *b)
{
    status st = OK;
    config_data *d = &b->cfg->data;
    if (!d->train_limit) d->train_limit = b->batch * b->rounds;
    if (!d->test_limit) d->test_limit = b->batch * b->rounds;
    TRY(dataset_open(d, b->cfg->net.classes, &b->e.train, &b->e.test));
    if (b->e.train.n < b->batch || b->e.test.n < b->batch)
        FAIL(ERR_USAGE, "the data set has fewer images than a batch of %d", b->batch);
    count_work(b, b->work);
    TRY(run_loader(b, &b->e.train, true, &b->loader_train));
    count_work(b, NULL);
    TRY(run_loader(b, &b->e.test, false, &b->loader_eval));
out:
    count_work(b, NULL);
    return st;
}

status bench_measure(bench *b)
{
    status st = OK;
    progress bar;
    progress_start(&bar, "bench", "rounds", b->rounds);
    for (int r = 0; r < b->rounds; r++) {
        TRY(measure_net(b, r));
        TRY(measure_ceiling(b, r));
        TRY(measure_similarity(b, r));
        TRY(measure_peers(b, r));
        progress_update(&bar, r + 1, "");
    }
    TRY(measure_loader(b));
out:
    progress_end(&bar);
    return st;
}
