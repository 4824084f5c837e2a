/* core/cpu/conv_bnact.c -- OP_CONV and, behind it, OP_BNACT by the running statistics, in one pass over memory.
 *
 *   y = act(sum w' x + b' + z)     w'[k] = s[k] w[k]     b'[k] = s[k] (bias[k] - mean[k]) + beta[k]
 *                                  s = gamma / sqrt(var + eps)
 *
 * The weights are folded when args.version changes, and cached in the layout that the convolution's kernel reads. The
 * kernel adds z and activates while a result is still in a register; oneDNN's kernels read z from where y is written.
 *
 * oneDNN computes max(NaN, 0) = 0, so weights that are not finite would go unnoticed behind this operation. Folding
 * therefore checks them. */
#include "cpu.h"

#include "../device/fusion.h"

#include <math.h>

typedef struct conv_bnact_plan {
    cpu_plan base;
    bnact_desc bnact;
    cpu_plan *conv; /* with w' and b' */
    bool
        w_kept; /* the kernel reads w' in PyTorch's order, so w' is cached; false: the kernel caches a packed copy */
    size_t w_at; /* w' in PyTorch's order: in args.cached if w_kept, else in args.scratch */
    size_t b_at; /* b', in args.cached */
    size_t conv_scratch_at, conv_cached_at;
    const void *made_at; /* where weights were folded last, */
    uint64_t version;    /* and from which version */
} conv_bnact_plan;

/* How many weights a filter has. */
static int64_t filter_size(const op *o)
{
    const conv_desc *c = &o->conv;
    return (int64_t)(o->x.c / c->groups) * c->kernel * c->kernel;
}

/* w' and b' of filter k; false if a value of them is not finite. */
static bool fold_filter(const conv_bnact_plan *p, const op_args *a, int k, float *w, float *b)
{
    const op *conv = &p->base.op;
    const int64_t n = filter_size(conv);
    const float *const *bn = a->param + FUSED_PARAM;
    const float *from = a->param[0] + k * n;
    const double s = bn[0][k] / sqrt((double)bn[3][k] + p->bnact.eps);
    const double bias = conv->conv.bias ? a->param[1][k] : 0;
    float sum = 0; /* stays 0, or becomes NaN */
    for (int64_t i = 0; i < n; i++) {
        w[k * n + i] = (float)(s * from[i]);
        sum += 0 * w[k * n + i];
    }
    b[k] = (float)(s * (bias - bn[2][k]) + bn[1][k]);
    return isfinite(sum) && isfinite(b[k]);
}

static status fold(conv_bnact_plan *p, const op_args *a, float *w, float *b)
{
    status st = OK;
    int wrong = 0;
    if (p->made_at == b && p->version == a->version) goto out;
#pragma omp parallel for schedule(static) reduction(+ : wrong)
    for (int k = 0; k < p->base.op.y.c; k++) wrong += !fold_filter(p, a, k, w, b);
    p->made_at = NULL;
    if (wrong) FAIL(ERR_DIVERGED, "%d filters have weights or statistics that are not finite", wrong);
    p->made_at = b;
    p->version = a->version;
out:
    return st;
}

static status conv_bnact_forward(cpu_plan *base, const op_args *a)
{
    status st = OK;
    conv_bnact_plan *p = (conv_bnact_plan *)base;
    float *w = at_offset(p->w_kept ? a->cached : a->scratch, p->w_at), *b = at_offset(a->cached, p->b_at);
    op_args inner = *a;
    TRY(fold(p, a, w, b));
    inner.param[0] = w;
    inner.param[1] = b;
    inner.scratch = at_offset(a->scratch, p->conv_scratch_at);
    inner.cached = at_offset(a->cached, p->conv_cached_at);
    TRY(p->conv->forward(p->conv, &inner));
out:
    return st;
}

static void conv_bnact_free(cpu_plan *base)
{
    cpu_plan_free(((conv_bnact_plan *)base)->conv);
}

status cpu_conv_bnact_plan(cpu *c, const op *conv, const op *bnact, cpu_plan **out, op_needs *needs)
{
    status st = OK;
    cpu_plan *base = NULL;
    op_needs inner = { 0 };
    op folded = *conv;
    folded.conv.bias = true;
    TRY(cpu_plan_new(c, conv, sizeof(conv_bnact_plan), conv_bnact_forward, NULL, &base));
    conv_bnact_plan *p = (conv_bnact_plan *)base;
    base->free_parts = conv_bnact_free;
    p->bnact = bnact->bnact;
    TRY(cpu_conv_plan_with(c, &folded, &p->bnact, &p->conv, &inner));
    p->w_kept = inner.cached == 0;
    p->w_at = cpu_reserve(p->w_kept ? &needs->cached : &needs->scratch,
                          sizeof(float) * (size_t)(filter_size(conv) * conv->y.c));
    p->b_at = cpu_reserve(&needs->cached, sizeof(float) * (size_t)conv->y.c);
    p->conv_cached_at = cpu_reserve(&needs->cached, inner.cached);
    p->conv_scratch_at = cpu_reserve(&needs->scratch, inner.scratch);
    needs->y_over_z = p->bnact.add && layout_block(conv->y) == LANES;
    *out = base;
    base = NULL;
out:
    cpu_plan_free(base);
    return st;
}
