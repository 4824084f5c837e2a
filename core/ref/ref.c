/* core/ref/ref.c -- the reference backend: plugs the readable loops of this folder into core/device/backend.h.
 * Its memory is plain host memory and its layout is NCHW, so there is nothing to reorder or to pack. */
#include "ref.h"

#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct ref_backend {
    backend base; /* first: a backend * is a ref_backend * */
    step_scalars step;
} ref_backend;

struct plan {
    op op;
    ref_backend *owner;
};

/* Until the caller's own number of threads is put back: other backends share OpenMP with this one. */
static int use_threads(int threads)
{
    const int before = omp_get_max_threads();
    omp_set_num_threads(threads);
    return before;
}

static const char *ref_unsupported(backend *b, const op *o)
{
    (void)b;
    if (o->kind == OP_CONV_BNACT && o->training) return "OP_CONV_BNACT has no backward";
    if (o->kind == OP_BNACT_POOL && !o->training) return "OP_BNACT_POOL is for training";
    if (o->kind == OP_BNACT && o->training && !o->bnact.frozen && (int64_t)o->x.n * o->x.h * o->x.w < 2) {
        return "batch normalisation needs at least two values per channel";
    }
    return NULL;
}

/* What backward reads besides dy and the parameters. */
static op_needs needs_of(const op *o)
{
    switch (o->kind) {
    case OP_CONV: return (op_needs){ .backward_x = true };
    case OP_BNACT:
        return (op_needs){
            .saved = (size_t)o->x.c * 2 * sizeof(double), /* mean and 1/sqrt(var + eps) */
            .backward_x = true,
            .backward_y = o->bnact.act != ACT_NONE,
            .again = o->training,
        };
    case OP_BNACT_POOL:
        return (op_needs){ .saved = ref_bnact_pool_saved(o), .backward_x = true, .again = true };
    case OP_POOL: return (op_needs){ .backward_x = o->pool.kind == POOL_MAX };
    case OP_LINEAR: return (op_needs){ .backward_x = true, .backward_y = o->linear.act != ACT_NONE };
    case OP_LOSS: return (op_needs){ .backward_x = true };
    default: return (op_needs){ 0 };
    }
}

/* bf16 is computed on f32 copies in scratch: bf16.c. */
static op_needs needs_with_copies(const op *o)
{
    op_needs n = needs_of(o);
    if (o->type == BF16) n.scratch = ref_copies_bytes(o);
    return n;
}

static status ref_plan(backend *b, const op *o, plan **out, op_needs *needs)
{
    status st = OK;
    plan *p;
    const char *why = ref_unsupported(b, o);
    if (why) FAIL(ERR_RUNTIME, "%s", why);

    TRY_ALLOC(p, malloc(sizeof *p));
    *p = (plan){ *o, (ref_backend *)b };
    *needs = needs_with_copies(o);
    if (!o->training) needs->saved = 0;
    *out = p;
out:
    return st;
}

static void ref_plan_free(plan *p)
{
    free(p);
}

static status ref_forward(plan *p, const op_args *args)
{
    const op *o = &p->op;
    const op_args copies = o->type == BF16 ? ref_copies(o, args) : *args, *a = &copies;
    const int before = use_threads(p->owner->base.threads);
    switch (o->kind) {
    case OP_CONV: ref_conv_forward(o, a); break;
    case OP_BNACT: ref_bnact_forward(o, a); break;
    case OP_POOL: ref_pool_forward(o, a); break;
    case OP_LINEAR: ref_linear_forward(o, a); break;
    case OP_DROPOUT: ref_dropout_forward(o, a, &p->owner->step); break;
    case OP_SHORTCUT: ref_shortcut_forward(o, a); break;
    case OP_LOSS: ref_loss_forward(o, a); break;
    case OP_CONV_BNACT: ref_conv_bnact_forward(o, a); break;
    case OP_BNACT_POOL: ref_bnact_pool_forward(o, a); break;
    case OP_KINDS: break;
    }
    if (o->type == BF16) ref_store_forward(o, a, args);
    omp_set_num_threads(before);
    return OK;
}

static status ref_again(plan *p, const op_args *args)
{
    const op *o = &p->op;
    const op_args copies = o->type == BF16 ? ref_copies(o, args) : *args;
    const int before = use_threads(p->owner->base.threads);
    if (o->kind == OP_BNACT_POOL)
        ref_bnact_pool_again(o, &copies);
    else
        ref_bnact_again(o, &copies); /* no other operation's needs say so */
    if (o->type == BF16) ref_store_forward(o, &copies, args);
    omp_set_num_threads(before);
    return OK;
}

static status ref_backward(plan *p, const op_args *args)
{
    const op *o = &p->op;
    const op_args copies = o->type == BF16 ? ref_copies(o, args) : *args, *a = &copies;
    const int before = use_threads(p->owner->base.threads);
    switch (o->kind) {
    case OP_CONV: ref_conv_backward(o, a); break;
    case OP_BNACT: ref_bnact_backward(o, a); break;
    case OP_POOL: ref_pool_backward(o, a); break;
    case OP_LINEAR: ref_linear_backward(o, a); break;
    case OP_DROPOUT: ref_dropout_backward(o, a, &p->owner->step); break;
    case OP_SHORTCUT: ref_shortcut_backward(o, a); break;
    case OP_LOSS: ref_loss_backward(o, a); break;
    case OP_BNACT_POOL: ref_bnact_pool_backward(o, a); break;
    case OP_CONV_BNACT: /* evaluation only */
    case OP_KINDS: break;
    }
    if (o->type == BF16) ref_store_backward(o, a, args);
    omp_set_num_threads(before);
    return OK;
}

static status ref_step_begin(backend *b, step_handle *h, const step_scalars *s, bool *replayed)
{
    (void)h;
    ((ref_backend *)b)->step = *s;
    *replayed = false;
    return OK;
}

static status ref_step_end(backend *b)
{
    (void)b;
    return OK;
}

static status ref_sgd_step(backend *b, float *value, const float *grad, float *velocity, int64_t count)
{
    const int before = use_threads(b->threads);
    ref_sgd(&((ref_backend *)b)->step, value, grad, velocity, count);
    omp_set_num_threads(before);
    return OK;
}

static status ref_gram(backend *b, dtype type, int m, int n, int64_t k, const void *a, int64_t lda,
                       const void *bb, int64_t ldb, bool upper, float *c, int64_t ldc)
{
    const int before = use_threads(b->threads);
    ref_gram_nt(type, m, n, k, a, lda, bb, ldb, upper, c, ldc);
    omp_set_num_threads(before);
    return OK;
}

static status ref_gram_rounded(backend *b, int m, int n, int64_t k, i8_rows x, i8_rows y, bool upper,
                               float *c, int64_t ldc)
{
    const int before = use_threads(b->threads);
    ref_gram_i8(m, n, k, x, y, upper, c, ldc);
    omp_set_num_threads(before);
    return OK;
}

static status ref_alloc(backend *b, size_t bytes, void **out)
{
    status st = OK;
    void *p;
    const size_t rounded = (bytes + 63) / 64 * 64;
    (void)b;

    if (posix_memalign(&p, 64, rounded ? rounded : 64)) FAIL(ERR_RUNTIME, "out of memory: %zu bytes", bytes);
    memset(p, 0, rounded);
    *out = p;
out:
    return st;
}

static void ref_release(backend *b, void *p, size_t bytes)
{
    (void)b;
    (void)bytes;
    free(p);
}

/* Upload and download are the same copy here. */
static status ref_copy(backend *b, void *to, const void *from, size_t bytes)
{
    (void)b;
    if (bytes) memcpy(to, from, bytes);
    return OK;
}

static size_t ref_value_bytes(backend *b, shape4 s, dtype type)
{
    (void)b;
    return (size_t)shape_count(s) * dtype_bytes(type);
}

static status ref_write_value(backend *b, void *to, shape4 s, dtype type, const float *nchw)
{
    if (type == F32) return ref_copy(b, to, nchw, ref_value_bytes(b, s, type));
    ref_to_bf16(nchw, to, shape_count(s));
    return OK;
}

static status ref_read_value(backend *b, const void *from, shape4 s, dtype type, int n, float *nchw)
{
    s.n = n;
    if (type == F32) return ref_copy(b, nchw, from, ref_value_bytes(b, s, type));
    ref_from_bf16(from, nchw, shape_count(s));
    return OK;
}

static void ref_close(backend *b)
{
    free(b);
}

static const backend_products products = { .product = ref_gram, .product_i8 = ref_gram_rounded };

status ref_open(int threads, backend **out)
{
    status st = OK;
    ref_backend *r;

    TRY_ALLOC(r, calloc(1, sizeof *r));
    r->base = (backend){
        .name = "ref",
        .host_memory = true,
        .threads = threads > 0 ? threads : omp_get_num_procs(),
        .close = ref_close,
        .unsupported = ref_unsupported,
        .plan = ref_plan,
        .plan_free = ref_plan_free,
        .forward = ref_forward,
        .backward = ref_backward,
        .again = ref_again,
        .step_begin = ref_step_begin,
        .step_end = ref_step_end,
        .sgd = ref_sgd_step,
        .alloc = ref_alloc,
        .release = ref_release,
        .upload = ref_copy,
        .download = ref_copy,
        .value_bytes = ref_value_bytes,
        .write_value = ref_write_value,
        .read_value = ref_read_value,
        .products = &products,
    };
    snprintf(r->base.description, sizeof r->base.description, "plain loops, sums in double, %d thread%s",
             r->base.threads, r->base.threads == 1 ? "" : "s");
    *out = &r->base;
out:
    return st;
}
