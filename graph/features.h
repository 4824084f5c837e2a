/* graph/features.h -- activations of many images as matrices [images, values], one per layer. The only place
 * that looks into a net, and it does so through taps. */
#ifndef CLEAVE_FEATURES_H
#define CLEAVE_FEATURES_H

#include "../core/base/progress.h"
#include "../core/device/backend.h"
#include "../data/loader.h"
#include "../core/device/products.h"
#include "../nets/net.h"

/* Rows of one layer, normalised (similarity_normalise), in the device's memory; in bf16 they are rounded then, in int8
 * they are similarity_round's. */
typedef struct feature_matrix {
    backend *device;
    int room, rows; /* images it can hold, and holds */
    int64_t dim;
    dtype type;
    void *x;         /* [room, dim] of type */
    double *norm;    /* [room] |x|; the rows were divided by similarity_divisor of it; host memory */
    i8_scale *scale; /* [room] of I8; host memory */
} feature_matrix;

status feature_matrix_open(feature_matrix *, backend *, dtype, int room, int64_t dim);
void feature_matrix_close(feature_matrix *); /* a zeroed one is harmless */
void *feature_row(const feature_matrix *, int row);
/* Of host memory, while the rows of a batch are made. */
size_t feature_stage_bytes(int64_t values, dtype);

typedef struct features features;

typedef struct feature_tap {
    char name[64];
    int64_t dim, macs;    /* net_hook */
    feature_matrix *into; /* where rows go; NULL: this layer is not wanted now */
    features *owner;
} feature_tap;

struct features {
    net *net;
    backend *device; /* known after the first pass */
    int n;
    feature_tap *tap; /* [n], every hook of the set, in order of depth */
    float *stage;     /* one batch of one layer and its rounded copy, host memory */
    size_t stage_bytes;
};

/* Taps every hook of the set; before net_compile. ERR_USAGE if the net has none. The net must outlive it. */
status features_open(net *, hook_set, features **out);
void features_close(features *); /* NULL is harmless */

/* One evaluation pass over images[0 .. n-1] (positions in the loader's data set): fills the matrices of the
 * layers that have one, from row 0. It goes as deep into the net as the deepest of them (without any, to the
 * end). The bar moves by the millions of multiply-accumulates done. STOPPED after a signal.
 * ERR_DIVERGED: an activation is not finite (names the layer and the image). */
typedef struct feature_source {
    int eval_case;
    loader *loader; /* its batch is the case's batch; neither shuffled nor augmented */
    progress *bar;
} feature_source;
/* What a pass over one image costs that fills layer l, in millions of multiply-accumulates. */
int64_t features_cost(const features *, int l);
status features_read(features *, const feature_source *, const int *images, int n);

/* ---- which layers are analysed together, so that their matrices fit in memory ---- */

/* Layers of one group share a pass over the images and hold all rows at the same time. A layer too large for that is
 * alone in its group and holds `block` rows (a multiple of SIMILARITY_TILE); the rows behind them stream by,
 * SIMILARITY_TILE at a time, in further passes. */
typedef struct feature_group {
    int number; /* from 0 */
    int block;  /* rows held at a time: in most cases all */
} feature_group;

/* First fit, in order of depth. rows > 0; a value takes `value_bytes`. dim, out: [n]. ERR_USAGE if `bytes` are not
 * enough for two tiles of rows of a layer. */
status features_group(const int64_t *dim, int n, int rows, size_t value_bytes, int64_t bytes,
                      feature_group *out, int *n_groups);

#endif
