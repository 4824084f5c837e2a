/* graph/sample.h -- which images an analysis looks at. */
#ifndef CLEAVE_SAMPLE_H
#define CLEAVE_SAMPLE_H

#include "../core/base/status.h"
#include <stdbool.h>
#include <stdint.h>

/* Draws min(want, n) of the images 0..n-1 without replacement; the same on every device. balanced: the same number of
 * every class that occurs, want / classes or the size of the smallest one. out: [n], receives the *count images drawn,
 * ascending. */
status sample_draw(uint64_t seed, int want, bool balanced, const int32_t *label, int n, int classes, int *out,
                   int *count);

/* The images needed, ascending: the first `prefix` and the sample. image: [n]; vertex: [n], vertex[p] = index of image[p]
 * in the sample, or -1. Returns their number. */
int sample_union(const int *sample, int n_sample, int prefix, int n, int *image, int32_t *vertex);

#endif
