/* core/cuda/ops.c -- the operations that only our own kernels compute, as plans: a table of functions, at the end. */
#include "cuda.h"

/* --- bnact --- */

static bnact_args bnact_arguments(cuda_plan *p, const op_args *a)
{
    const op *o = &p->op;
    const bnact_desc *d = &o->bnact;
    return (bnact_args){
        .type = o->type,
        .m = cuda_rows(o->x),
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

static status bnact_forward(cuda_plan *p, const op_args *a)
{
    const bnact_args k = bnact_arguments(p, a);
    return CUDA_STATUS(bn_forward(p->cuda->stream, &k));
}

static status bnact_backward(cuda_plan *p, const op_args *a)
{
    const bnact_args k = bnact_arguments(p, a);
    return CUDA_STATUS(bn_backward(p->cuda->stream, &k));
}

static void bnact_needs(const cuda *c, const op *o, op_needs *needs)
{
    if (!o->training) return;
    needs->saved = bn_saved_bytes(o->type, cuda_rows(o->x), o->x.c, o->bnact.act);
    needs->scratch = bn_scratch_bytes(o->type, cuda_rows(o->x), o->x.c, c->device.multiProcessorCount);
    needs->backward_x = true;
}

/* --- bnact and pool as one --- */

typedef struct bnact_pool_plan {
    cuda_plan base; /* its op is the bnact */
    shape4 y;
} bnact_pool_plan;

static status bnact_pool_forward(cuda_plan *p, const op_args *a)
{
    const bnact_args k = bnact_arguments(p, a);
    return CUDA_STATUS(bn_pool_forward(p->cuda->stream, &k, p->op.x, ((bnact_pool_plan *)p)->y));
}

static status bnact_pool_backward(cuda_plan *p, const op_args *a)
{
    const bnact_args k = bnact_arguments(p, a);
    return CUDA_STATUS(bn_pool_backward(p->cuda->stream, &k, p->op.x, ((bnact_pool_plan *)p)->y));
}

bool cuda_fuses_pool(const op *bnact, const op *pool)
{
    const pool_desc *d = &pool->pool;
    return bnact->training && !bnact->bnact.add && d->kind == POOL_MAX && d->kernel == 2 && d->stride == 2 &&
           d->pad == 0 && bnact->x.h % 2 == 0 && bnact->x.w % 2 == 0;
}

status cuda_bnact_pool_plan(cuda *c, const op *bnact, const op *pool, cuda_plan **out, op_needs *needs)
{
    status st = OK;
    TRY(cuda_plan_new(c, bnact, sizeof(bnact_pool_plan), bnact_pool_forward, bnact_pool_backward, out));
    ((bnact_pool_plan *)*out)->y = pool->y;
    *needs = (op_needs){ 0 };
    bnact_needs(c, bnact, needs);
    needs->saved = bn_pool_saved_bytes(bnact->x.c, pool->y);
out:
    return st;
}

/* --- pool --- */

static status pool_forward(cuda_plan *p, const op_args *a)
{
    const op *o = &p->op;
    const cuda_stream stream = p->cuda->stream;
    if (o->pool.kind == POOL_AVG_GLOBAL)
        return CUDA_STATUS(average_forward(stream, o->type, a->x, a->y, o->x));
    uint8_t *where = o->training ? a->saved : NULL;
    return CUDA_STATUS(max_forward(stream, o->type, a->x, a->y, where, o->x, o->y, o->pool));
}

static status pool_backward(cuda_plan *p, const op_args *a)
{
    const op *o = &p->op;
    const cuda_stream stream = p->cuda->stream;
    if (!a->dx) return OK;
    if (o->pool.kind == POOL_AVG_GLOBAL)
        return CUDA_STATUS(average_backward(stream, o->type, a->dy, a->dx, a->dx_add, o->x));
    return CUDA_STATUS(max_backward(stream, o->type, a->dy, a->saved, a->dx, a->dx_add, o->x, o->y, o->pool));
}

static void pool_needs(const cuda *c, const op *o, op_needs *needs)
{
    (void)c;
    if (o->training && o->pool.kind == POOL_MAX) needs->saved = (size_t)shape_count(o->y);
}

/* --- dropout --- */

static status drop(cuda_plan *p, const void *from, void *to, bool add)
{
    const op *o = &p->op;
    const float probability = o->training ? o->dropout.p : 0;
    return CUDA_STATUS(dropout_apply(p->cuda->stream, o->type, from, to, add, o->x, probability,
                                     o->dropout.layer, p->cuda->now));
}

static status dropout_forward(cuda_plan *p, const op_args *a)
{
    return drop(p, a->x, a->y, false);
}

static status dropout_backward(cuda_plan *p, const op_args *a)
{
    return a->dx ? drop(p, a->dy, a->dx, a->dx_add) : OK;
}

/* --- shortcut --- */

static status pad_forward(cuda_plan *p, const op_args *a)
{
    const op *o = &p->op;
    return CUDA_STATUS(
        shortcut_forward(p->cuda->stream, o->type, a->x, a->y, o->x, o->y, o->shortcut.stride));
}

static status pad_backward(cuda_plan *p, const op_args *a)
{
    const op *o = &p->op;
    if (!a->dx) return OK;
    return CUDA_STATUS(
        shortcut_backward(p->cuda->stream, o->type, a->dy, a->dx, a->dx_add, o->x, o->y, o->shortcut.stride));
}

/* --- loss --- */

static status entropy_forward(cuda_plan *p, const op_args *a)
{
    const op *o = &p->op;
    return CUDA_STATUS(
        loss_forward(p->cuda->stream, o->type, a->x, a->label, a->stats, o->x.n, o->x.c, o->loss.smoothing));
}

static status entropy_backward(cuda_plan *p, const op_args *a)
{
    const op *o = &p->op;
    if (!a->dx) return OK;
    return CUDA_STATUS(loss_backward(p->cuda->stream, o->type, a->x, a->label, a->dx, a->dx_add, o->x.n,
                                     o->x.c, o->loss.smoothing));
}

static void entropy_needs(const cuda *c, const op *o, op_needs *needs)
{
    (void)c, (void)o;
    needs->backward_x = true;
}

/* --- the table --- */

static const struct {
    cuda_pass *forward, *backward;
    void (*needs)(const cuda *, const op *, op_needs *); /* NULL: nothing */
} own[OP_KINDS] = {
    [OP_BNACT] = { bnact_forward, bnact_backward, bnact_needs },
    [OP_POOL] = { pool_forward, pool_backward, pool_needs },
    [OP_DROPOUT] = { dropout_forward, dropout_backward, NULL },
    [OP_SHORTCUT] = { pad_forward, pad_backward, NULL },
    [OP_LOSS] = { entropy_forward, entropy_backward, entropy_needs },
};

status cuda_own_plan(cuda *c, const op *o, cuda_plan **out, op_needs *needs)
{
    status st = OK;
    TRY(cuda_plan_new(c, o, sizeof **out, own[o->kind].forward, own[o->kind].backward, out));
    *needs = (op_needs){ 0 };
    if (own[o->kind].needs) own[o->kind].needs(c, o, needs);
out:
    return st;
}
