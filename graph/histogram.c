/* graph/histogram.c -- ten equal bins on [0, 1], [Yang23 sec. 4.1]. */
#include "histogram.h"

#include <math.h>

/* begins[b] is the least float s in bin b or above: floor(10 s) >= b, and 10 s is exact in double. Counting the floats
 * that are not below it gives the same bins, and compares a vector of them at once. begins[0] is 0: negative ones lie
 * below. */
void histogram_begins(float begins[HISTOGRAM_BINS])
{
    for (int b = 0; b < HISTOGRAM_BINS; b++) {
        float f = (float)b / HISTOGRAM_BINS;
        while (10.0 * f >= b && b > 0) f = nextafterf(f, -1);
        while (10.0 * f < b) f = nextafterf(f, 2);
        begins[b] = f;
    }
}

static int not_below(const float *sim, int n, float begin)
{
    int count = 0;
#pragma omp simd reduction(+ : count)
    for (int i = 0; i < n; i++) count += sim[i] >= begin;
    return count;
}

void histogram_add(histogram *h, const int64_t above[HISTOGRAM_BINS], int64_t all)
{
    h->negative += all - above[0];
    h->bin[0] += all - above[1];
    for (int b = 1; b < HISTOGRAM_BINS; b++)
        h->bin[b] += above[b] - (b + 1 < HISTOGRAM_BINS ? above[b + 1] : 0);
}

status histogram_take(void *ctx, const similarity_tile *t)
{
    histogram *h = ctx;
    int rows = h->limit - t->row0 < t->rows ? h->limit - t->row0 : t->rows;
    int cols = h->limit - t->col0 < t->cols ? h->limit - t->col0 : t->cols;
    int64_t above[HISTOGRAM_BINS] = { 0 }, all = 0;
    float begins[HISTOGRAM_BINS];
    histogram_begins(begins);
    /* Integer sums: the same for every number of threads. */
#pragma omp parallel for reduction(+ : above[:HISTOGRAM_BINS], all) schedule(dynamic, 16)
    for (int r = 0; r < rows; r++) {
        const int from = similarity_tile_from(t, r);
        if (from >= cols) continue;
        const float *sim = t->sim + r * SIMILARITY_TILE + from;
        for (int b = 0; b < HISTOGRAM_BINS; b++) above[b] += not_below(sim, cols - from, begins[b]);
        all += cols - from;
    }
    histogram_add(h, above, all);
    return OK;
}
