/* core/cuda/similar.c -- similarities that stay on the device: core/device/backend.h. */
#include "cuda.h"

#include <math.h>

/* c->convert holds the norms and, of rows that are to be rounded, what they are rounded from. */
status cuda_rows_normalise(backend *b, const void *value, shape4 s, dtype type, int n, dtype to_type,
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

status cuda_tile_count(backend *b, const device_tile *tile, const float *begins, int bins, int64_t *count)
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

status cuda_tile_pick(backend *b, const device_tile *tile, const int32_t *wanted, float least,
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
