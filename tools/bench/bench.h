/* tools/bench/bench.h -- one benchmark from what it needs to what it says: bench_open, bench_measure, a printer.
 * Private to tools/bench.c and tools/bench/.
 *
 * Other programs may disturb a measurement, so it goes in rounds: each runs one training step, one inference
 * batch, the convolutions alone, the similarity matrix, and the peer's steps, one after the other. Every
 * figure is the median over the rounds, and every ratio the median of the rounds' ratios. */
#ifndef CLEAVE_BENCH_H
#define CLEAVE_BENCH_H

#include "../../core/config/config.h"
#include "../../core/device/measure.h"
#include "../../nets/run.h"
#include "peer.h"

enum { CASE_EVAL, CASE_TRAIN };
enum { MAX_ROUNDS = 99, MODES = 2 };
enum { GRAM_DIM = 16384 }; /* a hook of middle size: resnet20's first stage, resnet18's third */

/* What a round measures: seconds, or a rate. */
typedef enum measure {
    TRAIN,
    EVAL,
    CEILING, /* the convolutions of a training step alone */
    SHARE,   /* CEILING / TRAIN */
    GRAM,
    GEMM,       /* both in GFLOP/s */
    GRAM_SHARE, /* GRAM / GEMM */
    PEER_TRAIN,
    PEER_EVAL = PEER_TRAIN + MODES, /* of each mode of the peer */
    TIMES_TRAIN = PEER_EVAL + MODES,
    TIMES_EVAL = TIMES_TRAIN + MODES, /* how often it takes as long as we do */
    MEASURES = TIMES_EVAL + MODES
} measure;

typedef struct bench {
    /* Set by the caller before bench_open; bench_close frees cfg. */
    config *cfg;
    int batch, rounds;

    backend *device;
    net *net;
    ceiling *ceiling;
    bench_peer peer[MODES];
    int n_peers;
    float *images;   /* [batch, 3, 32, 32] */
    int32_t *labels; /* [batch] */
    double sample[MEASURES][MAX_ROUNDS];
    double peak_bytes, peer_peak_bytes[MODES];
    double loader_train, loader_eval; /* images/s */
    double work[WORK_KINDS], data_seconds, loader_seconds;
    void *features; /* of the device, in the net's precision */
    int n_features;
} bench;

/* Makes the net, its images and features, the ceiling where the device has one; starts `peer_program` in each of
 * its modes unless NULL. One step goes by unmeasured. */
status bench_open(bench *, const char *peer_program);
void bench_close(bench *); /* whatever bench_open came to; a zeroed one is harmless */

/* One training step and one inference batch, into sample[][round]. */
status bench_measure_net(bench *, int round);

/* All rounds, then the run with the loader. */
status bench_measure(bench *);

/* What --json prints; NULL: out of memory. The caller deletes. */
struct cJSON *bench_json(const bench *);

/* On stdout: lines for people, a row of the table of `make bench`. */
void bench_print_text(const bench *);
void bench_print_row(const bench *);

#endif
