/* core/cuda/linear.c -- products of matrices by cuBLAS, and [op.h] OP_LINEAR.
 *
 * cuBLAS stores matrices column by column, we store them row by row: our [r, c] is its [c, r] with leading dimension
 * c. So to get c = a b^T we ask for c^T = b a^T: the operands change places. */
#include "cuda.h"

#include <limits.h>

static cudaDataType_t library_type(dtype type)
{
    return type == F32 ? CUDA_R_32F : CUDA_R_16BF;
}

status cuda_multiply(cuda *c, int64_t m, int64_t n, int64_t k, cuda_matrix a, cuda_matrix b, float beta,
                     void *out, int64_t leading, dtype out_type)
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

/* --- OP_LINEAR --- */

typedef struct linear_plan {
    cuda_plan base;
    cuda_weights weights;
    int64_t dim; /* values of one row of x */
} linear_plan;

/* y [N, K] = act(x [N, D] w^T + bias) */
static status linear_forward(cuda_plan *base, const op_args *a)
{
    status st = OK;
    linear_plan *p = (linear_plan *)base;
    const op *o = &base->op;
    const int64_t D = p->dim, K = o->linear.out;
    weights_place(&p->weights, a->packed);
    TRY(weights_use(base, &p->weights, a));
    const cuda_matrix w = { weights_read(&p->weights, a), CUBLAS_OP_T, D, o->type },
                      x = { a->x, CUBLAS_OP_N, D, o->type };
    TRY(cuda_multiply(base->cuda, K, o->x.n, D, w, x, 0, a->y, K, o->type));
    TRY_CUDA(bias_act(base->cuda->stream, o->type, a->y, a->param[1], o->x.n, o->linear.out, o->linear.act));
out:
    return st;
}

/* Of dv = dy * act', which is in scratch. Without an activation, dv is dy itself. */
static size_t dv_bytes(const op *o)
{
    return o->linear.act == ACT_NONE
               ? 0
               : cuda_aligned((size_t)o->x.n * (size_t)o->linear.out * dtype_bytes(o->type));
}

/* dx [N, D] = dv w;  dw [K, D] = dv^T x;  dbias = sum of dv over N. dw is always f32. */
static status linear_backward(cuda_plan *base, const op_args *a)
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
        const cuda_matrix w = { weights_read(&p->weights, a), CUBLAS_OP_N, D, o->type },
                          g = { dv, CUBLAS_OP_N, K, o->type };
        TRY(cuda_multiply(c, D, N, K, w, g, a->dx_add ? 1 : 0, a->dx, D, o->type));
    }
    if (a->grad[0]) {
        const cuda_matrix x = { a->x, CUBLAS_OP_N, D, o->type }, g = { dv, CUBLAS_OP_T, K, o->type };
        TRY(cuda_multiply(c, D, K, N, x, g, 0, weights_write(&p->weights, a), D, F32));
        TRY(weights_grad(base, &p->weights, a->grad[0]));
    }
    if (a->grad[1])
        TRY_CUDA(column_sums(c->stream, o->type, dv, N, o->linear.out, a->grad[1],
                             (char *)a->scratch + dv_bytes(o), c->device.multiProcessorCount));
out:
    return st;
}

status cuda_linear_plan(cuda *c, const op *o, cuda_plan **out, op_needs *needs)
{
    status st = OK;
    const int pixels = o->x.h * o->x.w;
    TRY(cuda_plan_new(c, o, sizeof(linear_plan), linear_forward, linear_backward, out));
    linear_plan *p = (linear_plan *)*out;
    const weight_copy w = { .type = o->type, .filters = o->linear.out, .channels = o->x.c, .window = pixels };
    weight_copy dw = w;
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
