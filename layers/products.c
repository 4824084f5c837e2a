/* layers/products.c -- all inner products of the rows of two matrices (core/device/products.h).
 *
 *   c[i,j] = sum over k of a[i,k] * b[j,k]         c = a * b^T
 *
 *   a [m, k]   b [n, k]   c [m, n]; lda, ldb, ldc: from one row to the next, in values
 *
 * If the rows are normalised, these are the cosine similarities of [Yang23] eq. 6. In bf16 the values were rounded
 * after they were normalised. In int8 a row is a scale times whole numbers, whose products are summed exactly.
 */
#include "ref.h"

static double value(dtype type, const void *x, int64_t i)
{
    return type == F32 ? ((const float *)x)[i] : bf16_to(((const uint16_t *)x)[i]);
}

static status product(backend *ref, dtype type, int m, int n, int64_t k, const void *a, int64_t lda,
                      const void *b, int64_t ldb, bool upper, float *c, int64_t ldc)
{
#pragma omp parallel for num_threads(ref->threads)
    for (int i = 0; i < m; i++) {
        for (int j = upper ? i + 1 : 0; j < n; j++) {
            double sum = 0;
            for (int64_t t = 0; t < k; t++) sum += value(type, a, i * lda + t) * value(type, b, j * ldb + t);
            c[i * ldc + j] = (float)sum;
        }
    }
    return OK;
}

static status product_i8(backend *ref, int m, int n, int64_t k, i8_rows a, i8_rows b, bool upper, float *c,
                         int64_t ldc)
{
#pragma omp parallel for num_threads(ref->threads)
    for (int i = 0; i < m; i++) {
        for (int j = upper ? i + 1 : 0; j < n; j++) {
            int64_t sum = 0;
            for (int64_t t = 0; t < k; t++) sum += a.value[i * a.stride + t] * b.value[j * b.stride + t];
            c[i * ldc + j] = (float)sum * (a.scale[i].scale * b.scale[j].scale);
        }
    }
    return OK;
}

const backend_products ref_products = { .product = product, .product_i8 = product_i8 };
