/* graph/resident.h -- histogram and edges of tiles that stay on the device: only counts and candidates are copied to the
 * host. If the device has the functions for it (core/device/backend.h), these consumers take the place of
 * histogram_take and edge_top_take, and the numbers are the same: counts are whole numbers, and which edges are
 * the first |E| does not depend on the order in which they come. */
#ifndef CLEAVE_RESIDENT_H
#define CLEAVE_RESIDENT_H

#include "edges.h"
#include "histogram.h"

typedef struct resident {
    backend *device; /* NULL: it has no such functions, or its memory is the host's */
    histogram *histogram;
    edge_top *top;
    float begin[HISTOGRAM_BINS];
    int positions;
    int64_t *count;      /* device: [HISTOGRAM_BINS + 1], the values not below each border; all */
    int32_t *wanted;     /* device: [positions], top->vertex */
    device_pair *list;   /* device: candidates ... */
    int64_t *n;          /* device: their number ... */
    int64_t bound;       /* ... which is at most this */
    int tiles, patience; /* tiles since the list was last read; number of tiles after which to read it */
    device_pair *chunk;  /* host: a piece of the list */
} resident;

/* top->vertex has `positions` entries. histogram and top must outlive it, and their limits must be set. If the device
 * has no such functions, device is NULL, and only resident_finish and resident_close may be called. */
status resident_open(resident *, backend *, histogram *, edge_top *, int positions);
void resident_close(resident *); /* a zeroed one is harmless */

/* Gram consumers, on_device; ctx is a resident. */
bool resident_wants_histogram(void *ctx, const similarity_tile *);
status resident_take_histogram(void *ctx, const similarity_tile *);
status resident_take_edges(void *ctx, const similarity_tile *);

/* After the last tile of a layer: histogram and top are then complete, and the next layer may begin. */
status resident_finish(resident *);

#endif
