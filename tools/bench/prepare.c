/* tools/bench/prepare.c -- what a benchmark needs: the net and images for it, its convolutions alone, features,
 * the peer. */
#include "../../nets/device.h"
#include "../../core/base/log.h"
#include "../../core/base/rng.h"
#include "../../graph/similarity.h"
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>

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
    TRY(net_compile(b->net, b->device, config_type(b->cfg), cases, 2));
    TRY(net_init(b->net, c->seed));
    TRY_ALLOC(b->images, malloc(values * sizeof *b->images));
    TRY_ALLOC(b->labels, malloc((size_t)b->batch * sizeof *b->labels));
    for (size_t i = 0; i < values; i++) b->images[i] = rng_normal(c->seed, RNG_TEST, 0, i);
    for (int i = 0; i < b->batch; i++) b->labels[i] = i % c->net.classes;
    TRY(bench_measure_net(b, 0)); /* first touch of memory, packed weights */
out:
    return st;
}

static status prepare_ceiling(bench *b)
{
    status st = OK;
    op *convs = NULL, o;
    int n = 0;
    const net_case training = { b->batch, true };
    if (!b->device->measure) goto out;
    for (int i = 0; net_op(b->net, i, training, config_type(b->cfg), &o); i++) n += o.kind == OP_CONV;
    TRY_ALLOC(convs, calloc((size_t)n, sizeof *convs));
    n = 0;
    for (int i = 0; net_op(b->net, i, training, config_type(b->cfg), &o); i++)
        if (o.kind == OP_CONV) convs[n++] = o;
    log_info("timing the library's convolutions for %d layers", n);
    TRY(b->device->measure->ceiling_open(b->device, convs, n, &b->ceiling));
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
    const dtype type = config_type(b->cfg);
    b->n_features = b->cfg->analysis.samples;
    TRY_ALLOC(host, malloc(2 * count * sizeof *host)); /* and what is rounded */
    for (size_t i = 0; i < count; i++) host[i] = rng_uniform(b->cfg->seed, RNG_TEST, 1, i);
    similarity_normalise(host, b->n_features, GRAM_DIM, NULL);
    TRY(b->device->alloc(b->device, count * dtype_bytes(type), &memory));
    b->features = memory;
    void *half = host + count;
    for (size_t i = 0; type == BF16 && i < count; i++) ((uint16_t *)half)[i] = bf16_from(host[i]);
    TRY(b->device->upload(b->device, b->features, type == BF16 ? half : host, count * dtype_bytes(type)));
out:
    free(host);
    return st;
}

static status start_peers(bench *b, const char *program)
{
    status st = OK;
    static const char *const modes[MODES] = { "contiguous", "channels_last" };
    char size[16], threads[16];
    if (!program) goto out;
    snprintf(size, sizeof size, "%d", b->batch);
    snprintf(threads, sizeof threads, "%d", b->device->threads);
    for (; b->n_peers < MODES; b->n_peers++) {
        char *argv[] = { (char *)program,           b->cfg->net.arch, size, (char *)config_precision(b->cfg),
                         (char *)modes[b->n_peers], threads,          NULL };
        TRY(bench_peer_start(&b->peer[b->n_peers], argv));
        TRY(bench_peer_ask(&b->peer[b->n_peers], "memory", &b->peer_peak_bytes[b->n_peers]));
    }
out:
    return st;
}

/* Said before minutes of measuring rather than after them. */
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

status bench_open(bench *b, const char *peer_program)
{
    status st = OK;
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
    for (int i = 0; i < b->n_peers; i++) bench_peer_stop(&b->peer[i]);
    if (b->ceiling) b->device->measure->ceiling_close(b->ceiling);
    if (b->features)
        b->device->release(b->device, b->features,
                           (size_t)b->n_features * GRAM_DIM * dtype_bytes(config_type(b->cfg)));
    free(b->images);
    free(b->labels);
    net_free(b->net);
    backend_close(b->device);
    config_free(b->cfg);
}
