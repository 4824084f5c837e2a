/* tools/bench.c -- bench [key=value ...]: how fast training and inference are, and how close they come to
 * the speed of the library's convolutions alone. tools/bench/ measures; here is the command line, and the results as JSON, text or a table row. */
#include "../core/base/json.h"
#include "../core/base/median.h"
#include "../nets/device.h"
#include "bench/rounds.h"
#include "cli.h"

#include <stdio.h>
#include <string.h>

static const char *peer_program, *rounds_text;
static bool as_row;
static const cli_option options[] = {
    { "--peer", "PROGRAM", "also measure PROGRAM, e.g. tests/peer/bench_torch.py", NULL, &peer_program },
    { "--rounds", "N", "rounds to take the median of (default 5)", NULL, &rounds_text },
    { "--row", NULL, "print one line of the table of `make bench`", &as_row, NULL },
};
static const cli_tool tool = {
    .name = "bench",
    .synopsis = "[key=value ...] [--peer PROGRAM] [--rounds N]",
    .about =
        "Measures training and inference of a net, on random images and with images from the loader "
        "(data.*;\n"
        "without a data set, generated ones); the convolutions of the same net alone, in the library's best\n"
        "algorithms and layouts; where the time goes; peak memory; and the similarity matrix, compared with\n"
        "the best matrix product.",
    .examples = "  bench net.arch=resnet18\n"
                "  bench net.arch=vgg11_bn precision=bf16 train.batch=128 --json\n"
                "  bench net.arch=resnet56 --peer tests/peer/bench_torch.py\n",
    .options = options,
    .n_options = 3,
};

/* ---- figures ---- */

static double middle(const bench *b, int q)
{
    double x[MAX_ROUNDS];
    memcpy(x, b->sample[q], sizeof x);
    return median(x, b->rounds);
}

static double images_per_s(const bench *b, int q)
{
    return b->batch / middle(b, q);
}

static double ceiling_rate(const bench *b)
{
    return b->ceiling ? images_per_s(b, CEILING) : 0;
}

/* The peer's faster mode, in training or inference; -1 without a peer. */
static int best_mode(const bench *b, int q)
{
    int best = b->n_peers - 1;
    for (int i = 0; i < b->n_peers; i++)
        if (middle(b, q + i) < middle(b, q + best)) best = i;
    return best;
}

typedef struct share {
    const char *name;
    double value;
} share;
enum { SHARES = 7 };

/* Shares of the time of training with the loader. */
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

/* ---- as JSON ---- */

static status put_shares(cJSON *j, const bench *b)
{
    status st = OK;
    share shares[SHARES];
    cJSON *o;
    time_shares(b, shares);
    TRY(json_put_object(j, "time_share", &o));
    for (int i = 0; i < SHARES; i++) TRY(json_put_number(o, shares[i].name, shares[i].value));
out:
    return st;
}

static status put_similarity(cJSON *j, const bench *b)
{
    status st = OK;
    cJSON *o;
    TRY(json_put_object(j, "gram", &o));
    TRY(json_put_number(o, "n", b->n_features));
    TRY(json_put_number(o, "d", FEATURE_DIM));
    TRY(json_put_number(o, "gflops", middle(b, SIMILARITY)));
    TRY(json_put_number(o, "gemm_gflops", b->ceiling ? middle(b, PRODUCT) : 0));
out:
    return st;
}

static status put_peer(cJSON *j, const bench *b)
{
    status st = OK;
    const int train = best_mode(b, PEER_TRAIN), eval = best_mode(b, PEER_EVAL);
    cJSON *o;
    if (train < 0) goto out;
    TRY(json_put_object(j, "peer", &o));
    TRY(json_put_text(o, "train_mode", b->peer[train].name));
    TRY(json_put_text(o, "eval_mode", b->peer[eval].name));
    TRY(json_put_number(o, "train_images_per_s", images_per_s(b, PEER_TRAIN + train)));
    TRY(json_put_number(o, "eval_images_per_s", images_per_s(b, PEER_EVAL + eval)));
    TRY(json_put_number(o, "times_train", middle(b, TIMES_TRAIN + train)));
    TRY(json_put_number(o, "times_eval", middle(b, TIMES_EVAL + eval)));
    TRY(json_put_number(o, "peak_rss_bytes", b->peer_peak_bytes[train]));
out:
    return st;
}

static status print_json(const bench *b, const cli *args)
{
    status st = OK;
    cJSON *j;
    TRY_ALLOC(j, cJSON_CreateObject());
    TRY(json_put_text(j, "arch", b->cfg->net.arch));
    TRY(json_put_text(j, "device", b->e.device->name));
    TRY(json_put_text(j, "precision", config_precision(b->cfg)));
    TRY(json_put_number(j, "batch", b->batch));
    TRY(json_put_number(j, "threads", b->e.device->threads));
    TRY(json_put_number(j, "train_images_per_s", images_per_s(b, TRAIN)));
    TRY(json_put_number(j, "eval_images_per_s", images_per_s(b, EVAL)));
    TRY(json_put_number(j, "loader_train_images_per_s", b->loader_train));
    TRY(json_put_number(j, "loader_eval_images_per_s", b->loader_eval));
    TRY(json_put_number(j, "ceiling_images_per_s", ceiling_rate(b)));
    TRY(json_put_number(j, "share_of_ceiling", b->ceiling ? middle(b, CEILING_SHARE) : 0));
    TRY(json_put_number(j, "peak_rss_bytes", b->peak_bytes));
    TRY(put_shares(j, b));
    TRY(put_similarity(j, b));
    TRY(put_peer(j, b));
    TRY(cli_print_json(args, j));
out:
    cJSON_Delete(j);
    return st;
}

/* ---- as text ---- */

static void print_peer(const bench *b)
{
    const int train = best_mode(b, PEER_TRAIN), eval = best_mode(b, PEER_EVAL);
    if (train < 0) return;
    printf("  %-22s %8.1f images/s   %.2f times as fast   %s\n", "peer, training",
           images_per_s(b, PEER_TRAIN + train), middle(b, TIMES_TRAIN + train), b->peer[train].name);
    printf("  %-22s %8.1f images/s   %.2f times as fast   %s\n", "peer, inference",
           images_per_s(b, PEER_EVAL + eval), middle(b, TIMES_EVAL + eval), b->peer[eval].name);
    printf("  %-22s %8.0f MiB        here %.2f of it\n", "peer, peak memory",
           b->peer_peak_bytes[train] / (1 << 20), b->peak_bytes / b->peer_peak_bytes[train]);
}

static void print_text(const bench *b)
{
    share shares[SHARES];
    printf("%s, %s, batch %d, on %s: %s; medians of %d rounds\n", b->cfg->net.arch, config_precision(b->cfg),
           b->batch, b->e.device->name, b->e.device->description, b->rounds);
    printf("  %-22s %8.1f images/s   with the loader %.1f\n", "training", images_per_s(b, TRAIN),
           b->loader_train);
    printf("  %-22s %8.1f images/s   with the loader %.1f\n", "inference", images_per_s(b, EVAL),
           b->loader_eval);
    if (b->ceiling)
        printf("  %-22s %8.1f images/s   training reaches %.2f of it\n", "convolutions alone",
               ceiling_rate(b), middle(b, CEILING_SHARE));
    printf("  %-22s %8.0f MiB\n", "peak memory", b->peak_bytes / (1 << 20));
    print_peer(b);
    printf("  %-22s %8.0f GFLOP/s    of %d x %d features", "similarity matrix", middle(b, SIMILARITY),
           b->n_features, FEATURE_DIM);
    if (b->ceiling) printf("; best product %.0f: %.2f of it", middle(b, PRODUCT), middle(b, PRODUCT_SHARE));
    printf("\n  time of training with the loader:");
    time_shares(b, shares);
    for (int i = 0; i < SHARES; i++)
        printf("%s %s %.1f %%", i ? "," : "", shares[i].name, 100 * shares[i].value);
    printf("\n");
}

/* ---- as a row of the table of `make bench` (tools/bench.sh prints its head) ---- */

static void print_row(const bench *b)
{
    const int train = best_mode(b, PEER_TRAIN), eval = best_mode(b, PEER_EVAL);
    printf("| %-11s | %-4s | %7.1f | %7.1f | %5.2f |", b->cfg->net.arch, config_precision(b->cfg),
           images_per_s(b, TRAIN), ceiling_rate(b), b->ceiling ? middle(b, CEILING_SHARE) : 0);
    if (train < 0)
        printf("       - |     - | %7.1f |       - |     - | %5.0f |    - |\n", images_per_s(b, EVAL),
               b->peak_bytes / (1 << 20));
    else
        printf(" %7.1f | %5.2f | %7.1f | %7.1f | %5.2f | %5.0f | %4.2f |\n",
               images_per_s(b, PEER_TRAIN + train), middle(b, TIMES_TRAIN + train), images_per_s(b, EVAL),
               images_per_s(b, PEER_EVAL + eval), middle(b, TIMES_EVAL + eval), b->peak_bytes / (1 << 20),
               b->peak_bytes / b->peer_peak_bytes[train]);
}

/* ---- the tool ---- */

static status print_result(const bench *b, const cli *args)
{
    if (args->json) return print_json(b, args);
    if (as_row)
        print_row(b);
    else
        print_text(b);
    return cli_end_output();
}

static status work(const cli *args)
{
    status st = OK;
    bench b = { .rounds = 5 };
    const config_source generated = { "bench", "data: {format: synthetic}" };
    TRY(cli_count("--rounds", rounds_text, 1, MAX_ROUNDS, &b.rounds));
    TRY(config_build(&generated, 1, args->overrides, args->n_overrides, &b.cfg));
    TRY(bench_open(&b, peer_program));
    TRY(bench_measure(&b));
    TRY(print_result(&b, args));
out:
    bench_close(&b);
    return st;
}

int main(int argc, char **argv)
{
    return cli_main(&tool, argc, argv, work);
}
