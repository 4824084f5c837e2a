/* core/cuda/ops.c -- the operations whose kernels are our own, as plans. */
#include "cuda.h"

/* --- bnact --- */

static int64_t rows_of_value(shape4 s)
{
    return (int64_t)s.n * s.h * s.w;
}

static bnact_args bnact_arguments(plan *p, const op_args *a)
{
    const op *o = &p->op;
    const bnact_desc *d = &o->bnact;
    return (bnact_args){
        .type = o->type,
        .m = rows_of_value(o->x),
        .c = o->x.c,
        .multiprocessors = p->cuda->device.multiProcessorCount,
        .act = d->act,
        .training = o->training,
        .frozen = d->frozen,
        .eps = d->eps,
        .momentum = d->momentum,
        .gamma = a->param[0],
        .beta = a->param[1],
        .running_mean = (float *)a->param[2], /* the only parameters that an operation writes */
        .running_var = (float *)a->param[3],
        .shift = a->shift,
        .saved = a->saved,
        .scratch = a->scratch,
        .x = a->x,
        .z = d->add ? a->z : NULL,
        .dy = a->dy,
        .y = a->y,
        .dx = a->dx,
        .dz = d->add ? a->dz : NULL,
        .dx_add = a->dx_add,
        .dz_add = a->dz_add,
        .dgamma = a->grad[0],
        .dbeta = a->grad[1],
    };
}

static status bnact_forward(plan *p, const op_args *a)
{
    status st = OK;
    const bnact_args k = bnact_arguments(p, a);
    TRY_CUDA(bn_forward(p->cuda->stream, &k));
out:
    return st;
}

static status bnact_backward(plan *p, const op_args *a)
{
    status st = OK;
    const bnact_args k = bnact_arguments(p, a);
    TRY_CUDA(bn_backward(p->cuda->stream, &k));
out:
    return st;
}

status cuda_bnact_plan(cuda *c, const op *o, plan **out, op_needs *needs)
{
    status st = OK;
    const int64_t m = rows_of_value(o->x);
    TRY(cuda_plan_new(c, o, sizeof **out, out));
    (*out)->forward = bnact_forward;
    (*out)->backward = bnact_backward;
    *needs = (op_needs){ 0 };
    if (!o->training) goto out;
    needs->saved = bn_saved_bytes(o->type, m, o->x.c, o->bnact.act);
    needs->scratch = bn_scratch_bytes(o->type, m, o->x.c, c->device.multiProcessorCount);
    needs->backward_x = true;
out:
    return st;
}

/* --- bnact and pool --- */

typedef struct bnact_pool_plan {
    plan base; /* its op is the bnact */
    shape4 y;
} bnact_pool_plan;

static status bnact_pool_forward(plan *p, const op_args *a)
{
    status st = OK;
    const bnact_args k = bnact_arguments(p, a);
    TRY_CUDA(bn_pool_forward(p->cuda->stream, &k, p->op.x, ((bnact_pool_plan *)p)->y));
out:
    return st;
}

static status bnact_pool_backward(plan *p, const op_args *a)
{
    status st = OK;
    const bnact_args k = bnact_arguments(p, a);
    TRY_CUDA(bn_pool_backward(p->cuda->stream, &k, p->op.x, ((bnact_pool_plan *)p)->y));
out:
    return st;
}

bool cuda_fuses_pool(const op *bnact, const op *pool)
{
    const pool_desc *d = &pool->pool;
    return bnact->training && !bnact->bnact.add && d->kind == POOL_MAX && d->kernel == 2 && d->stride == 2 &&
           d->pad == 0 && bnact->x.h % 2 == 0 && bnact->x.w % 2 == 0;
}

status cuda_bnact_pool_plan(cuda *c, const op *bnact, const op *pool, plan **out, op_needs *needs)
{
    status st = OK;
    const op *o = bnact;
    TRY(cuda_plan_new(c, o, sizeof(bnact_pool_plan), out));
    (*out)->forward = bnact_pool_forward;
    (*out)->backward = bnact_pool_backward;
    ((bnact_pool_plan *)*out)->y = pool->y;
    *needs = (op_needs){ .saved = bn_pool_saved_bytes(o->x.c, pool->y),
                         .scratch = bn_scratch_bytes(o->type, rows_of_value(o->x), o->x.c,
                                                     c->device.multiProcessorCount),
                         .backward_x = true };
out:
    return st;
}

/* --- pool --- */

static status pool_forward(plan *p, const op_args *a)
{
    status st = OK;
    const op *o = &p->op;
    cudaStream_t stream = p->cuda->stream;
    if (o->pool.kind == POOL_AVG_GLOBAL)
        TRY_CUDA(average_forward(stream, o->type, a->x, a->y, o->x));
    else
        TRY_CUDA(
            max_forward(stream, o->type, a->x, a->y, o->training ? a->saved : NULL, o->x, o->y, o->pool));
out:
    return st;
}

static status pool_backward(plan *p, const op_args *a)
{
    status st = OK;
    const op *o = &p->op;
    cudaStream_t stream = p->cuda->stream;
    if (!a->dx) return OK;
    if (o->pool.kind == POOL_AVG_GLOBAL)
        TRY_CUDA(average_backward(stream, o->type, a->dy, a->dx, a->dx_add, o->x));
    else
        TRY_CUDA(max_backward(stream, o->type, a->dy, a->saved, a->dx, a->dx_add, o->x, o->y, o->pool));
out:
    return st;
}

status cuda_pool_plan(cuda *c, const op *o, plan **out, op_needs *needs)
{
    status st = OK;
    TRY(cuda_plan_new(c, o, sizeof **out, out));
    (*out)->forward = pool_forward;
    (*out)->backward = pool_backward;
    *needs = (op_needs){ 0 };
    if (o->training && o->pool.kind == POOL_MAX) needs->saved = (size_t)shape_count(o->y);
out:
    return st;
}

/* --- dropout --- */

static status drop(plan *p, const void *from, void *to, bool add)
{
    status st = OK;
    const op *o = &p->op;
    const float probability = o->training ? o->dropout.p : 0;
    TRY_CUDA(dropout_apply(p->cuda->stream, o->type, from, to, add, o->x, probability, o->dropout.layer,
                           p->cuda->now));
out:
    return st;
}

static status dropout_forward(plan *p, const op_args *a)
{
    return drop(p, a->x, a->y, false);
}

static status dropout_backward(plan *p, const op_args *a)
{
    return a->dx ? drop(p, a->dy, a->dx, a->dx_add) : OK;
}

status cuda_dropout_plan(cuda *c, const op *o, plan **out, op_needs *needs)
{
    status st = OK;
    TRY(cuda_plan_new(c, o, sizeof **out, out));
    (*out)->forward = dropout_forward;
    (*out)->backward = dropout_backward;
    *needs = (op_needs){ 0 };
out:
    return st;
}

/* --- shortcut --- */

static status pad_forward(plan *p, const op_args *a)
{
    status st = OK;
    const op *o = &p->op;
    TRY_CUDA(shortcut_forward(p->cuda->stream, o->type, a->x, a->y, o->x, o->y, o->shortcut.stride));
out:
    return st;
}

static status pad_backward(plan *p, const op_args *a)
{
    status st = OK;
    const op *o = &p->op;
    if (!a->dx) return OK;
    TRY_CUDA(
        shortcut_backward(p->cuda->stream, o->type, a->dy, a->dx, a->dx_add, o->x, o->y, o->shortcut.stride));
out:
    return st;
}

status cuda_shortcut_plan(cuda *c, const op *o, plan **out, op_needs *needs)
{
    status st = OK;
    TRY(cuda_plan_new(c, o, sizeof **out, out));
    (*out)->forward = pad_forward;
    (*out)->backward = pad_backward;
    *needs = (op_needs){ 0 };
out:
    return st;
}

/* --- loss --- */

static status entropy_forward(plan *p, const op_args *a)
{
    status st = OK;
    const op *o = &p->op;
    TRY_CUDA(
        loss_forward(p->cuda->stream, o->type, a->x, a->label, a->stats, o->x.n, o->x.c, o->loss.smoothing));
out:
    return st;
}

static status entropy_backward(plan *p, const op_args *a)
{
    status st = OK;
    const op *o = &p->op;
    if (!a->dx) return OK;
    TRY_CUDA(loss_backward(p->cuda->stream, o->type, a->x, a->label, a->dx, a->dx_add, o->x.n, o->x.c,
                           o->loss.smoothing));
out:
    return st;
}

status cuda_loss_plan(cuda *c, const op *o, plan **out, op_needs *needs)
{
    status st = OK;
    TRY(cuda_plan_new(c, o, sizeof **out, out));
    (*out)->forward = entropy_forward;
    (*out)->backward = entropy_backward;
    *needs = (op_needs){ .backward_x = true };
out:
    return st;
}
