/* core/ref/bnact_pool.c -- batch normalisation and activation, then max pooling.
 *
 *   y[n,c,p,q] = max over r,s of act(BN(x))[n, c, p*stride + r - pad, q*stride + s - pad]
 *
 * It is these two operations one after the other and nothing else; what the fast ones make of it, a maximum taken
 * while values are normalised, must come to the same.
 */
#include "ref.h"

static op normalisation(const op *o)
{
    return (op){ .kind = OP_BNACT, .training = true, .x = o->x, .y = o->x, .bnact = o->bnact_pool.bnact };
}

static op pooling(const op *o)
{
    return (op){ .kind = OP_POOL, .training = true, .x = o->x, .y = o->y, .pool = o->bnact_pool.pool };
}

/* In saved: what OP_BNACT keeps, two numbers of each channel; the values between the two operations; their gradient. */
static float *between(const op *o, const op_args *a)
{
    double *stats = a->saved;
    return (void *)(stats + 2 * (size_t)o->x.c);
}

static float *gradient_between(const op *o, const op_args *a)
{
    return between(o, a) + shape_count(o->x);
}

size_t ref_bnact_pool_saved(const op *o)
{
    return 2 * (size_t)o->x.c * sizeof(double) + 2 * (size_t)shape_count(o->x) * sizeof(float);
}

void ref_bnact_pool_again(const op *o, const op_args *a)
{
    const op pool = pooling(o);
    op_args behind = *a;
    behind.x = between(o, a);
    ref_pool_forward(&pool, &behind);
}

void ref_bnact_pool_forward(const op *o, const op_args *a)
{
    const op bnact = normalisation(o);
    op_args first = *a;
    first.y = between(o, a);
    ref_bnact_forward(&bnact, &first);
    ref_bnact_pool_again(o, a);
}

void ref_bnact_pool_backward(const op *o, const op_args *a)
{
    const op bnact = normalisation(o), pool = pooling(o);
    op_args behind = *a, first = *a;
    behind.x = first.y = between(o, a);
    behind.dx = gradient_between(o, a);
    behind.dx_add = false;
    first.dy = behind.dx;
    ref_pool_backward(&pool, &behind);
    ref_bnact_backward(&bnact, &first);
}
