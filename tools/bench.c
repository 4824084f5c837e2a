/* tools/bench.c -- bench [key=value ...]: how fast, and how close to what the library's convolutions allow.
 *
 * Other programs may disturb a measurement, so it goes in rounds: each runs one training step, one inference
 * batch, the convolutions alone, the similarity matrix, and the peer's steps, one after the other. Every
 * figure is the median over the rounds, and every ratio the median of the rounds' ratios. */
#include "../core/device.h"
#include "../core/log.h"
#include "../core/progress.h"
#include "../core/rng.h"
#include "../data/loader.h"
#include "../graph/edges.h"
#include "../graph/histogram.h"
#include "../nets/fit.h"
#include "bench/peer.h"
#include "cli.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

static const char *peer_program, *rounds_text;
static bool as_row;
static const cli_option options[] = {
    { "--peer", "PROGRAM", "measure PROGRAM beside it, e.g. tests/peer/bench_torch.py", NULL, &peer_program },
    { "--rounds", "N", "rounds to take the median of (default 5)", NULL, &rounds_text },
    { "--row", NULL, "print one line of the table of `make bench`", &as_row, NULL },
};
static const cli_tool tool = {
    .name = "bench",
    .synopsis = "[key=value ...] [--peer PROGRAM] [--rounds N]",
    .about =
        "Measures training and inference of a net on random images and with the loader (data.*; generated "
        "images\n"
        "if no data are named), the convolutions of the same net alone in the library's best algorithms and\n"
        "layouts, where the time goes, peak memory, and the rate of the similarity matrix against the best\n"
        "matrix product.",
    .examples = "  bench net.arch=resnet18\n"
                "  bench net.arch=vgg11_bn precision=bf16 train.batch=128 --json\n"
                "  bench net.arch=resnet56 --peer tests/peer/bench_torch.py\n",
    .options = options,
    .n_options = 3,
};

enum { CASE_EVAL, CASE_TRAIN };
enum { MAX_ROUNDS = 99, MODES = 2, GRAM_EDGES = 40000 };
enum { GRAM_DIM = 16384 }; /* a hook of middle size: resnet20's first stage, resnet18's third */

/* What a round measures: seconds, or a rate. */
typedef enum measure {
    TRAIN,
    EVAL,
    CEILING,
    SHARE, /* of the net; SHARE = CEILING / TRAIN */
    GRAM,
    GEMM,
    GRAM_SHARE, /* GFLOP/s */
    PEER_TRAIN,
    PEER_EVAL = PEER_TRAIN + MODES, /* of each mode of the peer */
    TIMES_TRAIN = PEER_EVAL + MODES,
    TIMES_EVAL = TIMES_TRAIN + MODES, /* how often it takes as long as we do */
    MEASURES = TIMES_EVAL + MODES
} measure;

typedef struct bench {
    const cli *args;
    config *cfg;
    backend *device;
    net *net;
    ceiling *ceiling;
    bench_peer peer[MODES];
    int n_peers, batch, rounds;
    float *images;   /* [batch, 3, 32, 32] */
    int32_t *labels; /* [batch] */
    double sample[MEASURES][MAX_ROUNDS];
    double peak_bytes, peer_peak_bytes[MODES];
    double loader_train, loader_eval; /* images/s */
    double work[WORK_KINDS], data_seconds, loader_seconds;
    void *features; /* of the device, in the net's precision */
    int n_features;
} bench;

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(const bench *b, int m)
{
    double sorted[MAX_ROUNDS];
    memcpy(sorted, b->sample[m], sizeof sorted);
    qsort(sorted, (size_t)b->rounds, sizeof *sorted, ascending);
    return b->rounds % 2 ? sorted[b->rounds / 2] : (sorted[b->rounds / 2 - 1] + sorted[b->rounds / 2]) / 2;
}

static double images_per_s(const bench *b, int m)
{
    return b->batch / median(b, m);
}

static double peak_rss(void)
{
    struct rusage u;
    return getrusage(RUSAGE_SELF, &u) == 0 ? (double)u.ru_maxrss * 1024 : 0;
}

/* ---- what is measured ---- */

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

static status measure_net(bench *b, int round)
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
    TRY(b->device->ceiling_run(b->ceiling, seconds, &b->sample[GEMM][round]));
    b->sample[CEILING][round] = seconds[0] + seconds[1] + seconds[2];
    b->sample[SHARE][round] = b->sample[CEILING][round] / b->sample[TRAIN][round];
out:
    return st;
}

static dtype type_of(const bench *b)
{
    return config_type(b->cfg);
}

/* All pairs of the features, with the histogram and the edges that analyze wants of them. */
static status measure_gram(bench *b, int round)
{
    status st = OK;
    gram g = { 0 };
    edge_top edges = { 0 };
    edge_list list = { 0 };
    histogram h = { .limit = b->n_features };
    int32_t *vertex = NULL;
    const gram_consumer consumers[] = { { histogram_take, &h }, { edge_top_take, &edges } };
    TRY_ALLOC(vertex, malloc((size_t)b->n_features * sizeof *vertex));
    for (int i = 0; i < b->n_features; i++) vertex[i] = i;
    TRY(edge_top_open(&edges, GRAM_EDGES, b->n_features, vertex));
    TRY(gram_open(&g, b->device, consumers, 2));
    const double start = time_now();
    TRY(gram_triangle(&g, (gram_rows){ b->features, b->n_features, b->n_features, 0, type_of(b) }, GRAM_DIM));
    TRY(edge_top_finish(&edges, &list));
    const double pairs = 0.5 * b->n_features * (b->n_features - 1.0);
    b->sample[GRAM][round] = 2 * pairs * GRAM_DIM / (time_now() - start) / 1e9;
    b->sample[GRAM_SHARE][round] = b->ceiling ? b->sample[GRAM][round] / b->sample[GEMM][round] : 0;
out:
    free(list.edge);
    gram_close(&g);
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

/* The same with batches from the loader; this is also the run whose time is divided by kind of work. */
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
    b->device->work = b->work;
    TRY(run_loader(b, &train, true, &b->loader_train));
    b->device->work = NULL;
    TRY(run_loader(b, &test, false, &b->loader_eval));
out:
    b->device->work = NULL;
    dataset_free(&train);
    dataset_free(&test);
    return st;
}

/* ---- preparing ---- */

static status prepare_net(bench *b)
{
    status st = OK;
    const config *c = b->cfg;
    const size_t values = (size_t)b->batch * IMAGE_VALUES;
    const net_case cases[] = { [CASE_EVAL] = { b->batch, false }, [CASE_TRAIN] = { b->batch, true } };
    char why[256];
    TRY(net_create(c->net.arch, c->net.classes, c->net.remove, c->net.remove_count, &b->net));
    TRY(device_open(c, &b->device, why, sizeof why));
    log_info("%s: %s", why, b->device->description);
    TRY(net_compile(b->net, b->device, type_of(b), cases, 2));
    TRY(net_init(b->net, c->seed));
    TRY_ALLOC(b->images, malloc(values * sizeof *b->images));
    TRY_ALLOC(b->labels, malloc((size_t)b->batch * sizeof *b->labels));
    for (size_t i = 0; i < values; i++) b->images[i] = rng_normal(c->seed, RNG_TEST, 0, i);
    for (int i = 0; i < b->batch; i++) b->labels[i] = i % c->net.classes;
    TRY(measure_net(b, 0)); /* first touch of memory, packed weights */
out:
    return st;
}

static status prepare_ceiling(bench *b)
{
    status st = OK;
    op *convs = NULL, o;
    int n = 0;
    const net_case training = { b->batch, true };
    if (!b->device->ceiling_open) goto out;
    for (int i = 0; net_op(b->net, i, training, type_of(b), &o); i++) n += o.kind == OP_CONV;
    TRY_ALLOC(convs, calloc((size_t)n, sizeof *convs));
    n = 0;
    for (int i = 0; net_op(b->net, i, training, type_of(b), &o); i++)
        if (o.kind == OP_CONV) convs[n++] = o;
    log_info("timing the library's convolutions for %d layers", n);
    TRY(b->device->ceiling_open(b->device, convs, n, &b->ceiling));
out:
    free(convs);
    return st;
}

static status prepare_features(bench *b)
{
    status st = OK;
    float *host = NULL;
    void *memory;
    const size_t count = (size_t)b->cfg->analysis.samples * GRAM_DIM;
    const dtype type = type_of(b);
    b->n_features = b->cfg->analysis.samples;
    TRY_ALLOC(host, malloc(2 * count * sizeof *host)); /* and what is rounded */
    for (size_t i = 0; i < count; i++) host[i] = rng_uniform(b->cfg->seed, RNG_TEST, 1, i);
    gram_normalise(host, b->n_features, GRAM_DIM, NULL);
    TRY(b->device->alloc(b->device, count * dtype_bytes(type), &memory));
    b->features = memory;
    void *half = host + count;
    for (size_t i = 0; type == BF16 && i < count; i++) ((uint16_t *)half)[i] = bf16_from(host[i]);
    TRY(b->device->upload(b->device, b->features, type == BF16 ? half : host, count * dtype_bytes(type)));
out:
    free(host);
    return st;
}

static status start_peers(bench *b)
{
    status st = OK;
    static const char *const modes[MODES] = { "contiguous", "channels_last" };
    char size[16], threads[16];
    if (!peer_program) goto out;
    snprintf(size, sizeof size, "%d", b->batch);
    snprintf(threads, sizeof threads, "%d", b->device->threads);
    for (; b->n_peers < MODES; b->n_peers++) {
        char *argv[] = { (char *)peer_program,      b->cfg->net.arch, size, (char *)config_precision(b->cfg),
                         (char *)modes[b->n_peers], threads,          NULL };
        TRY(bench_peer_start(&b->peer[b->n_peers], argv));
        TRY(bench_peer_ask(&b->peer[b->n_peers], "memory", &b->peer_peak_bytes[b->n_peers]));
    }
out:
    return st;
}

static status measure_all(bench *b)
{
    status st = OK;
    progress bar;
    progress_start(&bar, "bench", b->rounds);
    for (int r = 0; r < b->rounds; r++) {
        TRY(measure_net(b, r));
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

/* ---- the result ---- */

typedef struct share {
    const char *name;
    double value;
} share;
enum { SHARES = 7 };

/* Of the run with the loader. */
static void time_shares(const bench *b, share out[SHARES])
{
    const double total = b->loader_seconds;
    double known = b->data_seconds;
    for (int k = WORK_OTHER + 1; k < WORK_KINDS; k++) known += b->work[k];
    out[0] = (share){ "conv", b->work[WORK_CONV] / total };
    out[1] = (share){ "bn", b->work[WORK_BN] / total };
    out[2] = (share){ "elementwise", b->work[WORK_ELEMENTWISE] / total };
    out[3] = (share){ "reorder", b->work[WORK_REORDER] / total };
    out[4] = (share){ "optimizer", b->work[WORK_OPTIMIZER] / total };
    out[5] = (share){ "data", b->data_seconds / total };
    out[6] = (share){ "other", (total - known) / total };
}

/* The peer's faster mode, in training or inference; -1 without a peer. */
static int best_mode(const bench *b, int m)
{
    int best = b->n_peers - 1;
    for (int i = 0; i < b->n_peers; i++)
        if (median(b, m + i) < median(b, m + best)) best = i;
    return best;
}

static double ceiling_rate(const bench *b)
{
    return b->ceiling ? images_per_s(b, CEILING) : 0;
}

static bool add_peer(cJSON *j, const bench *b)
{
    const int train = best_mode(b, PEER_TRAIN), eval = best_mode(b, PEER_EVAL);
    if (train < 0) return true;
    cJSON *p = cJSON_AddObjectToObject(j, "peer");
    return p && cJSON_AddStringToObject(p, "train_mode", b->peer[train].name) &&
           cJSON_AddStringToObject(p, "eval_mode", b->peer[eval].name) &&
           cJSON_AddNumberToObject(p, "train_images_per_s", images_per_s(b, PEER_TRAIN + train)) &&
           cJSON_AddNumberToObject(p, "eval_images_per_s", images_per_s(b, PEER_EVAL + eval)) &&
           cJSON_AddNumberToObject(p, "times_train", median(b, TIMES_TRAIN + train)) &&
           cJSON_AddNumberToObject(p, "times_eval", median(b, TIMES_EVAL + eval)) &&
           cJSON_AddNumberToObject(p, "peak_rss_bytes", b->peer_peak_bytes[train]);
}

static bool add_shares(cJSON *j, const bench *b)
{
    share shares[SHARES];
    cJSON *s = cJSON_AddObjectToObject(j, "time_share");
    bool good = s != NULL;
    time_shares(b, shares);
    for (int i = 0; good && i < SHARES; i++)
        good = cJSON_AddNumberToObject(s, shares[i].name, shares[i].value);
    return good;
}

static bool add_gram(cJSON *j, const bench *b)
{
    cJSON *g = cJSON_AddObjectToObject(j, "gram");
    return g && cJSON_AddNumberToObject(g, "n", b->n_features) && cJSON_AddNumberToObject(g, "d", GRAM_DIM) &&
           cJSON_AddNumberToObject(g, "gflops", median(b, GRAM)) &&
           cJSON_AddNumberToObject(g, "gemm_gflops", b->ceiling ? median(b, GEMM) : 0);
}

static status print_json(const bench *b)
{
    status st = OK;
    cJSON *j = cJSON_CreateObject();
    if (!cJSON_AddStringToObject(j, "arch", b->cfg->net.arch) ||
        !cJSON_AddStringToObject(j, "device", b->device->name) ||
        !cJSON_AddStringToObject(j, "precision", config_precision(b->cfg)) ||
        !cJSON_AddNumberToObject(j, "batch", b->batch) ||
        !cJSON_AddNumberToObject(j, "threads", b->device->threads) ||
        !cJSON_AddNumberToObject(j, "train_images_per_s", images_per_s(b, TRAIN)) ||
        !cJSON_AddNumberToObject(j, "eval_images_per_s", images_per_s(b, EVAL)) ||
        !cJSON_AddNumberToObject(j, "loader_train_images_per_s", b->loader_train) ||
        !cJSON_AddNumberToObject(j, "loader_eval_images_per_s", b->loader_eval) ||
        !cJSON_AddNumberToObject(j, "ceiling_images_per_s", ceiling_rate(b)) ||
        !cJSON_AddNumberToObject(j, "share_of_ceiling", b->ceiling ? median(b, SHARE) : 0) ||
        !cJSON_AddNumberToObject(j, "peak_rss_bytes", b->peak_bytes) || !add_shares(j, b) ||
        !add_gram(j, b) || !add_peer(j, b))
        FAIL(ERR_RUNTIME, "out of memory");
    TRY(cli_print_json(b->args, j));
out:
    cJSON_Delete(j);
    return st;
}

static void print_peer(const bench *b)
{
    const int train = best_mode(b, PEER_TRAIN), eval = best_mode(b, PEER_EVAL);
    if (train < 0) return;
    printf("  %-22s %8.1f images/s   %.2f times as fast   %s\n", "peer, training",
           images_per_s(b, PEER_TRAIN + train), median(b, TIMES_TRAIN + train), b->peer[train].name);
    printf("  %-22s %8.1f images/s   %.2f times as fast   %s\n", "peer, inference",
           images_per_s(b, PEER_EVAL + eval), median(b, TIMES_EVAL + eval), b->peer[eval].name);
    printf("  %-22s %8.0f MiB        here %.2f of it\n", "peer, peak memory",
           b->peer_peak_bytes[train] / (1 << 20), b->peak_bytes / b->peer_peak_bytes[train]);
}

static void print_text(const bench *b)
{
    share shares[SHARES];
    printf("%s, %s, batch %d, on %s: %s; medians of %d rounds\n", b->cfg->net.arch, config_precision(b->cfg),
           b->batch, b->device->name, b->device->description, b->rounds);
    printf("  %-22s %8.1f images/s   with the loader %.1f\n", "training", images_per_s(b, TRAIN),
           b->loader_train);
    printf("  %-22s %8.1f images/s   with the loader %.1f\n", "inference", images_per_s(b, EVAL),
           b->loader_eval);
    if (b->ceiling)
        printf("  %-22s %8.1f images/s   training reaches %.2f of it\n", "convolutions alone",
               ceiling_rate(b), median(b, SHARE));
    printf("  %-22s %8.0f MiB\n", "peak memory", b->peak_bytes / (1 << 20));
    print_peer(b);
    printf("  %-22s %8.0f GFLOP/s    of %d x %d features", "similarity matrix", median(b, GRAM),
           b->n_features, GRAM_DIM);
    if (b->ceiling) printf("; best product %.0f: %.2f of it", median(b, GEMM), median(b, GRAM_SHARE));
    printf("\n  time of training with the loader:");
    time_shares(b, shares);
    for (int i = 0; i < SHARES; i++)
        printf("%s %s %.1f %%", i ? "," : "", shares[i].name, 100 * shares[i].value);
    printf("\n");
}

static void print_row(const bench *b)
{
    const int train = best_mode(b, PEER_TRAIN), eval = best_mode(b, PEER_EVAL);
    printf("| %-11s | %-4s | %7.1f | %7.1f | %5.2f |", b->cfg->net.arch, config_precision(b->cfg),
           images_per_s(b, TRAIN), ceiling_rate(b), b->ceiling ? median(b, SHARE) : 0);
    if (train < 0)
        printf("       - |     - | %7.1f |       - |     - | %5.0f |    - |\n", images_per_s(b, EVAL),
               b->peak_bytes / (1 << 20));
    else
        printf(" %7.1f | %5.2f | %7.1f | %7.1f | %5.2f | %5.0f | %4.2f |\n",
               images_per_s(b, PEER_TRAIN + train), median(b, TIMES_TRAIN + train), images_per_s(b, EVAL),
               images_per_s(b, PEER_EVAL + eval), median(b, TIMES_EVAL + eval), b->peak_bytes / (1 << 20),
               b->peak_bytes / b->peer_peak_bytes[train]);
}

static status print_result(const bench *b)
{
    if (b->args->json) return print_json(b);
    if (as_row)
        print_row(b);
    else
        print_text(b);
    return fflush(stdout) ? status_set(ERR_RUNTIME, __FILE__, __LINE__, "stdout: write failed") : OK;
}

/* ---- the whole ---- */

static status read_rounds(bench *b)
{
    status st = OK;
    char *end;
    b->rounds = 5;
    if (!rounds_text) goto out;
    const long n = strtol(rounds_text, &end, 10);
    if (end == rounds_text || *end || n < 1 || n > MAX_ROUNDS)
        FAIL(ERR_USAGE, "--rounds %s: a whole number from 1 to %d is wanted", rounds_text, MAX_ROUNDS);
    b->rounds = (int)n;
out:
    return st;
}

static status bench_run(bench *b)
{
    status st = OK;
    const config_source generated = { "bench", "data: {format: synthetic}" };
    TRY(read_rounds(b));
    TRY(config_build(&generated, 1, b->args->overrides, b->args->n_overrides, &b->cfg));
    b->batch = b->cfg->train.batch;
    TRY(prepare_net(b));
    TRY(start_peers(b));
    TRY(prepare_ceiling(b));
    TRY(prepare_features(b));
    TRY(measure_all(b));
    TRY(print_result(b));
out:
    return st;
}

static void bench_close(bench *b)
{
    for (int i = 0; i < b->n_peers; i++) bench_peer_stop(&b->peer[i]);
    if (b->ceiling) b->device->ceiling_close(b->ceiling);
    if (b->features)
        b->device->release(b->device, b->features,
                           (size_t)b->n_features * GRAM_DIM * dtype_bytes(type_of(b)));
    free(b->images);
    free(b->labels);
    net_free(b->net);
    backend_close(b->device);
    config_free(b->cfg);
}

static status work(const cli *args)
{
    static bench b;
    b.args = args;
    const status st = bench_run(&b);
    bench_close(&b);
    return st;
}

int main(int argc, char **argv)
{
    return cli_main(&tool, argc, argv, work);
}
