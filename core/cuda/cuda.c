/* core/cuda/cuda.c -- the table of the cuda backend: opening, planning, memory. */
#include "engine.h"

#include "../device/fusion.h"
#include "../device/plugin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { STAGE_BYTES = 4 << 20, WORKSPACE_BYTES = 32 << 20, OLDEST = 80, OLDEST_CUDNN = 90800 };

/* --- plans --- */

status cuda_plan_new(cuda *c, const op *o, size_t bytes, cuda_pass *forward, cuda_pass *backward,
                     cuda_plan **out)
{
    status st = OK;
    cuda_plan *p;
    TRY_ALLOC(p, calloc(1, bytes));
    p->op = *o;
    p->cuda = c;
    p->forward = forward;
    p->backward = backward;
    *out = p;
out:
    return st;
}

void cuda_plan_free(cuda_plan *p)
{
    if (!p) return;
    cuda_forget_plan(p->cuda, p);
    if (p->free_parts) p->free_parts(p);
    free(p);
}

static status (*const planners[OP_KINDS])(cuda *, const op *, cuda_plan **, op_needs *) = {
    [OP_CONV] = cuda_conv_plan,     [OP_BNACT] = cuda_own_plan,   [OP_POOL] = cuda_own_plan,
    [OP_LINEAR] = cuda_linear_plan, [OP_DROPOUT] = cuda_own_plan, [OP_SHORTCUT] = cuda_own_plan,
    [OP_LOSS] = cuda_own_plan,
};

static const char *unsupported(backend *b, const op *o)
{
    (void)b;
    if (o->kind >= OP_KINDS || !planners[o->kind]) return "there is no such operation on cuda";
    if (o->kind == OP_BNACT && o->training && !o->bnact.frozen && cuda_rows(o->x) < 2)
        return "batch normalisation needs at least two values per channel";
    if (o->kind == OP_LOSS && (o->x.h != 1 || o->x.w != 1)) return "the loss takes logits [N, C, 1, 1]";
    if (o->kind == OP_POOL && o->pool.kind == POOL_MAX && o->pool.kernel > 15)
        return "max pooling windows larger than 15 are not available on cuda";
    return NULL;
}

static status plan_one(backend *b, const op *o, plan **out, op_needs *needs)
{
    status st = OK;
    op_needs n = { 0 };
    cuda_plan *p = NULL;
    const char *why = unsupported(b, o);
    if (why) FAIL(ERR_RUNTIME, "%s", why);
    TRY(planners[o->kind]((cuda *)b, o, &p, &n));
    *out = (plan *)p;
    *needs = n;
out:
    return st;
}

static const char *unsupported_pair(backend *b, const op *first, const op *then)
{
    const char *why = unsupported(b, first);
    if (!why) why = unsupported(b, then);
    if (why) return why;
    if (first->kind != OP_BNACT || then->kind != OP_POOL || !cuda_fuses_pool(first, then))
        return "cuda fuses only bnact with a max pool of 2 x 2 windows side by side, in training";
    return NULL;
}

static status plan_pair(backend *b, const op *first, const op *then, plan **out, op_needs *needs)
{
    status st = OK;
    op_needs n = { 0 };
    cuda_plan *p = NULL;
    const char *why = unsupported_pair(b, first, then);
    if (why) FAIL(ERR_RUNTIME, "%s", why);
    TRY(cuda_bnact_pool_plan((cuda *)b, first, then, &p, &n));
    *out = (plan *)p;
    *needs = n;
out:
    return st;
}

static void free_plan(plan *p)
{
    cuda_plan_free((cuda_plan *)p);
}

static status run_forward(plan *base, const op_args *a)
{
    status st = OK;
    cuda_plan *p = (cuda_plan *)base;
    TRY(cuda_recording_add(p));
    TRY(p->forward(p, a));
out:
    return st;
}

static status run_backward(plan *base, const op_args *a)
{
    cuda_plan *p = (cuda_plan *)base;
    return p->backward(p, a);
}

/* --- memory --- */

static status cuda_alloc(backend *b, size_t bytes, void **out)
{
    status st = OK;
    const cuda *c = (cuda *)b;
    void *memory = NULL;
    const cudaError_t answer = cudaMalloc(&memory, bytes ? bytes : 1);
    if (answer == cudaErrorMemoryAllocation) {
        cudaGetLastError(); /* clears it, or the next launch would report it */
        FAIL(ERR_RUNTIME, "out of GPU memory: %zu MB", bytes >> 20);
    }
    TRY_CUDA(answer); /* perhaps the error of an earlier kernel */
    TRY_CUDA(cudaMemsetAsync(memory, 0, bytes, c->stream));
    *out = memory;
    memory = NULL;
out:
    if (memory) cudaFree(memory);
    return st;
}

static void cuda_release(backend *b, void *memory, size_t bytes)
{
    (void)bytes;
    cudaStreamSynchronize(((cuda *)b)->stream);
    cudaFree(memory);
}

/* Copies `host` piece by piece to pinned memory, from where the device fetches it later: so the caller may reuse
 * `host` when this returns. */
static status cuda_upload(backend *b, void *dst, const void *host, size_t bytes)
{
    status st = OK;
    cuda *c = (cuda *)b;
    cuda_params_changed(c, dst, bytes);
    for (size_t done = 0; done < bytes;) {
        cuda_stage *s = &c->stage[c->next_stage];
        const size_t piece = bytes - done < STAGE_BYTES ? bytes - done : STAGE_BYTES;
        c->next_stage = (c->next_stage + 1) % STAGES;
        TRY_CUDA(cudaEventSynchronize(s->copied));
        memcpy(s->host, (const char *)host + done, piece);
        TRY_CUDA(cudaMemcpyAsync((char *)dst + done, s->host, piece, cudaMemcpyHostToDevice, c->stream));
        TRY_CUDA(cudaEventRecord(s->copied, c->stream));
        done += piece;
    }
out:
    return st;
}

static status cuda_download(backend *b, void *host, const void *src, size_t bytes)
{
    status st = OK;
    cuda *c = (cuda *)b;
    if (bytes) TRY_CUDA(cudaMemcpyAsync(host, src, bytes, cudaMemcpyDeviceToHost, c->stream));
    TRY_CUDA(cudaStreamSynchronize(c->stream)); /* reports errors of earlier kernels */
out:
    return st;
}

static size_t cuda_value_bytes(backend *b, shape4 s, dtype type)
{
    (void)b;
    return (size_t)shape_count(s) * dtype_bytes(type);
}

status cuda_reserve(cuda *c, size_t bytes)
{
    status st = OK;
    if (bytes <= c->convert_bytes) return OK;
    if (c->convert) cuda_release(&c->base, c->convert, c->convert_bytes);
    c->convert = NULL;
    c->convert_bytes = 0;
    TRY(cuda_alloc(&c->base, bytes, &c->convert));
    c->convert_bytes = bytes;
out:
    return st;
}

static status cuda_write_value(backend *b, void *dst, shape4 s, dtype type, const float *nchw)
{
    status st = OK;
    cuda *c = (cuda *)b;
    const size_t bytes = (size_t)shape_count(s) * sizeof(float);
    TRY(cuda_reserve(c, bytes));
    TRY(cuda_upload(b, c->convert, nchw, bytes));
    TRY_CUDA(value_from_nchw(c->stream, type, c->convert, dst, s));
out:
    return st;
}

static status cuda_read_value(backend *b, const void *src, shape4 s, dtype type, int n, float *nchw)
{
    status st = OK;
    cuda *c = (cuda *)b;
    s.n = n; /* images are outermost */
    const size_t bytes = (size_t)shape_count(s) * sizeof(float);
    if (n < 1) return OK;
    TRY(cuda_reserve(c, bytes));
    TRY_CUDA(value_to_nchw(c->stream, type, src, c->convert, s));
    TRY(cuda_download(b, nchw, c->convert, bytes));
out:
    return st;
}

static status cuda_show_images(backend *b, const uint8_t *images, const image_draw *draw,
                               const image_norm *norm, shape4 s, dtype type, void *to)
{
    status st = OK;
    TRY_CUDA(value_from_images(((cuda *)b)->stream, type, images, draw, *norm, s.n,
                               (image_shape){ s.c, s.h, s.w }, to));
out:
    return st;
}

/* --- opening --- */

static void cuda_close(backend *b)
{
    cuda *c = (cuda *)b;
    if (c->stream) cudaStreamSynchronize(c->stream);
    cuda_forget_all(c);
    for (int i = 0; i < STAGES; i++) {
        if (c->stage[i].copied) cudaEventDestroy(c->stage[i].copied);
        if (c->stage[i].host) cudaFreeHost(c->stage[i].host);
    }
    choices_forget(c);
    if (c->cublas) cublasDestroy(c->cublas);
    if (c->cudnn) cudnnDestroy(c->cudnn);
    if (c->convert) cudaFree(c->convert);
    if (c->cublas_workspace) cudaFree(c->cublas_workspace);
    if (c->now) cudaFree(c->now);
    if (c->stream) cudaStreamDestroy(c->stream);
    free(c);
}

/* cudaGetDeviceCount does not tell a missing driver from one that is too old. */
static status no_driver(void)
{
    int version = 0;
    cudaDriverGetVersion(&version);
    if (version == 0) return status_set(ERR_RUNTIME, __FILE__, __LINE__, "no NVIDIA driver is installed");
    return status_set(ERR_RUNTIME, __FILE__, __LINE__,
                      "the NVIDIA driver is too old: made for CUDA %d.%d, this build needs %d.%d",
                      version / 1000, version % 1000 / 10, CUDART_VERSION / 1000, CUDART_VERSION % 1000 / 10);
}

static status find_device(cuda *c, int number)
{
    status st = OK;
    int count = 0;
    const cudaError_t answer = cudaGetDeviceCount(&count);
    if (answer) cudaGetLastError();
    if (answer == cudaErrorInsufficientDriver || answer == cudaErrorStubLibrary) TRY(no_driver());
    if (answer == cudaErrorNoDevice || (answer == cudaSuccess && count == 0))
        FAIL(ERR_RUNTIME, "the NVIDIA driver finds no GPU");
    TRY_CUDA(answer);
    if (number >= count)
        FAIL(ERR_RUNTIME, "there is no GPU %d; the driver finds %d, numbered from 0", number, count);
    TRY_CUDA(cudaGetDeviceProperties(&c->device, number));
    if (c->device.major * 10 + c->device.minor < OLDEST)
        FAIL(ERR_RUNTIME, "%s has compute capability %d.%d; 8.0 or newer is needed", c->device.name,
             c->device.major, c->device.minor);
    TRY_CUDA(cudaSetDevice(number));
out:
    return st;
}

static status find_libraries(void)
{
    status st = OK;
    const size_t version = cudnnGetVersion();
    if (version < OLDEST_CUDNN || version / 10000 != CUDNN_MAJOR)
        FAIL(ERR_RUNTIME, "cuDNN %zu.%zu.%zu is installed; %d.x from 9.8 on is needed", version / 10000,
             version / 100 % 100, version % 100, CUDNN_MAJOR);
out:
    return st;
}

static status open_libraries(cuda *c)
{
    status st = OK;
    TRY_CUDA(cudaStreamCreateWithFlags(&c->stream, cudaStreamNonBlocking));
    for (int i = 0; i < STAGES; i++) {
        TRY_CUDA(cudaHostAlloc(&c->stage[i].host, STAGE_BYTES, cudaHostAllocDefault));
        c->stage[i].bytes = STAGE_BYTES;
        TRY_CUDA(cudaEventCreateWithFlags(&c->stage[i].copied, cudaEventDisableTiming));
    }
    TRY(cuda_alloc(&c->base, sizeof *c->now, (void **)&c->now));
    TRY(cuda_alloc(&c->base, WORKSPACE_BYTES, &c->cublas_workspace));
    TRY_CUDNN(cudnnCreate(&c->cudnn));
    TRY_CUDNN(cudnnSetStream(c->cudnn, c->stream));
    TRY_CUBLAS(cublasCreate(&c->cublas));
    TRY_CUBLAS(cublasSetStream(c->cublas, c->stream));
    /* After cublasSetStream, which resets it. */
    TRY_CUBLAS(cublasSetWorkspace(c->cublas, c->cublas_workspace, WORKSPACE_BYTES));
    /* Partial sums are f32, whatever the type of the result. */
    TRY_CUBLAS(cublasSetMathMode(
        c->cublas, (cublasMath_t)(CUBLAS_DEFAULT_MATH | CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION)));
out:
    return st;
}

static const backend_fusion fusion = { .unsupported = unsupported_pair, .plan = plan_pair };
static const backend_images image_sets = { .show = cuda_show_images };
static const backend_tuning tuning = { .load = choices_load, .save = choices_save };

static const backend table = {
    .name = "cuda",
    .fusion = &fusion,
    .products = &cuda_products,
    .images = &image_sets,
    .tuning = &tuning,
    .bias_free = true,
    .alignment = 256, /* as memory of cudaMalloc, in which engines are timed: they may rely on it */
    .close = cuda_close,
    .unsupported = unsupported,
    .plan = plan_one,
    .plan_free = free_plan,
    .forward = run_forward,
    .backward = run_backward,
    .step_begin = cuda_step_begin,
    .step_end = cuda_step_end,
    .eval_begin = cuda_eval_begin,
    .eval_end = cuda_step_end,
    .step_forget = cuda_step_forget,
    .sgd = cuda_sgd,
    .alloc = cuda_alloc,
    .release = cuda_release,
    .upload = cuda_upload,
    .download = cuda_download,
    .value_bytes = cuda_value_bytes,
    .write_value = cuda_write_value,
    .read_value = cuda_read_value,
};

static status cuda_open_device(int number, int threads, void (*note)(const char *), backend **out)
{
    status st = OK;
    cuda *c = NULL;
    if (threads < 0) FAIL(ERR_USAGE, "threads: %d is negative; 0 means all cores", threads);
    TRY_ALLOC(c, calloc(1, sizeof *c));
    c->base = table;
    c->base.threads = threads ? threads : (int)sysconf(_SC_NPROCESSORS_ONLN);
    c->note = note;
    TRY(find_device(c, number));
    TRY(find_libraries());
    TRY(open_libraries(c));
    snprintf(c->base.description, sizeof c->base.description, "%.60s, CUDA %d.%d, cuDNN %d.%d.%d",
             c->device.name, CUDART_VERSION / 1000, CUDART_VERSION % 1000 / 10,
             (int)(cudnnGetVersion() / 10000), (int)(cudnnGetVersion() / 100 % 100),
             (int)(cudnnGetVersion() % 100));
    *out = &c->base;
    c = NULL;
out:
    if (c) cuda_close(&c->base);
    return st;
}

__attribute__((visibility("default"))) extern const plugin cleave_plugin;
const plugin cleave_plugin = PLUGIN(cuda_open_device);
