/* core/ref/bf16.c -- values stored as bf16: [op.h] struct op.
 *
 * An operation on bf16 is the same operation on f32 copies of its values and weights (the copies are exact,
 * the weights rounded to bf16 first), whose results are rounded to bf16 once, when they are stored. */
#include "ref.h"

void ref_to_bf16(const float *from, void *to, int64_t n)
{
    uint16_t *half = to;
    for (int64_t i = 0; i < n; i++) half[i] = bf16_from(from[i]);
}

void ref_from_bf16(const void *from, float *to, int64_t n)
{
    const uint16_t *half = from;
    for (int64_t i = 0; i < n; i++) to[i] = bf16_to(half[i]);
}

/* Weights that are multiplied by values; 0 where an operation has none. */
static int64_t weights(const op *o)
{
    const conv_desc *c = op_conv(o);
    if (o->kind == OP_CONV || o->kind == OP_CONV_BNACT)
        return (int64_t)c->out * (o->x.c / c->groups) * c->kernel * c->kernel;
    if (o->kind == OP_LINEAR) return o->linear.out * shape_image(o->x);
    return 0;
}

static int64_t count_y(const op *o)
{
    return o->kind == OP_LOSS ? 0 : shape_count(o->y);
}

/* In scratch: x and dx, what has the shape of y, then the weights. */
size_t ref_copies_bytes(const op *o)
{
    return (size_t)(2 * shape_count(o->x) + 4 * count_y(o) + weights(o)) * sizeof(float);
}

/* A copy of n values at *next, which moves on; NULL stays NULL. */
static float *copy(const void *from, int64_t n, float **next)
{
    float *to = *next;
    *next += n;
    if (!from) return NULL;
    ref_from_bf16(from, to, n);
    return to;
}

static float *copy_rounded(const float *from, int64_t n, float **next)
{
    float *to = *next;
    *next += n;
    for (int64_t i = 0; i < n; i++) to[i] = bf16_to(bf16_from(from[i]));
    return to;
}

op_args ref_copies(const op *o, const op_args *args)
{
    op_args a = *args;
    float *next = args->scratch;
    const int64_t n_x = shape_count(o->x), n_y = count_y(o), n_w = weights(o);
    a.x = copy(args->x, n_x, &next);
    a.dx = copy(args->dx, n_x, &next);
    a.z = copy(args->z, n_y, &next);
    a.dz = copy(args->dz, n_y, &next);
    a.y = copy(args->y, n_y, &next);
    a.dy = copy(args->dy, n_y, &next);
    if (n_w) a.param[0] = copy_rounded(args->param[0], n_w, &next);
    return a;
}

void ref_store_forward(const op *o, const op_args *copies, const op_args *args)
{
    if (args->y) ref_to_bf16(copies->y, args->y, count_y(o));
}

void ref_store_backward(const op *o, const op_args *copies, const op_args *args)
{
    if (args->dx) ref_to_bf16(copies->dx, args->dx, shape_count(o->x));
    if (args->dz) ref_to_bf16(copies->dz, args->dz, shape_count(o->x));
}
