/* tests/cuda/libraries.cpp -- the convolutions and products for which the backend calls cuDNN and cuBLAS, as plain
 * loops over the memory of the emulated device (emulate.h). */
#include <vector>

#include <stdlib.h>
#include <string.h>

#include <cublas_v2.h>

#include "../../core/cuda/arithmetic.h"
#include "emulate.h"
#include "libraries.h"

static float get(const void *from, int type, int64_t i)
{
    return type == F32 ? ((const float *)from)[i] : bf16_to_float(((const bf16 *)from)[i]);
}

static void put(void *to, int type, int64_t i, double v)
{
    if (type == F32)
        ((float *)to)[i] = (float)v;
    else
        ((bf16 *)to)[i] = bf16_from_float((float)v);
}

/* --- convolutions: channels innermost everywhere --- */

/* Visits every product of the convolution: visit(x, w, y, n) for the positions of n neighbouring channels of x and w,
 * and of one y. */
template <typename F> static void for_each_tap(const fake_conv &c, F visit)
{
    const int cg = c.x.c / c.conv.groups, kg = c.conv.out / c.conv.groups, R = c.conv.kernel;
    for (int n = 0; n < c.y.n; n++)
        for (int p = 0; p < c.y.h; p++)
            for (int q = 0; q < c.y.w; q++)
                for (int r = 0; r < R; r++)
                    for (int s = 0; s < R; s++) {
                        const int h = p * c.conv.stride + r - c.conv.pad,
                                  v = q * c.conv.stride + s - c.conv.pad;
                        if (h < 0 || h >= c.x.h || v < 0 || v >= c.x.w) continue;
                        for (int k = 0; k < c.y.c; k++)
                            visit(nhwc_at(c.x, n, k / kg * cg, h, v), (((int64_t)k * R + r) * R + s) * cg,
                                  nhwc_at(c.y, n, k, p, q), cg);
                    }
}

static std::vector<double> values(const void *from, int type, int64_t count)
{
    std::vector<double> v((size_t)count);
    for (int64_t i = 0; i < count; i++) v[(size_t)i] = get(from, type, i);
    return v;
}

static void run_conv(const fake_conv &c, const void *x, const void *w, const void *y)
{
    const int64_t weights = (int64_t)c.conv.out * (c.x.c / c.conv.groups) * c.conv.kernel * c.conv.kernel;
    const int64_t counts[3] = { shape_count(c.y), shape_count(c.x), weights };
    void *const outputs[3] = { (void *)y, (void *)x, (void *)w };
    std::vector<double> X, W, Y;
    double *out; /* the result, computed from zero */
    if (c.direction != CONV_FORWARD) Y = values(y, c.type, counts[0]);
    if (c.direction != CONV_DATA) X = values(x, c.type, counts[1]);
    if (c.direction != CONV_WEIGHTS) W = values(w, c.type, counts[2]);
    std::vector<double> sum((size_t)counts[c.direction]);
    out = sum.data();
    const double *xs = X.data(), *ws = W.data(), *ys = Y.data();
    if (c.direction == CONV_FORWARD)
        for_each_tap(c, [=](int64_t i, int64_t j, int64_t o, int n) {
            double dot = 0;
            for (int l = 0; l < n; l++) dot += xs[i + l] * ws[j + l];
            out[o] += dot;
        });
    else if (c.direction == CONV_DATA)
        for_each_tap(c, [=](int64_t i, int64_t j, int64_t o, int n) {
            for (int l = 0; l < n; l++) out[i + l] += ys[o] * ws[j + l];
        });
    else
        for_each_tap(c, [=](int64_t i, int64_t j, int64_t o, int n) {
            for (int l = 0; l < n; l++) out[j + l] += ys[o] * xs[i + l];
        });
    void *to = outputs[c.direction];
    for (int64_t i = 0; i < counts[c.direction]; i++)
        put(to, c.type, i, c.add ? get(to, c.type, i) + out[i] : out[i]);
}

extern "C" void fake_conv_run(const fake_conv *c, const void *x, const void *w, const void *y,
                              void *workspace)
{
    const fake_conv copy = *c;
    emulate_do([=] {
        memset(workspace, 0xff, FAKE_WORKSPACE); /* fails if the memory is not there */
        run_conv(copy, x, w, y);
    });
}

/* --- products of matrices, stored column by column --- */

extern "C" {

cublasStatus_t cublasCreate_v2(cublasHandle_t *out)
{
    *out = (cublasHandle_t)malloc(1);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasDestroy_v2(cublasHandle_t handle)
{
    free(handle);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSetStream_v2(cublasHandle_t, cudaStream_t)
{
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSetMathMode(cublasHandle_t, cublasMath_t)
{
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSetWorkspace_v2(cublasHandle_t, void *, size_t)
{
    return CUBLAS_STATUS_SUCCESS;
}

const char *cublasGetStatusString(cublasStatus_t)
{
    return "an emulated error";
}

cublasStatus_t cublasGemmEx(cublasHandle_t, cublasOperation_t ta, cublasOperation_t tb, int m, int n, int k,
                            const void *alpha, const void *a, cudaDataType atype, int lda, const void *b,
                            cudaDataType btype, int ldb, const void *beta, void *c, cudaDataType ctype,
                            int ldc, cublasComputeType_t, cublasGemmAlgo_t)
{
    const float scale = *(const float *)alpha, keep = *(const float *)beta;
    const int at = atype == CUDA_R_32F ? F32 : BF16, bt = btype == CUDA_R_32F ? F32 : BF16,
              ct = ctype == CUDA_R_32F ? F32 : BF16;
    if (lda < (ta == CUBLAS_OP_N ? m : k) || ldb < (tb == CUBLAS_OP_N ? k : n) || ldc < m)
        return CUBLAS_STATUS_INVALID_VALUE;
    emulate_do([=] {
        for (int64_t j = 0; j < n; j++)
            for (int64_t i = 0; i < m; i++) {
                double sum = 0;
                for (int64_t l = 0; l < k; l++)
                    sum += (double)get(a, at, ta == CUBLAS_OP_N ? l * lda + i : i * lda + l) *
                           get(b, bt, tb == CUBLAS_OP_N ? j * ldb + l : l * ldb + j);
                put(c, ct, j * ldc + i, scale * sum + (keep ? keep * get(c, ct, j * ldc + i) : 0));
            }
    });
    return CUBLAS_STATUS_SUCCESS;
}
}
