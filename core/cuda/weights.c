/* core/cuda/weights.c -- packed copies of a plan's weights, and packed gradients: see cuda.h. */
#include "cuda.h"

static size_t weights_bytes(const weight_copy *w)
{
    return cuda_aligned((size_t)w->filters * (size_t)w->channels * (size_t)w->window * dtype_bytes(w->type));
}

void weights_plan(cuda_weights *w, weight_copy copy, bool needs_copy, weight_copy grad, bool needs_grad,
                  op_needs *needs)
{
    *w = (cuda_weights){ .copy = copy, .grad = grad, .needs_copy = needs_copy, .needs_grad = needs_grad };
    if (needs_copy) needs->packed += weights_bytes(&copy);
    if (needs_grad) needs->packed += weights_bytes(&grad);
}

void weights_place(cuda_weights *w, void *packed)
{
    if (w->needs_copy) w->copy.packed = packed;
    if (w->needs_grad) w->grad.packed = (char *)packed + (w->needs_copy ? weights_bytes(&w->copy) : 0);
}

void cuda_params_changed(cuda *c, const void *dst, size_t bytes)
{
    const char *from = dst;
    if (from < c->params_end && from + bytes > c->params_begin) c->changes++;
}

/* Uploads to memory between the first and the last weight seen so far count as changes of parameters. */
static void remember_params(cuda *c, const weight_copy *w)
{
    const char *begin = (const char *)w->plain;
    const char *end = begin + (size_t)w->filters * (size_t)w->channels * (size_t)w->window * sizeof(float);
    if (!c->params_begin || begin < c->params_begin) c->params_begin = begin;
    if (!c->params_end || end > c->params_end) c->params_end = end;
}

status weights_use(cuda_plan *p, cuda_weights *w, const op_args *a)
{
    status st = OK;
    cuda *c = p->cuda;
    if (!w->copy.packed) return OK;
    if (cuda_is_recording(c)) return OK; /* recording.c renews all copies at once */
    if (w->version == a->version && w->copy.plain == a->param[0]) return OK;
    w->copy.plain = (float *)a->param[0]; /* is only read */
    remember_params(c, &w->copy);
    TRY_CUDA(weight_pack(c->stream, w->copy, c->device.multiProcessorCount));
    w->version = a->version;
out:
    return st;
}

status weights_grad(cuda_plan *p, cuda_weights *w, float *grad)
{
    status st = OK;
    cuda *c = p->cuda;
    if (!w->grad.packed) return OK;
    if (cuda_is_recording(c) && w->grad.plain == grad) return OK; /* SGD reads the packed one */
    w->grad.plain = grad;
    TRY_CUDA(weight_unpack(c->stream, w->grad, c->device.multiProcessorCount));
out:
    return st;
}
