/* graph/features.h -- activations of many images as matrices [images, values], one per layer. The only place
 * that looks into a net, and it does so through taps. */
#ifndef CLEAVE_FEATURES_H
#define CLEAVE_FEATURES_H

#include "../core/progress.h"
#include "../data/loader.h"
#include "../nets/net.h"

/* Rows of one layer, normalised (gram_normalise), in the device's memory. */
typedef struct feature_matrix {
    backend *device;
    int room, rows; /* images it can hold, and holds */
    int64_t dim;
    float *x; /* [room, dim] */
} feature_matrix;

status feature_matrix_open(feature_matrix *, backend *, int room, int64_t dim);
void feature_matrix_close(feature_matrix *); /* a zeroed one is harmless */

typedef struct features features;

typedef struct feature_tap {
    char name[64];
    int64_t dim;
    feature_matrix *into; /* where rows go; NULL: this layer is not wanted now */
    features *owner;
} feature_tap;

struct features {
    net *net;
    backend *device; /* known after the first pass */
    int n;
    feature_tap *tap; /* [n], every hook of the set, in order of depth */
    float *stage;     /* one batch of one layer, host memory */
    int64_t stage_room;
};

/* Taps every hook of the set; before net_compile. ERR_USAGE if the net has none. The net must outlive it. */
status features_open(net *, hook_set, features **out);
void features_close(features *); /* NULL is harmless */

/* One evaluation pass over images[0 .. n-1] (positions in the loader's data set): fills the matrices of the
 * layers that have one, from row 0. The bar moves by `image_cost` an image. STOPPED after a signal.
 * ERR_DIVERGED: an activation is not finite (names the layer and the image). */
typedef struct feature_source {
    int eval_case;
    loader *loader; /* its batch is the case's batch; neither shuffled nor augmented */
    progress *bar;
    int64_t image_cost;
} feature_source;
status features_read(features *, const feature_source *, const int *images, int n);

#endif
