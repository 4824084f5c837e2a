/* core/cuda/conv.c -- [op.h] OP_CONV by cuDNN: forward, backward-data (overwriting or adding),
 * backward-weights. In bf16 the weight gradient is bf16 too: cuDNN has no engine that writes f32 from bf16.
 */
#include "engine.h"

#include <stdlib.h>

typedef struct conv_plan {
    plan base;
    cuda_weights weights;
    engine *forward, *data, *data_add, *filter;
    size_t workspace; /* of the largest; the sums of a bias gradient use it too */
} conv_plan;

static void conv_free(plan *base)
{
    conv_plan *p = (conv_plan *)base;
    engine_close(p->forward);
    engine_close(p->data);
    engine_close(p->data_add);
    engine_close(p->filter);
}

static status conv_forward(plan *base, const op_args *a)
{
    status st = OK;
    conv_plan *p = (conv_plan *)base;
    const op *o = &base->op;
    weights_place(&p->weights, a->packed);
    TRY(weights_use(base, &p->weights, a));
    TRY(engine_run(p->forward, base->cuda, a->x, weights_read(&p->weights, a), a->y, a->scratch));
    if (o->conv.bias) {
        const int64_t rows = (int64_t)o->y.n * o->y.h * o->y.w;
        TRY_CUDA(bias_act(base->cuda->stream, o->type, a->y, a->param[1], rows, o->y.c, ACT_NONE));
    }
out:
    return st;
}

static status conv_backward(plan *base, const op_args *a)
{
    status st = OK;
    conv_plan *p = (conv_plan *)base;
    const op *o = &base->op;
    weights_place(&p->weights, a->packed);
    if (a->dx && !(a->dx_add ? p->data_add : p->data))
        FAIL(ERR_RUNTIME, "a convolution was planned without this gradient of x");
    if (a->dx)
        TRY(engine_run(a->dx_add ? p->data_add : p->data, base->cuda, a->dx, weights_read(&p->weights, a),
                       a->dy, a->scratch));
    if (a->grad[0]) {
        TRY(engine_run(p->filter, base->cuda, a->x, weights_write(&p->weights, a), a->dy, a->scratch));
        TRY(weights_grad(base, &p->weights, a->grad[0]));
    }
    if (o->conv.bias && a->grad[1]) {
        const int64_t rows = (int64_t)o->y.n * o->y.h * o->y.w;
        TRY_CUDA(column_sums(base->cuda->stream, o->type, a->dy, rows, o->y.c, a->grad[1], a->scratch,
                             base->cuda->device.multiProcessorCount));
    }
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
    TRY(open_engine(p, CONV_FORWARD, false, &p->forward));
    if (!o->training) goto out;
    if (o->dx == DX_ANY || o->dx == DX_SET) TRY(open_engine(p, CONV_DATA, false, &p->data));
    if (o->dx == DX_ANY || o->dx == DX_ADD) TRY(open_engine(p, CONV_DATA, true, &p->data_add));
    TRY(open_engine(p, CONV_WEIGHTS, false, &p->filter));
    if (o->conv.bias) {
        const size_t sums = column_sums_bytes(o->type, (int64_t)o->y.n * o->y.h * o->y.w, o->y.c,
                                              p->base.cuda->device.multiProcessorCount);
        if (sums > p->workspace) p->workspace = sums;
    }
out:
    return st;
}

status cuda_conv_plan(cuda *c, const op *o, plan **out, op_needs *needs)
{
    status st = OK;
    plan *base = NULL;
    TRY(cuda_plan_new(c, o, sizeof(conv_plan), &base));
    conv_plan *p = (conv_plan *)base;
    const int window = o->conv.kernel * o->conv.kernel, channels = o->x.c / o->conv.groups;
    const weight_copy w = { .type = o->type, .filters = o->conv.out, .channels = channels, .window = window };
    /* With one channel or one place, PyTorch's order is the library's. */
    const bool same = o->type == F32 && (window == 1 || channels == 1);
    base->forward = conv_forward;
    base->backward = conv_backward;
    base->free = conv_free;
    base->weights = &p->weights;
    TRY(open_engines(p));
    *needs = (op_needs){ .scratch = p->workspace, .backward_x = o->training };
    weights_plan(&p->weights, w, !same, w, !same && o->training, needs);
    *out = base;
    base = NULL;
out:
    if (base) base->free(base), free(base);
    return st;
}
