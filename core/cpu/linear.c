/* core/cpu/linear.c -- fully connected layer with bias and activation: [op.h] OP_LINEAR.
 *
 *   y = act(x w^T + bias)        g = dy where the activation is active
 *   dw = g^T x    dbias = sum over rows of g    dx = g w
 *
 * Three products by sgemm over plain matrices; a blocked x is laid out plainly in scratch first. */
#include "cpu.h"

typedef struct linear_plan {
    plan base;
    int64_t in, out; /* columns of x and y */
    size_t x_at, g_at;
} linear_plan;

static float activate(activation act, float v)
{
    if (act != ACT_NONE && v <= 0) return 0; /* NaN passes */
    return act == ACT_RELU6 && v >= 6 ? 6 : v;
}

static status linear_forward(plan *base, const op_args *a)
{
    status st = OK;
    const linear_plan *p = (linear_plan *)base;
    const op *o = &base->op;
    const float *x = layout_in(o->x, a->x, 1, at(a->scratch, p->x_at)), *bias = a->param[1];
    float *y = a->y;
    TRY_DNNL(dnnl_sgemm('N', 'T', o->x.n, p->out, p->in, 1, x, p->in, a->param[0], p->in, 0, y, p->out));
#pragma omp parallel for schedule(static)
    for (int n = 0; n < o->x.n; n++)
        for (int64_t k = 0; k < p->out; k++)
            y[n * p->out + k] = activate(o->linear.act, y[n * p->out + k] + bias[k]);
out:
    return st;
}

/* g = dy * act'(y): told from y, since act is the identity where its derivative is 1. */
static const float *through_activation(const linear_plan *p, const op_args *a)
{
    const activation act = p->base.op.linear.act;
    const float *y = a->y, *dy = a->dy;
    float *g = at(a->scratch, p->g_at);
    if (act == ACT_NONE) return dy;
#pragma omp parallel for simd schedule(static)
    for (int64_t i = 0; i < p->base.op.x.n * p->out; i++)
        g[i] = y[i] > 0 && (act == ACT_RELU || y[i] < 6) ? dy[i] : 0;
    return g;
}

/* Each thread owns columns and adds the rows in order. */
static void column_sums(const float *g, int rows, int64_t columns, float *sum)
{
#pragma omp parallel for schedule(static)
    for (int64_t k = 0; k < columns; k++) {
        double total = 0;
        for (int n = 0; n < rows; n++) total += (double)g[n * columns + k];
        sum[k] = (float)total;
    }
}

static status linear_backward(plan *base, const op_args *a)
{
    status st = OK;
    const linear_plan *p = (linear_plan *)base;
    const op *o = &base->op;
    const float *g = through_activation(p, a);
    float *x_space = at(a->scratch, p->x_at);
    if (a->grad[0]) {
        const float *x = layout_in(o->x, a->x, 1, x_space);
        TRY_DNNL(dnnl_sgemm('T', 'N', p->out, p->in, o->x.n, 1, g, p->out, x, p->in, 0, a->grad[0], p->in));
    }
    if (a->grad[1]) column_sums(g, o->x.n, p->out, a->grad[1]);
    if (a->dx) {
        const bool plain = layout_block(o->x) == 1 || (o->x.h == 1 && o->x.w == 1);
        float *dx = plain ? a->dx : x_space;
        const float beta = plain && a->dx_add ? 1 : 0;
        TRY_DNNL(
            dnnl_sgemm('N', 'N', o->x.n, p->in, p->out, 1, g, p->out, a->param[0], p->in, beta, dx, p->in));
        layout_finish(o->x, dx, a->dx, 1, a->dx_add);
    }
out:
    return st;
}

status cpu_linear_plan(cpu *c, const op *o, plan **out, op_needs *needs)
{
    status st = OK;
    TRY(cpu_plan_new(c, o, sizeof(linear_plan), out));
    linear_plan *p = (linear_plan *)*out;
    p->base.forward = linear_forward;
    p->base.backward = linear_backward;
    p->in = shape_image(o->x);
    p->out = o->linear.out;
    p->x_at = cpu_reserve(&needs->scratch, sizeof(float) * (size_t)shape_count(o->x));
    p->g_at = cpu_reserve(&needs->scratch, sizeof(float) * (size_t)shape_count(o->y));
    needs->backward_x = o->training;
    needs->backward_y = o->training && o->linear.act != ACT_NONE;
out:
    return st;
}
