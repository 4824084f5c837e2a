/* core/cuda/conv.c -- [op.h] OP_CONV by engines (engine.h), one each for forward, backward-data (overwriting and
 * adding) and backward-weights. In bf16 the gradient of the weights is bf16 too: cuDNN has no engine that computes
 * f32 from bf16. */
#include "engine.h"

#include <stdlib.h>

typedef struct conv_plan {
    cuda_plan base;
    cuda_weights weights;
    engine *to_y, *to_dx, *add_to_dx, *to_dw; /* NULL: not planned */
    size_t workspace; /* the largest that an engine, or the gradient of the bias, needs */
} conv_plan;

static void conv_free_parts(cuda_plan *base)
{
    conv_plan *p = (conv_plan *)base;
    engine_close(p->to_y);
    engine_close(p->to_dx);
    engine_close(p->add_to_dx);
    engine_close(p->to_dw);
}

static status conv_forward(cuda_plan *base, const op_args *a)
{
    status st = OK;
    conv_plan *p = (conv_plan *)base;
    const op *o = &base->op;
    weights_place(&p->weights, a->packed);
    TRY(weights_use(base, &p->weights, a));
    TRY(engine_run(p->to_y, base->cuda, a->x, weights_read(&p->weights, a), a->y, a->scratch));
    if (o->conv.bias)
        TRY_CUDA(bias_act(base->cuda->stream, o->type, a->y, a->param[1], cuda_rows(o->y), o->y.c, ACT_NONE));
out:
    return st;
}

static status conv_backward(cuda_plan *base, const op_args *a)
{
    status st = OK;
    conv_plan *p = (conv_plan *)base;
    const op *o = &base->op;
    weights_place(&p->weights, a->packed);
    if (a->dx && !(a->dx_add ? p->add_to_dx : p->to_dx))
        FAIL(ERR_RUNTIME, "a convolution was planned without this gradient of x");
    if (a->dx)
        TRY(engine_run(a->dx_add ? p->add_to_dx : p->to_dx, base->cuda, a->dx, weights_read(&p->weights, a),
                       a->dy, a->scratch));
    if (a->grad[0]) {
        TRY(engine_run(p->to_dw, base->cuda, a->x, weights_write(&p->weights, a), a->dy, a->scratch));
        TRY(weights_grad(base, &p->weights, a->grad[0]));
    }
    if (o->conv.bias && a->grad[1])
        TRY_CUDA(column_sums(base->cuda->stream, o->type, a->dy, cuda_rows(o->y), o->y.c, a->grad[1],
                             a->scratch, base->cuda->device.multiProcessorCount));
out:
    return st;
}

static status open_engine(conv_plan *p, conv_direction direction, bool add, engine **out)
{
    status st = OK;
    cuda *c = p->base.cuda;
    size_t workspace = 0;
    const conv_problem problem = conv_problem_of(&p->base.op, direction, add, c->base.tf32);
    TRY(engine_open(c, &problem, out, &workspace));
    if (workspace > p->workspace) p->workspace = workspace;
out:
    return st;
}

static status open_engines(conv_plan *p)
{
    status st = OK;
    const op *o = &p->base.op;
    TRY(open_engine(p, CONV_FORWARD, false, &p->to_y));
    if (!o->training) goto out;
    if (o->dx == DX_ANY || o->dx == DX_SET) TRY(open_engine(p, CONV_DATA, false, &p->to_dx));
    if (o->dx == DX_ANY || o->dx == DX_ADD) TRY(open_engine(p, CONV_DATA, true, &p->add_to_dx));
    TRY(open_engine(p, CONV_WEIGHTS, false, &p->to_dw));
    if (o->conv.bias) {
        const size_t sums =
            column_sums_bytes(o->type, cuda_rows(o->y), o->y.c, p->base.cuda->device.multiProcessorCount);
        if (sums > p->workspace) p->workspace = sums;
    }
out:
    return st;
}

status cuda_conv_plan(cuda *c, const op *o, cuda_plan **out, op_needs *needs)
{
    status st = OK;
    cuda_plan *base = NULL;
    TRY(cuda_plan_new(c, o, sizeof(conv_plan), conv_forward, conv_backward, &base));
    conv_plan *p = (conv_plan *)base;
    const int window = o->conv.kernel * o->conv.kernel, channels = o->x.c / o->conv.groups;
    const weight_copy w = { .type = o->type, .filters = o->conv.out, .channels = channels, .window = window };
    /* With one channel, or with a window of one element, both orders are the same. */
    const bool same = o->type == F32 && (window == 1 || channels == 1);
    base->free_parts = conv_free_parts;
    base->weights = &p->weights;
    TRY(open_engines(p));
    *needs = (op_needs){ .scratch = p->workspace, .backward_x = o->training };
    weights_plan(&p->weights, w, !same, w, !same && o->training, needs);
    *out = base;
    base = NULL;
out:
    cuda_plan_free(base);
    return st;
}
