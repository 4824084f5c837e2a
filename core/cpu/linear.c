/* core/cpu/linear.c -- fully connected layer with bias and activation: OP_LINEAR.
 *
 *   y = act(x w^T + bias)        g = dy where the derivative of act is 1, else 0
 *   dw = g^T x    dbias = sum over rows of g    dx = g w
 *
 * The three products are those of a 1x1 convolution of images of one pixel, and are planned as that: its scratch memory
 * is ours to give, while oneDNN's sgemm allocates in every call. A blocked x is first converted to plain rows in
 * scratch. */
#include "cpu.h"

typedef struct linear_plan {
    cpu_plan base;
    cpu_plan *product;
    size_t x_at, dx_at, g_at, product_at;
} linear_plan;

static float activate_value(activation act, float v)
{
    if (act != ACT_NONE && v <= 0) return 0; /* NaN passes through */
    return act == ACT_RELU6 && v >= 6 ? 6 : v;
}

/* The layout in which x is a matrix of rows. Full blocks of one pixel are the same bytes as plain rows. */
static int rows_block(shape4 s)
{
    return s.h == 1 && s.w == 1 ? layout_block(s) : 1;
}

/* The arguments of the product: x as plain rows, and scratch behind ours. */
static op_args product_args(const linear_plan *p, const op_args *a)
{
    op_args inner = *a;
    inner.x =
        layout_in(&p->base, p->base.op.x, a->x, rows_block(p->base.op.x), at_offset(a->scratch, p->x_at));
    inner.scratch = at_offset(a->scratch, p->product_at);
    return inner;
}

static status linear_forward(cpu_plan *base, const op_args *a)
{
    status st = OK;
    const linear_plan *p = (linear_plan *)base;
    const activation act = base->op.linear.act;
    const op_args inner = product_args(p, a);
    TRY(p->product->forward(p->product, &inner));
    if (act == ACT_NONE) goto out;
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < shape_count(base->op.y); i++)
        value_set(a->y, i, base->op.type, activate_value(act, value_get(a->y, i, base->op.type)), false);
out:
    return st;
}

/* g. Backward sees from the stored y where the derivative is 1: where y is neither 0 nor ReLU6's 6. */
static const void *through_activation(const linear_plan *p, const op_args *a)
{
    const activation act = p->base.op.linear.act;
    const dtype t = p->base.op.type;
    void *g = at_offset(a->scratch, p->g_at);
    if (act == ACT_NONE) return a->dy;
#pragma omp parallel for simd schedule(static)
    for (int64_t i = 0; i < shape_count(p->base.op.y); i++) {
        const float y = value_get(a->y, i, t);
        value_set(g, i, t, y > 0 && (act == ACT_RELU || y < 6) ? value_get(a->dy, i, t) : 0, false);
    }
    return g;
}

static status linear_backward(cpu_plan *base, const op_args *a)
{
    status st = OK;
    const linear_plan *p = (linear_plan *)base;
    const op *o = &base->op;
    const bool plain = layout_block(o->x) == rows_block(o->x); /* x is such a matrix already */
    op_args inner = product_args(p, a);
    inner.dy = through_activation(p, a);
    if (a->dx && !plain) {
        inner.dx = at_offset(a->scratch, p->dx_at);
        inner.dx_add = false;
    }
    TRY(p->product->backward(p->product, &inner));
    if (a->dx && !plain) layout_finish(base, o->x, inner.dx, a->dx, 1, a->dx_add);
out:
    return st;
}

static void linear_free(cpu_plan *base)
{
    cpu_plan_free(((linear_plan *)base)->product);
}

status cpu_linear_plan(cpu *c, const op *o, cpu_plan **out, op_needs *needs)
{
    status st = OK;
    cpu_plan *base = NULL;
    const int in = (int)shape_image(o->x);
    op product = { .kind = OP_CONV,
                   .training = o->training,
                   .type = o->type,
                   .x = { o->x.n, in, 1, 1 },
                   .y = o->y,
                   .conv = { .out = o->linear.out, .kernel = 1, .stride = 1, .groups = 1, .bias = true } };
    TRY(cpu_plan_new(c, o, sizeof(linear_plan), linear_forward, linear_backward, &base));
    linear_plan *p = (linear_plan *)base;
    base->free_parts = linear_free;
    TRY(cpu_conv_plan(c, &product, &p->product, needs));
    const size_t product_scratch = needs->scratch;
    needs->scratch = 0;
    p->x_at = cpu_reserve(&needs->scratch, dtype_bytes(o->type) * (size_t)shape_count(o->x));
    p->dx_at = cpu_reserve(&needs->scratch, dtype_bytes(o->type) * (size_t)shape_count(o->x));
    p->g_at = cpu_reserve(&needs->scratch, dtype_bytes(o->type) * (size_t)shape_count(o->y));
    p->product_at = cpu_reserve(&needs->scratch, product_scratch);
    needs->backward_y = o->training && o->linear.act != ACT_NONE;
    *out = base;
    base = NULL;
out:
    cpu_plan_free(base);
    return st;
}
