/* core/cuda/similar.c -- similarities that stay on the device: core/backend.h. */
#include "cuda.h"

#include <math.h>

status cuda_rows_normalise(backend *b, const void *value, shape4 s, dtype type, int n, float *to,
                           double *norm, int *bad)
{
    status st = OK;
    cuda *c = (cuda *)b;
    *bad = -1;
    s.n = n; /* images are outermost */
    if (n < 1) goto out;
    TRY(cuda_reserve(c, (size_t)n * sizeof *norm));
    TRY_CUDA(value_to_nchw(c->stream, type, value, to, s));
    TRY_CUDA(rows_normalise(c->stream, to, n, shape_image(s), c->convert));
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
