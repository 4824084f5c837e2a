/* graph/histogram.h -- the histogram of the similarities of pairs of images: [Yang23 sec. 4.1]. */
#ifndef CLEAVE_HISTOGRAM_H
#define CLEAVE_HISTOGRAM_H

#include "similarity.h"

enum { HISTOGRAM_BINS = 10 };

/* bin = min(9, floor(10 sim)); negative similarities fall in bin 0 and are also counted by themselves. */
typedef struct histogram {
    int limit; /* only pairs of the first `limit` positions count */
    int64_t bin[HISTOGRAM_BINS], negative;
} histogram;

/* The borders: begin[b] is the least value that falls in bin b or above. */
void histogram_begins(float begin[HISTOGRAM_BINS]);
/* Adds `all` values, above[b] of which are not below begin[b]. */
void histogram_add(histogram *, const int64_t above[HISTOGRAM_BINS], int64_t all);

/* A similarity_consumer; ctx is a histogram. */
status histogram_take(void *ctx, const similarity_tile *);

#endif
