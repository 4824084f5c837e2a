/* layers/ref.c -- the device `ref`: the layers of this folder as a backend (core/device/backend.h).
 *
 * It is the definition, and judges the fast devices. Its memory is host memory and its layout is NCHW, so there is
 * nothing to reorder and nothing to pack. Layers compute in f32. In bf16 they run on f32 copies of the values, and each
 * result is rounded once, when it is stored.
 */
#include "ref.h"

#include "layer.h"

#include "../core/base/threads.h"
#include "../core/base/minmax.h"
#include "../core/device/fusion.h"

#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct ref_backend {
    backend base; /* first: a backend * is a ref_backend * */
    step_scalars step;
} ref_backend;

/* One layer, or two neighbours as one: y = then(first(x)). */
struct plan {
    ref_backend *owner;
    op first, then;
    bool fused;
    /* Only if fused: where the output of `first`, its gradient, and what `then` saves are in op_args.saved. In evaluation
     * the output of `first` is in scratch instead. */
    size_t between, between_grad, then_saved;
};

/* The last operation: its y is the plan's. */
static const op *last_op(const plan *p)
{
    return p->fused ? &p->then : &p->first;
}

static bool has_y(const plan *p)
{
    return last_op(p)->kind != OP_LOSS;
}

/* ---- bf16: f32 copies in scratch ---- */

static void to_bf16(const float *from, void *to, int64_t n)
{
    uint16_t *half = to;
    for (int64_t i = 0; i < n; i++) half[i] = bf16_from(from[i]);
}

static void from_bf16(const void *from, float *to, int64_t n)
{
    const uint16_t *half = from;
    for (int64_t i = 0; i < n; i++) to[i] = bf16_to(half[i]);
}

/* Values in the parameters of a layer that multiply: these are rounded to bf16. */
static int64_t count_weights(const op *o)
{
    param_spec spec[OP_MAX_PARAMS];
    const int n_params = layer_params(o, spec);
    int64_t n = 0;
    for (int i = 0; i < n_params; i++) n += spec[i].rank > 1 ? param_count(&spec[i]) : 0;
    return n;
}

static int64_t count_x(const plan *p)
{
    return shape_count(p->first.x);
}

static int64_t count_y(const plan *p)
{
    return has_y(p) ? shape_count(last_op(p)->y) : 0;
}

/* x and dx; y, dy, z and dz; the weights. */
static size_t copies_bytes(const plan *p)
{
    if (p->first.type != BF16) return 0;
    const int64_t weights = count_weights(&p->first) + (p->fused ? count_weights(&p->then) : 0);
    return (size_t)(2 * count_x(p) + 4 * count_y(p) + weights) * sizeof(float);
}

/* A copy of n values at *next, which moves on; NULL stays NULL. */
static float *copy(const void *from, int64_t n, float **next)
{
    float *to = *next;
    *next += n;
    if (!from) return NULL;
    from_bf16(from, to, n);
    return to;
}

static void copy_weights(const op *o, const float **param, float **next)
{
    param_spec spec[OP_MAX_PARAMS];
    const int n_params = layer_params(o, spec);
    for (int i = 0; i < n_params; i++) {
        if (spec[i].rank <= 1) continue;
        float *to = *next;
        const int64_t n = param_count(&spec[i]);
        for (int64_t k = 0; k < n; k++) to[k] = bf16_to(bf16_from(param[i][k]));
        param[i] = to;
        *next += n;
    }
}

/* The arguments as layers take them: f32 values, rounded weights, and the scalars of this step. */
static op_args layer_args(const plan *p, const op_args *args)
{
    op_args a = *args;
    a.step = &p->owner->step;
    if (p->first.type != BF16) return a;
    float *next = args->scratch;
    a.x = copy(args->x, count_x(p), &next);
    a.dx = copy(args->dx, count_x(p), &next);
    a.z = copy(args->z, count_y(p), &next);
    a.dz = copy(args->dz, count_y(p), &next);
    a.y = copy(args->y, count_y(p), &next);
    a.dy = copy(args->dy, count_y(p), &next);
    copy_weights(&p->first, a.param, &next);
    if (p->fused) copy_weights(&p->then, a.param + FUSED_PARAM, &next);
    return a;
}

static void store_forward(const plan *p, const op_args *copies, const op_args *args)
{
    if (p->first.type == BF16 && args->y) to_bf16(copies->y, args->y, count_y(p));
}

static void store_backward(const plan *p, const op_args *copies, const op_args *args)
{
    if (p->first.type != BF16) return;
    if (args->dx) to_bf16(copies->dx, args->dx, count_x(p));
    if (args->dz) to_bf16(copies->dz, args->dz, count_y(p));
}

/* ---- plan ---- */

static const char *ref_unsupported(backend *b, const op *o)
{
    const layer_type *t = layer_of(o->kind);
    (void)b;
    if (!t) return "there is no such layer";
    return t->unsupported ? t->unsupported(o) : NULL;
}

/* The pairs that a fast device fuses, so that ref can judge them; in nets, it fuses these too. */
static const char *ref_unsupported_pair(backend *b, const op *first, const op *then)
{
    const bool folds = first->kind == OP_CONV && then->kind == OP_BNACT && !first->training;
    const bool pools = first->kind == OP_BNACT && !first->bnact.add && then->kind == OP_POOL &&
                       then->pool.kind == POOL_MAX && first->training;
    const char *why = ref_unsupported(b, first);
    if (!folds && !pools)
        return "only conv with bnact in evaluation, and bnact with max pool in training, are fused";
    return why ? why : ref_unsupported(b, then);
}

static op_needs layer_needs(const op *o)
{
    const layer_type *t = layer_of(o->kind);
    return o->training && t->needs ? t->needs(o) : (op_needs){ 0 };
}

static op_needs pair_needs(plan *p)
{
    const op_needs first = layer_needs(&p->first), then = layer_needs(&p->then);
    const size_t value = round_up((size_t)shape_count(p->first.y) * sizeof(float), 64);
    op_needs needs = { .backward_x = first.backward_x, .backward_y = then.backward_y };
    p->between = round_up(first.saved, 64);
    p->between_grad = p->between + value;
    p->then_saved = p->between_grad + value;
    if (p->first.training)
        needs.saved = p->then_saved + then.saved;
    else
        needs.scratch = value;
    return needs;
}

static status new_plan(backend *b, const op *first, const op *then, plan **out, op_needs *needs)
{
    status st = OK;
    plan *p;
    TRY_ALLOC(p, malloc(sizeof *p));
    *p = (plan){ .owner = (ref_backend *)b, .first = *first, .then = then ? *then : *first, .fused = then };
    *needs = then ? pair_needs(p) : layer_needs(first);
    needs->scratch += round_up(copies_bytes(p), 64);
    *out = p;
out:
    return st;
}

static status ref_plan(backend *b, const op *o, plan **out, op_needs *needs)
{
    status st = OK;
    const char *why = ref_unsupported(b, o);
    if (why) FAIL(ERR_RUNTIME, "%s", why);
    TRY(new_plan(b, o, NULL, out, needs));
out:
    return st;
}

static status ref_plan_pair(backend *b, const op *first, const op *then, plan **out, op_needs *needs)
{
    status st = OK;
    const char *why = ref_unsupported_pair(b, first, then);
    if (why) FAIL(ERR_RUNTIME, "%s", why);
    TRY(new_plan(b, first, then, out, needs));
out:
    return st;
}

static void ref_plan_free(plan *p)
{
    free(p);
}

/* ---- run ---- */

/* The arguments of a fused plan, taken apart for its two layers. */
static void split_args(const plan *p, const op_args *a, op_args *first, op_args *then)
{
    char *saved = a->saved, *scratch = a->scratch;
    *first = *then = *a;
    first->z = NULL;
    first->dz = NULL;
    first->y = p->first.training ? saved + p->between : scratch + round_up(copies_bytes(p), 64);
    then->x = first->y;
    for (int i = 0; i < OP_MAX_PARAMS; i++) {
        then->param[i] = a->param[FUSED_PARAM + i];
        then->grad[i] = a->grad[FUSED_PARAM + i];
    }
    if (!p->first.training) return;
    then->saved = saved + p->then_saved;
    then->dx = saved + p->between_grad;
    then->dx_add = false;
    first->dy = then->dx;
}

static void run_forward(const plan *p, const op_args *a)
{
    op_args first = *a, then;
    if (p->fused) split_args(p, a, &first, &then);
    layer_of(p->first.kind)->forward(&p->first, &first);
    if (p->fused) layer_of(p->then.kind)->forward(&p->then, &then);
}

static void run_backward(const plan *p, const op_args *a)
{
    op_args first = *a, then;
    if (p->fused) split_args(p, a, &first, &then);
    if (p->fused) layer_of(p->then.kind)->backward(&p->then, &then);
    layer_of(p->first.kind)->backward(&p->first, &first);
}

/* Fused plans do not ask for it. */
static void run_recompute(const plan *p, const op_args *a)
{
    layer_of(p->first.kind)->recompute(&p->first, a);
}

/* Other backends share OpenMP with this one: their number of threads is put back afterwards. */
static void run(const plan *p, void (*pass)(const plan *, const op_args *), const op_args *a)
{
    const int before = omp_get_max_threads();
    omp_set_num_threads(p->owner->base.threads);
    pass(p, a);
    omp_set_num_threads(before);
}

static status ref_forward(plan *p, const op_args *args)
{
    const op_args a = layer_args(p, args);
    run(p, run_forward, &a);
    store_forward(p, &a, args);
    return OK;
}

static status ref_recompute(plan *p, const op_args *args)
{
    const op_args a = layer_args(p, args);
    run(p, run_recompute, &a);
    store_forward(p, &a, args);
    return OK;
}

static status ref_backward(plan *p, const op_args *args)
{
    const op_args a = layer_args(p, args);
    run(p, run_backward, &a);
    store_backward(p, &a, args);
    return OK;
}

/* ---- step ---- */

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
    ref_sgd(&((ref_backend *)b)->step, b->threads, value, grad, velocity, count);
    return OK;
}

/* ---- memory ---- */

static status ref_alloc(backend *b, size_t bytes, void **out)
{
    status st = OK;
    void *p;
    const size_t rounded = round_up(bytes, 64);
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
    to_bf16(nchw, to, shape_count(s));
    return OK;
}

static status ref_read_value(backend *b, const void *from, shape4 s, dtype type, int n, float *nchw)
{
    s.n = n;
    if (type == F32) return ref_copy(b, nchw, from, ref_value_bytes(b, s, type));
    from_bf16(from, nchw, shape_count(s));
    return OK;
}

/* ---- open ---- */

static void ref_close(backend *b)
{
    free(b);
}

static const backend_fusion fusion = { .unsupported = ref_unsupported_pair, .plan = ref_plan_pair };

status ref_open(int threads, backend **out)
{
    status st = OK;
    ref_backend *r;

    TRY_ALLOC(r, calloc(1, sizeof *r));
    r->base = (backend){
        .name = "ref",
        .host_memory = true,
        .threads = threads_choose(threads),
        .fusion = &fusion,
        .products = &ref_products,
        .close = ref_close,
        .unsupported = ref_unsupported,
        .plan = ref_plan,
        .plan_free = ref_plan_free,
        .forward = ref_forward,
        .backward = ref_backward,
        .recompute = ref_recompute,
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
    };
    snprintf(r->base.description, sizeof r->base.description, "plain loops, sums in double, %d thread%s",
             r->base.threads, r->base.threads == 1 ? "" : "s");
    *out = &r->base;
out:
    return st;
}
