/* data/loader.h -- batches, made by a worker thread ahead of the step that uses them. */
#ifndef CLEAVE_LOADER_H
#define CLEAVE_LOADER_H

#include "augment.h"
#include "dataset.h"

typedef struct loader loader;

typedef struct batch {
    int n;                /* images in it: the last one of an epoch may be smaller */
    const float *x;       /* [n, c, h, w], normalised; NULL with draws_only */
    const int32_t *label; /* [n] */
    /* [n] positions in the data set and how each is shown, for a device that has the images */
    const image_draw *draw;
} batch;

typedef struct loader_options {
    int batch;
    bool shuffle, augment;
    bool draws_only; /* no pixels: the device has the images and puts the batches together */
    uint64_t seed;
} loader_options;

/* The data set and the config must outlive the loader. */
status loader_open(const dataset *, const config_data *, const loader_options *, loader **out);
void loader_close(loader *); /* NULL is harmless; stops the worker */

/* Begins an epoch at its batch `first` (0 = from the start). The order is a permutation drawn from (seed,
 * epoch) if `shuffle`, else `order` (n_order positions), else (order NULL) the data set's own. */
status loader_start(loader *, int epoch, int first, const int *order, int n_order);
int loader_batches(const loader *); /* of the current epoch, partial last one included */

/* The next batch, or *out = NULL after the last. Valid until the next call. */
status loader_next(loader *, const batch **out);

#endif
