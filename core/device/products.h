/* core/device/products.h -- products of rows, from which graph/ makes similarity matrices tile by tile. */
#ifndef CLEAVE_PRODUCTS_H
#define CLEAVE_PRODUCTS_H

#include "backend.h"
#include "tile.h"

/* Rows rounded to int8. A row stands for the unit vector scale * value. */
typedef struct i8_scale {
    float scale;
    int32_t sum; /* of the values: for processors that multiply int8 by uint8 only */
} i8_scale;

typedef struct i8_rows {
    const int8_t *value; /* [rows][stride], the device's memory */
    int64_t stride;
    const i8_scale *scale; /* [rows], host memory */
} i8_rows;

struct backend_products {
    /* A tile of the similarity matrix [Yang23 eq. 6]: c[i*ldc + j] = sum_k a[i*lda + k] * b[j*ldb + k], i < m,
     * j < n, all in the device's memory; rows of f32 or bf16 values (then k, lda and ldb are even), summed in f32.
     * With `upper`, only elements j > i need be computed. The rounding of an element depends on k and on the values
     * of its two rows alone, not on where they lie: equal pairs are ties. With one_shape that holds only among products
     * of the same m and n. */
    bool one_shape;
    status (*product)(backend *, dtype, int m, int n, int64_t k, const void *a, int64_t lda, const void *b,
                      int64_t ldb, bool upper, float *c, int64_t ldc);

    /* The same for rows rounded to int8: c[i*ldc + j] = a.scale[i] * b.scale[j] * sum_k a[i,k] * b[j,k]. k and both
     * strides are multiples of 4. The sums are whole numbers and exact, |sum| < 2^31: every device computes the same
     * bits. NULL: the device has no such product. */
    status (*product_i8)(backend *, int m, int n, int64_t k, i8_rows a, i8_rows b, bool upper, float *c,
                         int64_t ldc);

    /* ---- similarities that stay on the device; all NULL where the device's memory is the host's ---- */

    /* Images [0, n) of a value as rows of C*H*W values, in the order of NCHW, each divided by max(|row|, 1e-8), the
     * norm summed in double: to [n, C*H*W] of to_type in the device's memory. norm [n] and *bad in the host's: |row|,
     * and the first row with a value that is not finite, else -1. Waits for the device. */
    status (*normalise_rows)(backend *, const void *value, shape4, dtype, int n, dtype to_type, void *to,
                             double *norm, int *bad);
    /* count[b] += entries that are >= begins[b], b < bins <= TILE_BINS; count[bins] += all entries. begins is host
     * memory; count [bins + 1] is the device's. */
    status (*count_tile)(backend *, const device_tile *, const float *begins, int bins, int64_t *count);
    /* Appends the entries that are >= least and whose row and column are wanted (wanted[position] >= 0), by row and
     * then column, to list[*n ...], and counts them in *n; wanted, list and n are the device's memory. The caller makes
     * sure that `list` has room for the whole tile. */
    status (*pick_from_tile)(backend *, const device_tile *, const int32_t *wanted, float least,
                             device_pair *list, int64_t *n);
};

#endif
