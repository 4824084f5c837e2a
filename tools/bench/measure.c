/* tools/bench/measure.c -- the rounds, and the run with the loader. */
#include "../../nets/device.h"
#include "../../core/base/progress.h"
#include "../../data/loader.h"
#include "../../graph/edges.h"
#include "../../graph/histogram.h"
#include "bench.h"

#include <stdlib.h>
#include <sys/resource.h>

enum { GRAM_EDGES = 40000 };

static double peak_rss(void)
{
    struct rusage u;
    return getrusage(RUSAGE_SELF, &u) == 0 ? (double)u.ru_maxrss * 1024 : 0;
}

/* One training step on what net_input has put in; reading the statistics waits for the device. */
static status train_step(bench *b, double *seconds)
{
    status st = OK;
    loss_stats stats;
    const config_train *c = &b->cfg->train;
    const step_scalars s = { .lr = 1e-4f, .momentum = c->momentum, .weight_decay = c->weight_decay };
    const double start = time_now();
    TRY(net_step(b->net, CASE_TRAIN, &s));
    TRY(net_stats(b->net, &stats));
    *seconds = time_now() - start;
out:
    return st;
}

static status eval_batch(bench *b, double *seconds)
{
    status st = OK;
    loss_stats stats;
    const double start = time_now();
    TRY(net_forward(b->net, CASE_EVAL));
    TRY(net_stats(b->net, &stats));
    *seconds = time_now() - start;
out:
    return st;
}

status bench_measure_net(bench *b, int round)
{
    status st = OK;
    TRY(net_input(b->net, CASE_TRAIN, b->images, b->labels, b->batch));
    TRY(train_step(b, &b->sample[TRAIN][round]));
    if (!b->peak_bytes) b->peak_bytes = peak_rss(); /* of training: before the first inference */
    TRY(net_input(b->net, CASE_EVAL, b->images, b->labels, b->batch));
    TRY(eval_batch(b, &b->sample[EVAL][round]));
out:
    return st;
}

static status measure_ceiling(bench *b, int round)
{
    status st = OK;
    double seconds[3];
    if (!b->ceiling) goto out;
    TRY(b->device->measure->ceiling_run(b->ceiling, seconds, &b->sample[GEMM][round]));
    b->sample[CEILING][round] = seconds[0] + seconds[1] + seconds[2];
    b->sample[SHARE][round] = b->sample[CEILING][round] / b->sample[TRAIN][round];
out:
    return st;
}

/* All pairs of the features, with the histogram and the edges that analyze wants of them. */
static status measure_gram(bench *b, int round)
{
    status st = OK;
    similarity_sweep g = { 0 };
    edge_top edges = { 0 };
    edge_list list = { 0 };
    histogram h = { .limit = b->n_features };
    int32_t *vertex = NULL;
    const similarity_consumer consumers[] = { { histogram_take, &h }, { edge_top_take, &edges } };
    TRY_ALLOC(vertex, malloc((size_t)b->n_features * sizeof *vertex));
    for (int i = 0; i < b->n_features; i++) vertex[i] = i;
    TRY(edge_top_open(&edges, GRAM_EDGES, b->n_features, vertex));
    TRY(similarity_open(&g, b->device, consumers, 2));
    const double start = time_now();
    TRY(similarity_triangle(&g, (similarity_rows){ b->features, b->n_features, b->n_features, 0, config_type(b->cfg) },
                      GRAM_DIM));
    TRY(edge_top_finish(&edges, &list));
    const double pairs = 0.5 * b->n_features * (b->n_features - 1.0);
    b->sample[GRAM][round] = 2 * pairs * GRAM_DIM / (time_now() - start) / 1e9;
    b->sample[GRAM_SHARE][round] = b->ceiling ? b->sample[GRAM][round] / b->sample[GEMM][round] : 0;
out:
    free(list.edge);
    similarity_close(&g);
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

/* Training or inference with batches from the loader; training is also the run whose time is divided by kind of
 * work. */
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
        TRY(net_input(b->net, training ? CASE_TRAIN : CASE_EVAL, next->x, next->label, next->n));
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
    if (b->device->measure) b->device->measure->count_work(b->device, seconds);
}

static status measure_loader(bench *b)
{
    status st = OK;
    dataset train = { 0 }, test = { 0 };
    config_data *d = &b->cfg->data;
    if (!d->train_limit) d->train_limit = b->batch * b->rounds;
    if (!d->test_limit) d->test_limit = b->batch * b->rounds;
    TRY(dataset_open(d, b->cfg->net.classes, &train, &test));
    if (train.n < b->batch || test.n < b->batch)
        FAIL(ERR_USAGE, "the data set has fewer images than a batch of %d", b->batch);
    count_work(b, b->work);
    TRY(run_loader(b, &train, true, &b->loader_train));
    count_work(b, NULL);
    TRY(run_loader(b, &test, false, &b->loader_eval));
out:
    count_work(b, NULL);
    dataset_free(&train);
    dataset_free(&test);
    return st;
}

status bench_measure(bench *b)
{
    status st = OK;
    progress bar;
    progress_start(&bar, "bench", b->rounds);
    for (int r = 0; r < b->rounds; r++) {
        TRY(bench_measure_net(b, r));
        TRY(measure_ceiling(b, r));
        TRY(measure_gram(b, r));
        TRY(measure_peers(b, r));
        progress_update(&bar, r + 1, "");
    }
    TRY(measure_loader(b));
out:
    progress_end(&bar);
    return st;
}
