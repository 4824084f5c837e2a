/* core/cuda/cuda.h -- inside the cuda backend: cuDNN for convolutions, cuBLAS for products, own kernels
 * (kernels.h) for the rest.
 *
 * Values are NHWC of f32 or bf16. Everything is enqueued on one stream of its own, in the order of the calls,
 * and nothing waits for the device but `download` and `read_value`.
 *
 * Weights. The libraries read a copy in their own order and type ([K][window][C], `packed`), and write
 * gradients there. After the first step of a compiled case one launch reads these gradients, updates the parameters and
 * renews the copies (step.c, pieces.c). */
#ifndef CLEAVE_CUDA_H
#define CLEAVE_CUDA_H

#include "../device/backend.h"
#include "../device/image_sets.h"
#include "../device/products.h"
#include "../device/tuning.h"
#include "kernels.h"

#include <cublas_v2.h>
#include <cuda_runtime_api.h>
#include <cudnn.h>

typedef struct cuda_recording cuda_recording;
typedef struct engine_choice engine_choice;

/* Pinned host memory from which uploads run while the caller goes on. */
enum { STAGES = 4 };
typedef struct cuda_stage {
    void *host;
    size_t bytes;
    cudaEvent_t copied; /* recorded after the last copy out of `host` */
} cuda_stage;

typedef struct cuda {
    backend base;
    void (*note)(const char *line); /* a line for the user */
    struct cudaDeviceProp device;
    cudaStream_t stream;
    cudnnHandle_t cudnn;
    cublasHandle_t cublas;
    void *cublas_workspace;
    cuda_scalars *now;
    cuda_stage stage[STAGES];
    int next_stage;
    void *convert; /* for the length of one call: a value in NCHW f32 on its way in or out, norms, counts */
    size_t convert_bytes;
    engine_choice *choices;                /* engine.c */
    cuda_recording *recordings;            /* step.c */
    cuda_recording *current;               /* of the step that is being run; NULL outside */
    uint64_t changes;                      /* counts what may have changed parameter values */
    const char *params_begin, *params_end; /* all weights seen lie in between */
} cuda;

/* The weights of one plan as the libraries want them. */
typedef struct cuda_weights {
    weight_copy copy, grad;      /* plain: args.param[0], args.grad[0]; packed: in args.packed, or NULL */
    bool needs_copy, needs_grad; /* else the plain arrays are what the library reads and writes */
    uint64_t version;            /* args.version that `copy` holds; 0 = none */
} cuda_weights;

/* What every plan begins with. */
struct plan {
    op op;
    cuda *cuda;
    status (*forward)(plan *, const op_args *);
    status (*backward)(plan *, const op_args *);
    void (*free)(plan *);
    cuda_weights *weights; /* NULL: has none */
};

status cuda_conv_plan(cuda *, const op *, plan **, op_needs *);
status cuda_linear_plan(cuda *, const op *, plan **, op_needs *);
status cuda_bnact_plan(cuda *, const op *, plan **, op_needs *);
/* OP_BNACT and the OP_POOL behind it as one (core/device/fusion.h), if there are kernels for the two. */
bool cuda_fuses_pool(const op *bnact, const op *pool);
status cuda_bnact_pool_plan(cuda *, const op *bnact, const op *pool, plan **, op_needs *);
status cuda_pool_plan(cuda *, const op *, plan **, op_needs *);
status cuda_dropout_plan(cuda *, const op *, plan **, op_needs *);
status cuda_shortcut_plan(cuda *, const op *, plan **, op_needs *);
status cuda_loss_plan(cuda *, const op *, plan **, op_needs *);

/* Allocates a plan of `bytes`, zeroed, and fills the common part. */
status cuda_plan_new(cuda *, const op *, size_t bytes, plan **out);

/* --- step.c --- */

status cuda_step_begin(backend *, step_handle *, const step_scalars *, bool *replayed);
status cuda_eval_begin(backend *, step_handle *, bool *replayed);
void cuda_step_forget(backend *, step_handle *);
status cuda_step_end(backend *); /* of either */
status cuda_sgd(backend *, float *value, const float *grad, float *velocity, int64_t count);
status cuda_recording_add(plan *);           /* called by every forward */
void cuda_forget_plan(cuda *, const plan *); /* drops the recordings that run it */
void cuda_forget_all(cuda *);

bool cuda_is_recording(const cuda *);

/* --- pieces.c --- */

/* What cuda_sgd was called with. */
typedef struct cuda_sgd_call {
    float *value, *velocity;
    const float *grad;
    int64_t count;
} cuda_sgd_call;
/* Tables in device memory for sgd_pieces; n chunks, 0: none were made. */
typedef struct cuda_pieces {
    sgd_piece *piece;
    sgd_chunk *chunk;
    int n;
} cuda_pieces;
/* Of the plans of a step that has run. What was made before a failure is freed with *out, too. */
status cuda_pieces_make(cuda *, plan *const *, int n_plans, const cuda_sgd_call *, cuda_pieces *out);
void cuda_pieces_free(cuda_pieces *);
/* A copy of `bytes` in device memory; cudaFree it, also after a failure. */
status cuda_table(cuda *, const void *host, size_t bytes, void **out);

/* --- weights.c --- */

void cuda_params_changed(cuda *, const void *dst, size_t bytes); /* called by every upload */

/* Reserves room in needs->packed for a copy of the weights and for their gradient, where each is needed. */
void weights_plan(cuda_weights *, weight_copy copy, bool needs_copy, weight_copy grad, bool needs_grad,
                  op_needs *needs);
/* Called first in forward and backward: where that room is. The net decides after planning. */
void weights_place(cuda_weights *, void *packed);
/* In forward: renews the copy if it is not of args.version. */
status weights_use(plan *, cuda_weights *, const op_args *);
/* In backward, after the gradient was computed into grad.packed: puts it where it belongs; in a recorded step, which
 * optimises what is packed, it stays there. */
status weights_grad(plan *, cuda_weights *, float *grad);
/* What the library reads, and what it writes a gradient to. */
static inline const void *weights_read(const cuda_weights *w, const op_args *a)
{
    return w->copy.packed ? w->copy.packed : (const void *)a->param[0];
}
static inline void *weights_write(const cuda_weights *w, const op_args *a)
{
    return w->grad.packed ? w->grad.packed : a->grad[0];
}

/* --- products: linear.c --- */

status cuda_gram_nt(backend *, dtype, int m, int n, int64_t k, const void *a, int64_t lda, const void *rows_b,
                    int64_t ldb, bool upper, float *c, int64_t ldc);

/* --- similarities: similar.c --- */

status cuda_rows_normalise(backend *, const void *value, shape4, dtype, int n, dtype to_type, void *to,
                           double *norm, int *bad);
status cuda_tile_count(backend *, const device_tile *, const float *begins, int bins, int64_t *count);
status cuda_tile_pick(backend *, const device_tile *, const int32_t *wanted, float least, device_pair *list,
                      int64_t *n);

/* Makes c->convert at least so large. */
status cuda_reserve(cuda *, size_t bytes);

static inline size_t cuda_aligned(size_t bytes)
{
    return (bytes + 255) / 256 * 256;
}

/* The libraries' answers as ours. */
#define TRY_CUDA(call)                                                                                       \
    do {                                                                                                     \
        const int cuda_answer = (int)(call);                                                                 \
        if (cuda_answer)                                                                                     \
            FAIL(ERR_RUNTIME, "CUDA: %s (%d) from " #call, cudaGetErrorString((cudaError_t)cuda_answer),     \
                 cuda_answer);                                                                               \
    } while (0)
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
