/* graph/resident.h -- histogram and edges of tiles that stay on the device: counts and candidates are all that
 * leaves it. Where the device has the functions for it (core/device/backend.h), these consumers take the place of
 * histogram_take and edge_top_take, and the numbers are the same: counts are whole numbers, and which edges are
 * the first |E| does not depend on the order in which they come. */
#ifndef CLEAVE_RESIDENT_H
#define CLEAVE_RESIDENT_H

#include "edges.h"
#include "histogram.h"

typedef struct resident {
    backend *device; /* NULL: it cannot, or its memory is the host's */
    histogram *histogram;
    edge_top *top;
    float begin[HISTOGRAM_BINS];
    int positions;
    int64_t *count;      /* device: [HISTOGRAM_BINS + 1], the values not below each border; all */
    int32_t *wanted;     /* device: [positions], top->vertex */
    device_pair *list;   /* device: candidates ... */
    int64_t *n;          /* device: ... so many */
    int64_t bound;       /* no more than so many */
    int tiles, patience; /* since the list was last read; after how many to read it */
    device_pair *chunk;  /* host: a piece of the list on its way */
} resident;

/* `positions` of top->vertex; histogram and top must outlive it, with their limits set. On a device that cannot,
 * out->device is NULL and the rest of no use. */
status resident_open(resident *, backend *, histogram *, edge_top *, int positions);
void resident_close(resident *); /* a zeroed one is harmless */

/* Gram consumers, on_device; ctx is a resident. */
bool resident_wants_histogram(void *ctx, const similarity_tile *);
status resident_take_histogram(void *ctx, const similarity_tile *);
status resident_take_edges(void *ctx, const similarity_tile *);

/* After the last tile of a layer: histogram and top have it all; ready for the next layer. */
status resident_finish(resident *);

#endif
