/* graph/histogram.c -- ten equal bins on [0, 1], [Yang23 sec. 4.1] via SPEC 4. */
#include "histogram.h"

#include <math.h>

/* In double: 10 * sim would round up to the next bin in float for similarities just below its border. */
static int bin_of(float sim)
{
    int b = (int)floor(10.0 * sim);
    return b < 0 ? 0 : b >= HISTOGRAM_BINS ? HISTOGRAM_BINS - 1 : b;
}

status histogram_take(void *ctx, const gram_tile *t)
{
    histogram *h = ctx;
    int rows = h->limit - t->row0 < t->rows ? h->limit - t->row0 : t->rows;
    int cols = h->limit - t->col0 < t->cols ? h->limit - t->col0 : t->cols;
    int64_t *bin = h->bin, negative = 0;
    /* Integer sums: the same for every number of threads. */
#pragma omp parallel for reduction(+ : bin[:HISTOGRAM_BINS], negative) schedule(dynamic, 16)
    for (int r = 0; r < rows; r++) {
        for (int c = gram_tile_from(t, r); c < cols; c++) {
            float sim = t->sim[r * GRAM_TILE + c];
            bin[bin_of(sim)]++;
            negative += sim < 0;
        }
    }
    h->negative += negative;
    return OK;
}
