/* core/cuda/cuda.h -- what the C files of the cuda backend share. cuDNN computes convolutions, cuBLAS products of
 * matrices, our own kernels (kernels.h) the rest.
 *
 * Values are NHWC of f32 or bf16. All work is put into one stream, in the order of the calls, and only
 * `download`, `read_value` and functions whose comment says so wait for the device.
 *
 * Weights. The libraries read a copy of the weights in their own order and type (`packed`), and write gradients in
 * that order. weights.c keeps the copies up to date; recording.c does so for all weights at once when a whole step is
 * recorded. */
#ifndef CLEAVE_CUDA_H
#define CLEAVE_CUDA_H

#include "../base/minmax.h"
#include "../device/backend.h"
#include "../device/image_sets.h"
#include "../device/products.h"
#include "../device/tuning.h"
#include "kernels.h"

#include <cublas_v2.h>
#include <cuda_runtime_api.h>
#include <cudnn.h>

typedef struct cuda_recording cuda_recording; /* recording.c */
typedef struct engine_choice engine_choice;   /* engine.c */

/* Pinned host memory, from which the device copies while the caller goes on. */
enum { STAGES = 4 };
typedef struct cuda_stage {
    void *host;
    size_t bytes;
    cudaEvent_t copied; /* recorded after the last copy out of `host` */
} cuda_stage;

typedef struct cuda {
    backend base;
    void (*note)(const char *line); /* prints a line for the user */
    struct cudaDeviceProp device;
    cudaStream_t stream;
    cudnnHandle_t cudnn;
    cublasHandle_t cublas;
    void *cublas_workspace;
    cuda_scalars *now; /* of this step, in device memory */
    cuda_stage stage[STAGES];
    int next_stage;
    void *convert; /* used within one call: a value in NCHW f32 on its way in or out, norms, counts */
    size_t convert_bytes;
    engine_choice *choices;
    cuda_recording *recordings;
    cuda_recording *current;               /* of the step that is running; NULL between steps */
    uint64_t changes;                      /* counts events that may have changed parameter values */
    const char *params_begin, *params_end; /* all weights seen so far lie in between */
} cuda;

/* --- plans --- */

/* A plan as this backend sees it; cuda.c converts between `plan *` and `cuda_plan *`. The plans of operations begin with
 * this struct. */
typedef struct cuda_plan cuda_plan;
typedef struct cuda_weights cuda_weights;
typedef status cuda_pass(cuda_plan *, const op_args *);
struct cuda_plan {
    op op;
    cuda *cuda;
    cuda_pass *forward, *backward;
    void (*free_parts)(cuda_plan *); /* frees what the struct points to; NULL: nothing */
    cuda_weights *weights;           /* NULL: no weights that a library reads */
};

/* Allocates a plan of `bytes`, zeroed, and fills the common part. */
status cuda_plan_new(cuda *, const op *, size_t bytes, cuda_pass *forward, cuda_pass *backward,
                     cuda_plan **out);
void cuda_plan_free(cuda_plan *); /* NULL is harmless */

status cuda_conv_plan(cuda *, const op *, cuda_plan **, op_needs *);
status cuda_linear_plan(cuda *, const op *, cuda_plan **, op_needs *);

/* --- ops.c --- */

/* Any of the operations that are neither OP_CONV nor OP_LINEAR. */
status cuda_own_plan(cuda *, const op *, cuda_plan **, op_needs *);
/* OP_BNACT and the OP_POOL after it as one (core/device/fusion.h), if there are kernels for the two. */
bool cuda_fuses_pool(const op *bnact, const op *pool);
status cuda_bnact_pool_plan(cuda *, const op *bnact, const op *pool, cuda_plan **, op_needs *);

/* Rows of a value, as kernels.h calls them: the pixels of all images. */
static inline int64_t cuda_rows(shape4 s)
{
    return (int64_t)s.n * s.h * s.w;
}

/* --- weights.c --- */

/* The weights of one plan in the libraries' order. */
struct cuda_weights {
    weight_copy copy, grad;      /* plain: args.param[0], args.grad[0]; packed: in args.packed, or NULL */
    bool needs_copy, needs_grad; /* false: the library reads, or writes, the plain array */
    uint64_t version;            /* args.version when `copy` was renewed; 0: never */
};

void cuda_params_changed(cuda *, const void *dst, size_t bytes); /* called by every upload */

/* When planning: adds to needs->packed what the copy of the weights and their gradient take, if they are needed. */
void weights_plan(cuda_weights *, weight_copy copy, bool needs_copy, weight_copy grad, bool needs_grad,
                  op_needs *needs);
/* First in forward and in backward: that memory, which the net allocates after planning. */
void weights_place(cuda_weights *, void *packed);
/* In forward: renews the copy if it is older than args.version. */
status weights_use(cuda_plan *, cuda_weights *, const op_args *);
/* In backward, after the gradient was computed into grad.packed: puts it in plain order into `grad`. In a recorded
 * step it stays where it is, because SGD reads it there. */
status weights_grad(cuda_plan *, cuda_weights *, float *grad);
/* Where the library reads the weights, and where it writes their gradient. */
static inline const void *weights_read(const cuda_weights *w, const op_args *a)
{
    return w->copy.packed ? w->copy.packed : (const void *)a->param[0];
}
static inline void *weights_write(const cuda_weights *w, const op_args *a)
{
    return w->grad.packed ? w->grad.packed : a->grad[0];
}

/* --- recording.c --- */

status cuda_step_begin(backend *, step_handle *, const step_scalars *, bool *replayed);
status cuda_eval_begin(backend *, step_handle *, bool *replayed);
void cuda_step_forget(backend *, step_handle *);
status cuda_step_end(backend *); /* of either */
status cuda_sgd(backend *, float *value, const float *grad, float *velocity, int64_t count);

status cuda_recording_add(cuda_plan *); /* called by every forward */
void cuda_forget_plan(cuda *,
                      const cuda_plan *); /* drops the recordings of steps to which the plan belongs */
void cuda_forget_all(cuda *);
bool cuda_is_recording(const cuda *);

/* --- linear.c --- */

/* A matrix as cuBLAS sees it: column by column. */
typedef struct cuda_matrix {
    const void *at;
    cublasOperation_t transposed;
    int64_t leading; /* from one column to the next */
    dtype type;
} cuda_matrix;

/* out [m, n] = a b + beta out, column by column; sums over k in f32. */
status cuda_multiply(cuda *, int64_t m, int64_t n, int64_t k, cuda_matrix a, cuda_matrix b, float beta,
                     void *out, int64_t leading, dtype out_type);

/* --- products.c --- */

extern const backend_products cuda_products;

/* --- cuda.c --- */

/* Makes c->convert at least this large. */
status cuda_reserve(cuda *, size_t bytes);

static inline size_t cuda_aligned(size_t bytes)
{
    return round_up(bytes, 256);
}

/* --- the libraries' answers as ours --- */

static inline status cuda_answer(int answer, const char *file, int line, const char *call)
{
    if (!answer) return OK;
    return status_set(ERR_RUNTIME, file, line, "CUDA: %s (%d) from %s",
                      cudaGetErrorString((cudaError_t)answer), answer, call);
}
/* `call`: of the CUDA run time, or of a launcher of kernels.h. */
#define CUDA_STATUS(call) cuda_answer((int)(call), __FILE__, __LINE__, #call)
#define TRY_CUDA(call)    TRY(CUDA_STATUS(call))
#define TRY_CUBLAS(call)                                                                                     \
    do {                                                                                                     \
        const cublasStatus_t cublas_answer = (call);                                                         \
        if (cublas_answer != CUBLAS_STATUS_SUCCESS)                                                          \
            FAIL(ERR_RUNTIME, "cuBLAS: %s from " #call, cublasGetStatusString(cublas_answer));               \
    } while (0)
#define TRY_CUDNN(call)                                                                                      \
    do {                                                                                                     \
        const cudnnStatus_t cudnn_answer = (call);                                                           \
        if (cudnn_answer != CUDNN_STATUS_SUCCESS)                                                            \
            FAIL(ERR_RUNTIME, "cuDNN: %s from " #call, cudnnGetErrorString(cudnn_answer));                   \
    } while (0)

#endif
