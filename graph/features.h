/* graph/features.h -- activations of many images as matrices [images, values], one per layer; they come from taps, the
 * only way in which graph/ sees a net. */
#ifndef CLEAVE_FEATURES_H
#define CLEAVE_FEATURES_H

#include "../core/base/progress.h"
#include "../core/device/backend.h"
#include "../core/device/products.h"
#include "../data/loader.h"
#include "../nets/net.h"

/* Rows of one layer in the device's memory: f32 as similarity_normalise leaves them, bf16 by rounding those, int8 by
 * similarity_round. */
typedef struct feature_matrix {
    backend *device;
    int room, rows; /* images that it can hold, and that it holds */
    int64_t dim;
    dtype type;
    void *x;         /* [room, dim] of type */
    double *norm;    /* [room] |x|; the rows were divided by similarity_divisor of it; host memory */
    i8_scale *scale; /* [room] of I8; host memory */
} feature_matrix;

status feature_matrix_open(feature_matrix *, backend *, dtype, int room, int64_t dim);
void feature_matrix_close(feature_matrix *); /* a zeroed one is harmless */
void *feature_row(const feature_matrix *, int row);
/* Host memory needed to normalise a batch of so many values. */
size_t feature_stage_bytes(int64_t values, dtype);

typedef struct features features;

typedef struct feature_tap {
    char name[64];
    int64_t dim, macs;    /* net_hook */
    feature_matrix *into; /* where rows go; NULL: this layer is not read now */
    features *owner;
} feature_tap;

struct features {
    net *net;
    backend *device; /* known after the first pass */
    int n;
    feature_tap *tap; /* [n], all hooks of the set, in order of depth */
    float *stage;     /* one batch of one layer and its rounded copy, host memory */
    size_t stage_bytes;
};

/* Taps all hooks of the set: open it before net_compile. ERR_USAGE if the net has none. The net must outlive it. */
status features_open(net *, hook_set, features **out);
void features_close(features *); /* NULL is harmless */

/* One evaluation pass over images[0 .. n-1] (positions in the loader's data set). Fills the matrices of the layers that
 * have one, from row 0. The pass ends at the deepest of these layers, without any at the end of the net. The bar moves
 * by the millions of multiply-accumulates done. STOPPED after a signal. ERR_DIVERGED: an activation is not finite (the
 * message names the layer and the row). */
typedef struct feature_source {
    int eval_case;
    loader *loader; /* its batch is the case's batch; neither shuffled nor augmented */
    progress *bar;
} feature_source;
/* The cost of a pass up to layer l, for one image, in millions of multiply-accumulates. */
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
