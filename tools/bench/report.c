/* tools/bench/report.c -- medians and shares of what was measured, as JSON, as text, as a row of a table. */
#include "../../nets/device.h"
#include "bench.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- what the samples come to ---- */

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

/* ---- as JSON ---- */

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

cJSON *bench_json(const bench *b)
{
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
        !add_gram(j, b) || !add_peer(j, b)) {
        cJSON_Delete(j);
        return NULL;
    }
    return j;
}

/* ---- for people ---- */

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

void bench_print_text(const bench *b)
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

void bench_print_row(const bench *b)
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
