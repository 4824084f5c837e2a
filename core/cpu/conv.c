/* core/cpu/conv.c -- convolution by oneDNN, [op.h] OP_CONV.
 *
 * Activations are read and written in this backend's layout; where a primitive cannot take it (a plain
 * value that is not an image), the value passes through scratch. The primitives choose the layouts of
 * weights and weight gradients: packed weights are cached until their version changes, gradients are reordered
 * to PyTorch's order after every backward. In training, where every step changes the weights, a packed copy
 * serves once and need not be kept. Both are tiny beside the activations. */
#include "cpu.h"

/* Weights in the layout that a primitive wants. */
typedef struct packed_weights {
    bool needed; /* else the plain weights serve */
    prim reorder;
    const void *made_at; /* the copy made last: where, and of which version */
    uint64_t version;
} packed_weights;

typedef struct conv_plan {
    plan base;
    int x_block; /* layout in which the forward and the weight gradient read x */
    prim forward, backward_data, backward_weights;
    packed_weights w_forward, w_data;
    bool adds; /* forward adds z */
    bool dw_reordered;
    prim dw_reorder;
    /* One place for packed weights, or those of a gradient: of all directions only one is at work. In args.scratch,
     * in evaluation in args.cached. */
    size_t weights_at, weights_bytes;
    size_t x_at, y_at, db_at, scratchpad_at; /* in args.scratch */
} conv_plan;

/* The memory descriptors that all three directions share. */
typedef struct conv_mds {
    onednn_md x, x_blocked, y, w_any, dw_any, w_plain, bias; /* w_any: a copy of the type of x; dw: f32 */
} conv_mds;

/* The layout in which oneDNN's kernels take x: planes of at most 3 channels, else blocked. */
static int kernel_block(const op *o)
{
    return o->conv.groups == 1 && o->x.c <= 3 ? 1 : LANES;
}

static dnnl_format_tag_t activation_tag(int block)
{
    return block == 1 ? dnnl_nchw : LANES == 16 ? dnnl_nChw16c : dnnl_nChw8c;
}

/* --- planning --- */

static status create_mds(const op *o, conv_mds *m)
{
    status st = OK;
    const conv_desc *c = &o->conv;
    const dnnl_dims_t x = { o->x.n, o->x.c, o->x.h, o->x.w }, y = { o->y.n, o->y.c, o->y.h, o->y.w };
    const dnnl_dims_t w = { c->out, o->x.c, c->kernel, c->kernel }, bias = { c->out };
    const dnnl_dims_t grouped = { c->groups, c->out / c->groups, o->x.c / c->groups, c->kernel, c->kernel };
    const bool g = c->groups > 1;
    const dnnl_data_type_t type = o->type == BF16 ? dnnl_bf16 : dnnl_f32;
    TRY_DNNL(onednn_md_create(&m->x, 4, x, type, activation_tag(kernel_block(o))));
    TRY_DNNL(onednn_md_create(&m->x_blocked, 4, x, type, activation_tag(LANES)));
    TRY_DNNL(onednn_md_create(&m->y, 4, y, type, activation_tag(LANES)));
    TRY_DNNL(onednn_md_create(&m->w_any, g ? 5 : 4, g ? grouped : w, type, dnnl_format_tag_any));
    TRY_DNNL(onednn_md_create(&m->dw_any, g ? 5 : 4, g ? grouped : w, dnnl_f32, dnnl_format_tag_any));
    TRY_DNNL(onednn_md_create(&m->w_plain, g ? 5 : 4, g ? grouped : w, dnnl_f32, g ? dnnl_goihw : dnnl_oihw));
    if (c->bias) TRY_DNNL(onednn_md_create(&m->bias, 1, bias, dnnl_f32, dnnl_x));
out:
    return st;
}

static void destroy_mds(conv_mds *m)
{
    onednn_md all[] = { m->x, m->x_blocked, m->y, m->w_any, m->dw_any, m->w_plain, m->bias };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) onednn_md_destroy(all[i]);
}

/* Room for weights in this layout where those of this plan are. */
static void make_room(conv_plan *p, onednn_const_md weights)
{
    const size_t bytes = dnnl_memory_desc_get_size(weights);
    if (bytes > p->weights_bytes) p->weights_bytes = bytes;
}

static status plan_packed(conv_plan *p, packed_weights *w, onednn_const_md plain, onednn_const_md wanted)
{
    status st = OK;
    w->needed = !dnnl_memory_desc_equal(plain, wanted);
    if (!w->needed) goto out;
    make_room(p, wanted);
    TRY(prim_create_reorder(&w->reorder, p->base.cpu, plain, wanted));
out:
    return st;
}

/* Winograd's kernels do not take every shape; the direct ones do.
 * *pd serves as the hint of the backward directions; the caller destroys it. */
static status plan_forward(conv_plan *p, onednn_conv how, const conv_mds *m, dnnl_primitive_attr_t attr,
                           dnnl_primitive_desc_t *pd)
{
    status st = OK;
    cpu *c = p->base.cpu;
    const int args[] = { DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DST, DNNL_ARG_BIAS };
    TRY(cpu_choose_conv(c, &p->base.op, CONV_FORWARD, &how.algorithm));
    if (onednn_conv_forward(pd, c->engine, &how, m->x, m->w_any, m->bias, m->y, attr) != dnnl_success) {
        how.algorithm = dnnl_convolution_direct;
        TRY_DNNL(onednn_conv_forward(pd, c->engine, &how, m->x, m->w_any, m->bias, m->y, attr));
    }
    TRY(prim_create(&p->forward, c, *pd, args, m->bias ? 4 : 3));
    TRY(plan_packed(p, &p->w_forward, m->w_plain,
                    dnnl_primitive_desc_query_md(*pd, dnnl_query_weights_md, 0)));
out:
    return st;
}

static status plan_backward_data(conv_plan *p, onednn_conv how, const conv_mds *m,
                                 const_dnnl_primitive_desc_t hint)
{
    status st = OK;
    cpu *c = p->base.cpu;
    dnnl_primitive_desc_t pd = NULL;
    const int args[] = { DNNL_ARG_DIFF_DST, DNNL_ARG_WEIGHTS, DNNL_ARG_DIFF_SRC };
    TRY(cpu_choose_conv(c, &p->base.op, CONV_DATA, &how.algorithm));
    if (onednn_conv_backward_data(&pd, c->engine, &how, m->x_blocked, m->w_any, m->y, hint, c->attr) !=
        dnnl_success) {
        how.algorithm = dnnl_convolution_direct;
        TRY_DNNL(
            onednn_conv_backward_data(&pd, c->engine, &how, m->x_blocked, m->w_any, m->y, hint, c->attr));
    }
    TRY(prim_create(&p->backward_data, c, pd, args, 3));
    TRY(plan_packed(p, &p->w_data, m->w_plain, dnnl_primitive_desc_query_md(pd, dnnl_query_weights_md, 0)));
out:
    if (pd) dnnl_primitive_desc_destroy(pd);
    return st;
}

static status plan_backward_weights(conv_plan *p, onednn_conv how, const conv_mds *m,
                                    const_dnnl_primitive_desc_t hint, op_needs *needs)
{
    status st = OK;
    cpu *c = p->base.cpu;
    dnnl_primitive_desc_t pd = NULL;
    const int args[] = { DNNL_ARG_SRC, DNNL_ARG_DIFF_DST, DNNL_ARG_DIFF_WEIGHTS, DNNL_ARG_DIFF_BIAS };
    TRY(cpu_choose_conv(c, &p->base.op, CONV_WEIGHTS, &how.algorithm));
    if (onednn_conv_backward_weights(&pd, c->engine, &how, m->x, m->dw_any, m->bias, m->y, hint, c->attr) !=
        dnnl_success) {
        how.algorithm = dnnl_convolution_direct;
        TRY_DNNL(onednn_conv_backward_weights(&pd, c->engine, &how, m->x, m->dw_any, m->bias, m->y, hint,
                                              c->attr));
    }
    TRY(prim_create(&p->backward_weights, c, pd, args, m->bias ? 4 : 3));
    onednn_const_md dw = dnnl_primitive_desc_query_md(pd, dnnl_query_diff_weights_md, 0);
    p->dw_reordered = !dnnl_memory_desc_equal(dw, m->w_plain);
    if (p->dw_reordered) {
        TRY(prim_create_reorder(&p->dw_reorder, c, dw, m->w_plain));
        make_room(p, dw);
    }
    if (m->bias) p->db_at = cpu_reserve(&needs->scratch, sizeof(float) * (size_t)p->base.op.conv.out);
out:
    if (pd) dnnl_primitive_desc_destroy(pd);
    return st;
}

/* The scratchpads are never in use together: one place for all. */
static size_t largest_scratchpad(const conv_plan *p)
{
    const prim *prims[] = { &p->forward,           &p->backward_data,  &p->backward_weights,
                            &p->w_forward.reorder, &p->w_data.reorder, &p->dw_reorder };
    size_t bytes = 0;
    for (size_t i = 0; i < sizeof prims / sizeof *prims; i++)
        if (prims[i]->scratchpad > bytes) bytes = prims[i]->scratchpad;
    return bytes;
}

/* --- running --- */

/* Between layouts, and counted as that. */
static status reorder(prim *p, cpu *c, void *const *pointers, void *scratchpad)
{
    const work_kind before = cpu_work(c, WORK_REORDER);
    const status st = prim_run(p, c, pointers, scratchpad);
    cpu_work(c, before);
    return st;
}

/* The weights as the primitive wants them, repacked if they changed or were not kept. */
static status current_weights(conv_plan *p, packed_weights *w, const op_args *a, const void **out)
{
    status st = OK;
    *out = a->param[0];
    if (!w->needed) goto out;
    const bool kept = !p->base.op.training;
    void *copy = at(kept ? a->cached : a->scratch, p->weights_at);
    if (!kept || w->made_at != copy || w->version != a->version) {
        TRY(reorder(&w->reorder, p->base.cpu, (void *[]){ (void *)a->param[0], copy },
                    at(a->scratch, p->scratchpad_at)));
        w->made_at = copy;
        w->version = a->version;
    }
    *out = copy;
out:
    return st;
}

/* z to where the sum is going to be. */
static void put_summand(const conv_plan *p, const void *z, void *y)
{
    const op *o = &p->base.op;
    if (z == y) return;
    const work_kind before = cpu_work(p->base.cpu, WORK_ELEMENTWISE);
    layout_convert(o->y, z, layout_of(o->y, o->type), y, (layout){ LANES, o->type }, false);
    cpu_work(p->base.cpu, before);
}

static status conv_forward(plan *base, const op_args *a)
{
    status st = OK;
    conv_plan *p = (conv_plan *)base;
    const op *o = &base->op;
    const void *w;
    TRY(current_weights(p, &p->w_forward, a, &w));
    const void *x = layout_in(&p->base, o->x, a->x, p->x_block, at(a->scratch, p->x_at));
    void *y = layout_out(&p->base, o->y, a->y, LANES, false, at(a->scratch, p->y_at));
    if (p->adds) put_summand(p, a->z, y);
    TRY(prim_run(&p->forward, base->cpu, (void *[]){ (void *)x, (void *)w, y, (void *)a->param[1] },
                 at(a->scratch, p->scratchpad_at)));
    layout_finish(&p->base, o->y, y, a->y, LANES, false);
out:
    return st;
}

static status run_backward_weights(conv_plan *p, const op_args *a, const void *dy)
{
    status st = OK;
    const op *o = &p->base.op;
    void *scratchpad = at(a->scratch, p->scratchpad_at);
    const void *x = layout_in(&p->base, o->x, a->x, p->x_block, at(a->scratch, p->x_at));
    void *dw = p->dw_reordered ? at(a->scratch, p->weights_at) : a->grad[0];
    void *db = a->grad[1] ? a->grad[1] : at(a->scratch, p->db_at);
    TRY(prim_run(&p->backward_weights, p->base.cpu, (void *[]){ (void *)x, (void *)dy, dw, db }, scratchpad));
    if (p->dw_reordered) TRY(reorder(&p->dw_reorder, p->base.cpu, (void *[]){ dw, a->grad[0] }, scratchpad));
out:
    return st;
}

static status run_backward_data(conv_plan *p, const op_args *a, const void *dy)
{
    status st = OK;
    const op *o = &p->base.op;
    const void *w;
    TRY(current_weights(p, &p->w_data, a, &w));
    void *dx = layout_out(&p->base, o->x, a->dx, LANES, a->dx_add, at(a->scratch, p->x_at));
    TRY(prim_run(&p->backward_data, p->base.cpu, (void *[]){ (void *)dy, (void *)w, dx },
                 at(a->scratch, p->scratchpad_at)));
    layout_finish(&p->base, o->x, dx, a->dx, LANES, a->dx_add);
out:
    return st;
}

static status conv_backward(plan *base, const op_args *a)
{
    status st = OK;
    conv_plan *p = (conv_plan *)base;
    const void *dy = layout_in(&p->base, base->op.y, a->dy, LANES, at(a->scratch, p->y_at));
    if (a->grad[0]) TRY(run_backward_weights(p, a, dy));
    if (a->dx) TRY(run_backward_data(p, a, dy));
out:
    return st;
}

static void conv_free(plan *base)
{
    conv_plan *p = (conv_plan *)base;
    prim_destroy(&p->forward);
    prim_destroy(&p->backward_data);
    prim_destroy(&p->backward_weights);
    prim_destroy(&p->w_forward.reorder);
    prim_destroy(&p->w_data.reorder);
    prim_destroy(&p->dw_reorder);
}

status cpu_conv_plan_with(cpu *c, const op *o, dnnl_primitive_attr_t attr, plan **out, op_needs *needs)
{
    status st = OK;
    plan *base = NULL;
    conv_mds m = { 0 };
    dnnl_primitive_desc_t forward = NULL;
    const_dnnl_post_ops_t post = NULL;
    onednn_conv how = { .prop = o->training ? dnnl_forward_training : dnnl_forward_inference,
                        .strides = { o->conv.stride, o->conv.stride },
                        .pads = { o->conv.pad, o->conv.pad } };
    TRY(cpu_plan_new(c, o, sizeof(conv_plan), &base));
    conv_plan *p = (conv_plan *)base;
    base->forward = conv_forward;
    base->backward = conv_backward;
    base->free = conv_free;
    p->x_block = kernel_block(o);

    TRY(create_mds(o, &m));
    TRY_DNNL(dnnl_primitive_attr_get_post_ops(attr, &post));
    p->adds = dnnl_post_ops_len(post) > 0 && dnnl_post_ops_get_kind(post, 0) == dnnl_sum;
    TRY(plan_forward(p, how, &m, attr, &forward));
    if (o->training) {
        TRY(plan_backward_data(p, how, &m, forward));
        TRY(plan_backward_weights(p, how, &m, forward, needs));
        needs->backward_x = true;
    }
    /* x: the converted input, or dx before it is stored or added. */
    if (o->training || layout_block(o->x) != p->x_block)
        p->x_at = cpu_reserve(&needs->scratch, layout_bytes(o->x, (layout){ LANES, o->type }));
    if (layout_block(o->y) != LANES)
        p->y_at = cpu_reserve(&needs->scratch, layout_bytes(o->y, (layout){ LANES, o->type }));
    p->weights_at = cpu_reserve(o->training ? &needs->scratch : &needs->cached, p->weights_bytes);
    p->scratchpad_at = cpu_reserve(&needs->scratch, largest_scratchpad(p));
    *out = base;
out:
    if (st != OK && base) {
        conv_free(base);
        free(base);
    }
    if (forward) dnnl_primitive_desc_destroy(forward);
    destroy_mds(&m);
    return st;
}

status cpu_conv_plan(cpu *c, const op *o, plan **out, op_needs *needs)
{
    return cpu_conv_plan_with(c, o, c->attr, out, needs);
}
