/* layers/loops.h -- what the loops of the layers share.
 *
 * Every array is plain f32 in host memory, in the order of NCHW. Every sum is kept in double and rounded once, when it
 * is stored. (Two exceptions: where the windows of a max pooling overlap, and where a gradient is added to one that is
 * already there.) Only the outermost loops run in parallel, and each turn of such a loop writes values of its own, so
 * the result does not depend on the number of threads.
 */
#ifndef CLEAVE_LOOPS_H
#define CLEAVE_LOOPS_H

#include "layer.h"

/* The index of element [n, c, h, w] in an array of shape s. */
static inline int64_t at(shape4 s, int n, int c, int h, int w)
{
    return (((int64_t)n * s.c + c) * s.h + h) * s.w + w;
}

/* How many positions a window has along one side of an image: floor((size + 2*pad - kernel) / stride) + 1, or 0 if it
 * does not fit. */
static inline int window_positions(int size, int kernel, int stride, int pad)
{
    const int room = size + 2 * pad - kernel;
    return room < 0 ? 0 : room / stride + 1;
}

/* Stores a gradient with respect to x or z: overwrites what is there, or adds to it. */
static inline void store(float *to, bool add, double value)
{
    *to = (float)(add ? *to + value : value);
}

/* y = act(v):  ReLU max(v, 0), ReLU6 min(max(v, 0), 6) [Krizhevsky10], or v itself. NaN stays NaN, so that a diverged
 * training is noticed. */
static inline double act_forward(activation act, double v)
{
    if (act != ACT_NONE && v < 0) return 0;
    if (act == ACT_RELU6 && v > 6) return 6;
    return v;
}

/* dv = dy * act'(v). The derivative is 1 or 0, and y alone says which: an activation that cut v off left 0 or 6. */
static inline double act_backward(activation act, double y, double dy)
{
    if (act != ACT_NONE && y <= 0) return 0;
    if (act == ACT_RELU6 && y >= 6) return 0;
    return dy;
}

#endif
