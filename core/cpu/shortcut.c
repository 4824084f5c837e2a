/* core/cpu/shortcut.c -- the parameter-free shortcut of [He16] (option A): [op.h] OP_SHORTCUT.
 * Every stride-th pixel, with channels of zeros before and after. */
#include "cpu.h"

typedef struct shortcut_plan {
    plan base;
    int x_block, y_block; /* of the layouts */
    int before;           /* channels of zeros in front */
} shortcut_plan;

/* Where channel c of image n begins in a value, for the given layout; its pixels are `block` apart. */
static int64_t channel_at(shape4 s, int block, int n, int c)
{
    const int64_t blocks = (s.c + block - 1) / block, pixels = (int64_t)s.h * s.w;
    return ((n * blocks + c / block) * pixels) * block + c % block;
}

static int padded(int channels, int block)
{
    return (channels + block - 1) / block * block;
}

/* Channel k of y takes channel k - before of x; all others, the padding too, are zero. */
static void copy_channel(const shortcut_plan *p, int n, int k, const float *x, float *y)
{
    const op *o = &p->base.op;
    const int c = k - p->before, step = o->shortcut.stride;
    const bool present = c >= 0 && c < o->x.c;
    float *to = y + channel_at(o->y, p->y_block, n, k);
    const float *from = present ? x + channel_at(o->x, p->x_block, n, c) : NULL;
    for (int i = 0; i < o->y.h; i++)
        for (int j = 0; j < o->y.w; j++, to += p->y_block)
            *to = present ? from[(int64_t)(i * step * o->x.w + j * step) * p->x_block] : 0;
}

/* The pixels of one channel of dx that y took get dy, the others nothing. */
static void return_channel(const shortcut_plan *p, int n, int c, const float *dy, float *dx, bool add)
{
    const op *o = &p->base.op;
    const int step = o->shortcut.stride;
    float *to = dx + channel_at(o->x, p->x_block, n, c);
    if (!add)
        for (int64_t i = 0; i < (int64_t)o->x.h * o->x.w; i++) to[i * p->x_block] = 0;
    if (c >= o->x.c) return; /* padding */
    const float *from = dy + channel_at(o->y, p->y_block, n, c + p->before);
    for (int i = 0; i < o->y.h; i++)
        for (int j = 0; j < o->y.w; j++, from += p->y_block)
            to[(int64_t)(i * step * o->x.w + j * step) * p->x_block] += *from;
}

static status shortcut_forward(plan *base, const op_args *a)
{
    const shortcut_plan *p = (shortcut_plan *)base;
    const op *o = &base->op;
#pragma omp parallel for schedule(static)
    for (int n = 0; n < o->y.n; n++)
        for (int k = 0; k < padded(o->y.c, p->y_block); k++) copy_channel(p, n, k, a->x, a->y);
    return OK;
}

static status shortcut_backward(plan *base, const op_args *a)
{
    const shortcut_plan *p = (shortcut_plan *)base;
    const op *o = &base->op;
    if (!a->dx) return OK;
#pragma omp parallel for schedule(static)
    for (int n = 0; n < o->x.n; n++)
        for (int c = 0; c < padded(o->x.c, p->x_block); c++) return_channel(p, n, c, a->dy, a->dx, a->dx_add);
    return OK;
}

status cpu_shortcut_plan(cpu *c, const op *o, plan **out, op_needs *needs)
{
    status st = OK;
    (void)needs;
    TRY(cpu_plan_new(c, o, sizeof(shortcut_plan), out));
    shortcut_plan *p = (shortcut_plan *)*out;
    p->base.forward = shortcut_forward;
    p->base.backward = shortcut_backward;
    p->x_block = layout_block(o->x);
    p->y_block = layout_block(o->y);
    p->before = (o->shortcut.out - o->x.c) / 2;
out:
    return st;
}
