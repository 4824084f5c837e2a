/* core/cuda/engine_own.c -- convolutions by our own kernels (depthwise.cu), where those can run them. */
#include "engine.h"

bool own_fits(const conv_problem *p)
{
    const conv_desc *c = &p->conv;
    return c->groups == p->x.c && c->out == p->x.c && c->kernel == 3 && c->pad == 1 && c->stride <= 2;
}

size_t own_workspace(const conv_problem *p)
{
    return p->direction == CONV_FILTER ? depthwise_filter_bytes(p->y, p->conv.stride) : 0;
}

status own_run(cuda *c, const conv_problem *p, const void *x, const void *w, const void *y, void *workspace)
{
    status st = OK;
    const int stride = p->conv.stride;
    if (p->direction == CONV_FORWARD)
        TRY_CUDA(depthwise_forward(c->stream, p->type, x, w, (void *)y, p->x, p->y, stride));
    else if (p->direction == CONV_DATA)
        TRY_CUDA(depthwise_data(c->stream, p->type, y, w, (void *)x, p->add, p->x, p->y, stride));
    else
        TRY_CUDA(depthwise_filter(c->stream, p->type, x, y, (void *)w, workspace, p->x, p->y, stride));
out:
    return st;
}
