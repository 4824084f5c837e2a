/* core/cpu/gemm.c -- matrix products by oneDNN's sgemm (row-major, as in its C interface). */
#include "cpu.h"

status cpu_gemm_nt(backend *b, int m, int n, int64_t k, const float *a, int64_t lda, const float *b_rows,
                   int64_t ldb, float *c, int64_t ldc)
{
    status st = OK;
    (void)b;
    TRY_DNNL(dnnl_sgemm('N', 'T', m, n, k, 1, a, lda, b_rows, ldb, 0, c, ldc));
out:
    return st;
}
