/* core/cpu/shortcut.c -- the shortcut without parameters of [He16], option A: OP_SHORTCUT. y takes every stride-th
 * pixel of x, and has channels of zeros before and behind those of x. */
#include "cpu.h"

typedef struct shortcut_plan {
    cpu_plan base;
    int x_block, y_block; /* of the layouts */
    int before;           /* channels of zeros before those of x */
} shortcut_plan;

/* Blocks of channels of an image. */
static int blocks_of(shape4 s, int block)
{
    return (s.c + block - 1) / block;
}

/* The element with which block b of image n begins. */
static int64_t block_at(shape4 s, int block, int n, int b)
{
    return ((int64_t)n * blocks_of(s, block) + b) * s.h * s.w * block;
}

/* The first element of channel c of image n; the next pixels of the channel follow `block` elements apart. -1: there is
 * no such channel. */
static int64_t channel_at(shape4 s, int block, int n, int c)
{
    return c < 0 || c >= s.c ? -1 : block_at(s, block, n, c / block) + c % block;
}

/* Block b of y. Channel k of y is channel k - before of x. Other channels, and the padding, are zeros. */
INLINED void copy_block(dtype t, const shortcut_plan *p, int n, int b, const void *x, void *y)
{
    const op *o = &p->base.op;
    const int lanes = p->y_block, step = o->shortcut.stride;
    int64_t source[LANES];
    for (int l = 0; l < lanes; l++) source[l] = channel_at(o->x, p->x_block, n, b * lanes + l - p->before);

    int64_t to = block_at(o->y, lanes, n, b);
    for (int i = 0; i < o->y.h; i++)
        for (int j = 0; j < o->y.w; j++, to += lanes) {
            const int64_t pixel = (int64_t)(i * step * o->x.w + j * step) * p->x_block;
            for (int l = 0; l < lanes; l++)
                value_set(y, to + l, t, source[l] < 0 ? 0 : value_get(x, source[l] + pixel, t), false);
        }
}

/* Block b of dx: dy where y took a pixel of x, else 0. */
INLINED void gradient_block(dtype t, const shortcut_plan *p, int n, int b, const void *dy, void *dx, bool add)
{
    const op *o = &p->base.op;
    const int lanes = p->x_block, step = o->shortcut.stride;
    int64_t source[LANES];
    for (int l = 0; l < lanes; l++) {
        const int c = b * lanes + l;
        source[l] = c < o->x.c ? channel_at(o->y, p->y_block, n, c + p->before) : -1;
    }
    int64_t to = block_at(o->x, lanes, n, b);
    for (int h = 0; h < o->x.h; h++)
        for (int w = 0; w < o->x.w; w++, to += lanes) {
            const bool taken = h % step == 0 && w % step == 0;
            const int64_t pixel = (int64_t)(h / step * o->y.w + w / step) * p->y_block;
            for (int l = 0; l < lanes; l++) {
                const bool gets = taken && source[l] >= 0;
                if (gets || !add)
                    value_set(dx, to + l, t, gets ? value_get(dy, source[l] + pixel, t) : 0, add);
            }
        }
}

static status shortcut_forward(cpu_plan *base, const op_args *a)
{
    const shortcut_plan *p = (shortcut_plan *)base;
    const int blocks = blocks_of(base->op.y, p->y_block);
#pragma omp parallel for collapse(2) schedule(static)
    for (int n = 0; n < base->op.y.n; n++)
        for (int b = 0; b < blocks; b++) FOR_TYPE(base->op.type, copy_block, p, n, b, a->x, a->y);
    return OK;
}

static status shortcut_backward(cpu_plan *base, const op_args *a)
{
    const shortcut_plan *p = (shortcut_plan *)base;
    const int blocks = blocks_of(base->op.x, p->x_block);
    if (!a->dx) return OK;
#pragma omp parallel for collapse(2) schedule(static)
    for (int n = 0; n < base->op.x.n; n++)
        for (int b = 0; b < blocks; b++)
            FOR_TYPE(base->op.type, gradient_block, p, n, b, a->dy, a->dx, a->dx_add);
    return OK;
}

status cpu_shortcut_plan(cpu *c, const op *o, cpu_plan **out, op_needs *needs)
{
    status st = OK;
    (void)needs;
    TRY(cpu_plan_new(c, o, sizeof(shortcut_plan), shortcut_forward, shortcut_backward, out));
    shortcut_plan *p = (shortcut_plan *)*out;
    p->x_block = layout_block(o->x);
    p->y_block = layout_block(o->y);
    p->before = (o->shortcut.out - o->x.c) / 2;
out:
    return st;
}
