/* tools/bench/rounds.h -- what bench measures. Private to tools/bench.c and tools/bench/.
 *
 * Other programs may disturb a measurement. So it goes in rounds; in each round one training step, one inference batch,
 * the convolutions alone, the similarity matrix, and the peer's steps follow one another. Every figure is the median
 * over the rounds, and every ratio is the median of the rounds' ratios. */
#ifndef CLEAVE_BENCH_ROUNDS_H
#define CLEAVE_BENCH_ROUNDS_H

#include "../../core/device/measure.h"
#include "../../nets/experiment.h"
#include "peer.h"

enum { MAX_ROUNDS = 99, PEER_MODES = 2 };
enum { FEATURE_DIM = 16384 }; /* of a hook of middle size: resnet20's first stage, resnet18's third */

/* What a round measures: seconds, unless another unit is given. */
typedef enum quantity {
    TRAIN,         /* a training step */
    EVAL,          /* an inference batch */
    CEILING,       /* the convolutions of a training step alone */
    CEILING_SHARE, /* CEILING / TRAIN */
    SIMILARITY,    /* of all features; GFLOP/s */
    PRODUCT,       /* the best matrix product; GFLOP/s */
    PRODUCT_SHARE, /* SIMILARITY / PRODUCT */
    PEER_TRAIN,    /* of each mode of the peer, like those that follow */
    PEER_EVAL = PEER_TRAIN + PEER_MODES,
    TIMES_TRAIN = PEER_EVAL + PEER_MODES,  /* PEER_TRAIN / TRAIN */
    TIMES_EVAL = TIMES_TRAIN + PEER_MODES, /* PEER_EVAL / EVAL */
    QUANTITIES = TIMES_EVAL + PEER_MODES
} quantity;

typedef struct bench {
    /* set by the caller before bench_open; bench_close frees cfg */
    config *cfg;
    int rounds;

    experiment e;
    int batch;
    ceiling *ceiling; /* NULL where the device has none */
    bench_peer peer[PEER_MODES];
    int n_peers;
    float *images;   /* [batch, c, h, w] */
    int32_t *labels; /* [batch] */
    void *features;  /* [n_features, FEATURE_DIM] in the device's memory, in the net's precision */
    int n_features;

    /* results */
    double sample[QUANTITIES][MAX_ROUNDS];
    double peak_bytes, peer_peak_bytes[PEER_MODES];
    double loader_train, loader_eval;      /* images/s with batches from the loader */
    double loader_seconds;                 /* of that training: */
    double work[WORK_KINDS], data_seconds; /*     by kind of work; waiting for data */
} bench;

/* Creates the net, its images and features, and the ceiling; starts `peer_program` in each of its modes unless NULL.
 * One step is done without being measured. ERR_USAGE: a limit of the data set is less than a batch. */
status bench_open(bench *, const char *peer_program);
void bench_close(bench *); /* also after a failure of bench_open; a zeroed one is harmless */

/* All rounds, then the run with the loader. ERR_USAGE: the data set has fewer images than a batch. */
status bench_measure(bench *);

#endif
