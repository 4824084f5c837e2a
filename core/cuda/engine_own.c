/* core/cuda/engine_own.c -- the convolutions for which we have kernels: depthwise.cu, narrow.cu. */
#include "engine.h"

static bool is_3x3(const conv_desc *c)
{
    return c->kernel == 3 && c->pad == 1;
}

static bool is_depthwise(const conv_problem *p)
{
    const conv_desc *c = &p->conv;
    return is_3x3(c) && c->groups == p->x.c && c->out == p->x.c && c->stride <= 2;
}

static bool is_narrow(const conv_problem *p)
{
    const conv_desc *c = &p->conv;
    return is_3x3(c) && c->groups == 1 && c->stride == 1 && p->x.c <= NARROW_CHANNELS &&
           c->out <= NARROW_CHANNELS && p->type == BF16;
}

bool own_fits(const conv_problem *p)
{
    return is_depthwise(p) || is_narrow(p);
}

size_t own_workspace(const cuda *c, const conv_problem *p)
{
    const int processors = c->device.multiProcessorCount;
    if (p->direction != CONV_WEIGHTS || !own_fits(p)) return 0;
    return is_depthwise(p) ? depthwise_weights_bytes(p->y, p->conv.stride, processors)
                           : narrow_weights_bytes(p->x, processors);
}

static status depthwise_run(cuda *c, const conv_problem *p, const void *x, const void *w, const void *y,
                            void *workspace)
{
    status st = OK;
    const int stride = p->conv.stride, processors = c->device.multiProcessorCount;
    if (p->direction == CONV_FORWARD)
        TRY_CUDA(depthwise_forward(c->stream, p->type, x, w, (void *)y, p->x, p->y, stride, processors));
    else if (p->direction == CONV_DATA)
        TRY_CUDA(depthwise_data(c->stream, p->type, y, w, (void *)x, p->add, p->x, p->y, stride, processors));
    else
        TRY_CUDA(depthwise_weights(c->stream, p->type, x, y, (void *)w, workspace, p->x, p->y, stride,
                                   processors));
out:
    return st;
}

static status narrow_run(cuda *c, const conv_problem *p, const void *x, const void *w, const void *y,
                         void *workspace)
{
    status st = OK;
    const int processors = c->device.multiProcessorCount;
    if (p->direction == CONV_FORWARD)
        TRY_CUDA(narrow_forward(c->stream, x, w, (void *)y, p->x, p->conv.out, processors));
    else if (p->direction == CONV_DATA)
        TRY_CUDA(narrow_data(c->stream, y, w, (void *)x, p->add, p->x, p->conv.out, processors));
    else
        TRY_CUDA(narrow_weights(c->stream, x, y, (void *)w, workspace, p->x, p->conv.out, processors));
out:
    return st;
}

status own_run(cuda *c, const conv_problem *p, const void *x, const void *w, const void *y, void *workspace)
{
    return is_depthwise(p) ? depthwise_run(c, p, x, w, y, workspace) : narrow_run(c, p, x, w, y, workspace);
}
