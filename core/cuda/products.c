/* core/cuda/products.c -- products of rows, and similarities that stay on the device: core/device/products.h. */
#include "cuda.h"

#include <math.h>

/* `upper` is ignored: cuBLAS computes all elements. */
static status product(backend *b, dtype type, int m, int n, int64_t k, const void *a, int64_t lda,
                      const void *rows_b, int64_t ldb, bool upper, float *c, int64_t ldc)
{
    const cuda_matrix left = { rows_b, CUBLAS_OP_T, ldb, type }, right = { a, CUBLAS_OP_N, lda, type };
    (void)upper;
    return cuda_multiply((cuda *)b, n, m, k, left, right, 0, c, ldc, F32);
}

/* c->convert holds the norms, and the rows in f32 if they will be rounded to another type. */
static status normalise_rows(backend *b, const void *value, shape4 s, dtype type, int n, dtype to_type,
                             void *to, double *norm, int *bad)
{
    status st = OK;
    cuda *c = (cuda *)b;
    const int64_t dim = shape_image(s);
    const size_t norms = cuda_aligned((size_t)n * sizeof *norm);
    const size_t rows = to_type == F32 ? 0 : (size_t)n * (size_t)dim * sizeof(float);
    *bad = -1;
    s.n = n; /* images are outermost */
    if (n < 1) goto out;
    TRY(cuda_reserve(c, norms + rows));
    void *whole = to_type == F32 ? to : (char *)c->convert + norms;
    TRY_CUDA(value_to_nchw(c->stream, type, value, whole, s));
    TRY_CUDA(rows_normalise(c->stream, to_type, whole, to, n, dim, c->convert));
    TRY(b->download(b, norm, c->convert, (size_t)n * sizeof *norm));
    for (int i = n - 1; i >= 0; i--)
        if (!isfinite(norm[i])) *bad = i;
out:
    return st;
}

static bool is_empty(const device_tile *t)
{
    return t->rows < 1 || t->cols < 1;
}

static status count_tile(backend *b, const device_tile *tile, const float *begins, int bins, int64_t *count)
{
    status st = OK;
    tile_bins k = { .n = bins };
    if (bins < 0 || bins > TILE_BINS) FAIL(ERR_RUNTIME, "%d bins of at most %d", bins, TILE_BINS);
    if (is_empty(tile)) goto out;
    for (int i = 0; i < TILE_BINS; i++) k.begin[i] = i < bins ? begins[i] : INFINITY;
    TRY_CUDA(tile_count(((cuda *)b)->stream, *tile, k, count));
out:
    return st;
}

static status pick_from_tile(backend *b, const device_tile *tile, const int32_t *wanted, float least,
                             device_pair *list, int64_t *n)
{
    status st = OK;
    cuda *c = (cuda *)b;
    if (is_empty(tile)) goto out;
    TRY(cuda_reserve(c, (size_t)tile->rows * sizeof(int32_t)));
    TRY_CUDA(tile_pick(c->stream, *tile, wanted, least, c->convert, list, n));
out:
    return st;
}

const backend_products cuda_products = {
    .one_shape = true,
    .product = product,
    .normalise_rows = normalise_rows,
    .count_tile = count_tile,
    .pick_from_tile = pick_from_tile,
};
