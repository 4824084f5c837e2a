/* core/cuda/linear.c -- [op.h] OP_LINEAR and the tiles of similarities, by cuBLAS.
 *
 * cuBLAS counts columns first, we count rows first: our row-major [r, c] is its [c, r], leading dimension c.
 * So c = a b^T is asked for as c^T = b a^T, and so on: the operands change places. */
#include "cuda.h"

#include <limits.h>

typedef struct linear_plan {
    plan base;
    cuda_weights weights;
    int64_t dim; /* values of one row of x */
} linear_plan;

static cudaDataType_t library_type(dtype type)
{
    return type == F32 ? CUDA_R_32F : CUDA_R_16BF;
}

/* One matrix as cuBLAS sees it. */
typedef struct operand {
    const void *at;
    cublasOperation_t transposed;
    int64_t leading;
    dtype type;
} operand;

/* out [m, n] (column-major) = a b + beta out, sums over k in f32. */
static status multiply(cuda *c, int64_t m, int64_t n, int64_t k, operand a, operand b, float beta, void *out,
                       int64_t leading, dtype out_type)
{
    status st = OK;
    const float one = 1;
    const cublasComputeType_t compute =
        a.type == F32 ? (c->base.tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F_PEDANTIC)
                      : CUBLAS_COMPUTE_32F;
    if (m > INT_MAX || n > INT_MAX || k > INT_MAX || a.leading > INT_MAX || b.leading > INT_MAX ||
        leading > INT_MAX)
        FAIL(ERR_RUNTIME, "a product of %lld x %lld x %lld is too large for cuBLAS", (long long)m,
             (long long)n, (long long)k);
    TRY_CUBLAS(cublasGemmEx(c->cublas, a.transposed, b.transposed, (int)m, (int)n, (int)k, &one, a.at,
                            library_type(a.type), (int)a.leading, b.at, library_type(b.type), (int)b.leading,
                            &beta, out, library_type(out_type), (int)leading, compute, CUBLAS_GEMM_DEFAULT));
out:
    return st;
}

/* cuBLAS computes what lies below a diagonal, too. */
status cuda_gram_nt(backend *device, dtype type, int m, int n, int64_t k, const void *a, int64_t lda,
                    const void *rows_b, int64_t ldb, bool upper, float *c, int64_t ldc)
{
    const operand left = { rows_b, CUBLAS_OP_T, ldb, type }, right = { a, CUBLAS_OP_N, lda, type };
    (void)upper;
    return multiply((cuda *)device, n, m, k, left, right, 0, c, ldc, F32);
}

/* y [N, K] = act(x [N, D] w^T + bias) */
static status linear_forward(plan *base, const op_args *a)
{
    status st = OK;
    linear_plan *p = (linear_plan *)base;
    const op *o = &base->op;
    const int64_t D = p->dim, K = o->linear.out;
    weights_place(&p->weights, a->packed);
    TRY(weights_use(base, &p->weights, a));
    const operand w = { weights_read(&p->weights, a), CUBLAS_OP_T, D, o->type },
                  x = { a->x, CUBLAS_OP_N, D, o->type };
    TRY(multiply(base->cuda, K, o->x.n, D, w, x, 0, a->y, K, o->type));
    TRY_CUDA(bias_act(base->cuda->stream, o->type, a->y, a->param[1], o->x.n, o->linear.out, o->linear.act));
out:
    return st;
}

static size_t dv_bytes(const op *o)
{
    return o->linear.act == ACT_NONE
               ? 0
               : cuda_aligned((size_t)o->x.n * (size_t)o->linear.out * dtype_bytes(o->type));
}

/* dx [N, D] = dv w;  dw [K, D] = dv^T x;  dbias = sum of dv over N;  dv = dy * act'. dw is f32 in any
 * precision. */
static status linear_backward(plan *base, const op_args *a)
{
    status st = OK;
    linear_plan *p = (linear_plan *)base;
    const op *o = &base->op;
    cuda *c = base->cuda;
    const int64_t D = p->dim, K = o->linear.out, N = o->x.n;
    const void *dv = o->linear.act == ACT_NONE ? a->dy : a->scratch;
    weights_place(&p->weights, a->packed);
    if (dv == a->scratch)
        TRY_CUDA(act_backward(c->stream, o->type, a->y, a->dy, a->scratch, N * K, o->linear.act));
    if (a->dx) {
        const operand w = { weights_read(&p->weights, a), CUBLAS_OP_N, D, o->type },
                      g = { dv, CUBLAS_OP_N, K, o->type };
        TRY(multiply(c, D, N, K, w, g, a->dx_add ? 1 : 0, a->dx, D, o->type));
    }
    if (a->grad[0]) {
        const operand x = { a->x, CUBLAS_OP_N, D, o->type }, g = { dv, CUBLAS_OP_T, K, o->type };
        TRY(multiply(c, D, K, N, x, g, 0, weights_write(&p->weights, a), D, F32));
        TRY(weights_grad(base, &p->weights, a->grad[0]));
    }
    if (a->grad[1])
        TRY_CUDA(column_sums(c->stream, o->type, dv, N, o->linear.out, a->grad[1],
                             (char *)a->scratch + dv_bytes(o), c->device.multiProcessorCount));
out:
    return st;
}

status cuda_linear_plan(cuda *c, const op *o, plan **out, op_needs *needs)
{
    status st = OK;
    const int pixels = o->x.h * o->x.w;
    TRY(cuda_plan_new(c, o, sizeof(linear_plan), out));
    linear_plan *p = (linear_plan *)*out;
    const weight_copy w = { .type = o->type, .filters = o->linear.out, .channels = o->x.c, .window = pixels };
    weight_copy dw = w;
    p->base.forward = linear_forward;
    p->base.backward = linear_backward;
    p->base.weights = &p->weights;
    p->dim = shape_image(o->x);
    dw.type = F32;
    *needs = (op_needs){ 0 };
    weights_plan(&p->weights, w, o->type != F32 || pixels > 1, dw, o->training && pixels > 1, needs);
    if (!o->training) goto out;
    needs->scratch =
        dv_bytes(o) + column_sums_bytes(o->type, o->x.n, o->linear.out, c->device.multiProcessorCount);
    needs->backward_x = true;
    needs->backward_y = o->linear.act != ACT_NONE;
out:
    return st;
}
