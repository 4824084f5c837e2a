/* core/ref/gemm.c -- all inner products of the rows of two matrices.
 *
 *   c[i,j] = sum over k of a[i,k] * b[j,k]         c = a * b^T
 *
 *   a [m, k]   b [n, k]   c [m, n]; lda, ldb, ldc: from one row to the next, in floats.
 * With normalised rows these are the cosine similarities of [Yang23] eq. 6.
 */
#include "ref.h"

void ref_gemm_nt(int m, int n, int64_t k, const float *a, int64_t lda, const float *b, int64_t ldb, float *c,
                 int64_t ldc)
{
#pragma omp parallel for
    for (int i = 0; i < m; i++) {
        for (int j = 0; j < n; j++) {
            double sum = 0;
            for (int64_t t = 0; t < k; t++) sum += (double)a[i * lda + t] * b[j * ldb + t];
            c[i * ldc + j] = (float)sum;
        }
    }
}
