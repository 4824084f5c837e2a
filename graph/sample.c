/* graph/sample.c -- see sample.h. */
#include "sample.h"

#include "../core/base/rng.h"

#include <stdlib.h>

/* How many images to take of each class. */
static void set_quotas(int want, bool balanced, const int32_t *label, int n, int classes, int *quota)
{
    int present = 0, smallest = n;
    for (int c = 0; c < classes; c++) quota[c] = 0;
    for (int i = 0; i < n; i++) quota[label[i]]++;
    for (int c = 0; c < classes; c++) {
        present += quota[c] > 0;
        if (quota[c] > 0 && quota[c] < smallest) smallest = quota[c];
    }
    if (!balanced || present == 0) return;
    int each = want / present < smallest ? want / present : smallest;
    for (int c = 0; c < classes; c++) {
        if (quota[c] > each) quota[c] = each;
    }
}

/* Goes through the images in random order and takes each whose class has not reached its quota. */
status sample_draw(uint64_t seed, int want, bool balanced, const int32_t *label, int n, int classes, int *out,
                   int *count)
{
    status st = OK;
    int *order = NULL, *quota = NULL, drawn = 0, kept = 0;
    bool *taken = NULL;
    TRY_ALLOC(order, malloc(((size_t)n + 1) * sizeof *order));
    TRY_ALLOC(quota, malloc(((size_t)classes + 1) * sizeof *quota));
    TRY_ALLOC(taken, calloc((size_t)n + 1, sizeof *taken));
    set_quotas(want, balanced, label, n, classes, quota);
    rng_permutation(seed, RNG_SAMPLE, 0, n, order);
    for (int p = 0; p < n && drawn < want; p++) {
        int i = order[p];
        if (quota[label[i]]-- <= 0) continue;
        taken[i] = true;
        drawn++;
    }
    for (int i = 0; i < n; i++) {
        if (taken[i]) out[kept++] = i;
    }
    *count = kept;
out:
    free(order);
    free(quota);
    free(taken);
    return st;
}

int sample_union(const int *sample, int n_sample, int prefix, int n, int *image, int32_t *vertex)
{
    int count = 0, next = 0;
    for (int i = 0; i < n; i++) {
        bool member = next < n_sample && sample[next] == i;
        if (!member && i >= prefix) continue;
        image[count] = i;
        vertex[count++] = member ? next++ : -1;
    }
    return count;
}
