/* core/cpu/conv.c -- OP_CONV: each of the three directions (y, dx, dw) by oneDNN's direct method or by Winograd's
 * (winograd.c). algorithm.c decides which. Depthwise convolutions are in depthwise.c.
 *
 * Layouts. Kernels read and write blocked values (layout.c), and images of at most 3 channels as planes. A value that
 * is laid out otherwise, such as [N, C, 1, 1] in plain order, is converted in scratch. oneDNN's kernels choose the
 * layouts of weights and of weight gradients: weights are packed into that layout, and a gradient is reordered to
 * PyTorch's order after every backward. Both are tiny beside the activations. In evaluation the packed weights are
 * cached until their version changes. In training every step changes the weights, so a packed copy is used once and
 * lies in scratch.
 *
 * args.scratch in training; each part is there only if it is needed:
 *
 *     | db | x or dx, converted | y or dy, converted | packed weights, or dw before reordering | scratchpad |
 *                                                    |<- one place for all directions: only one runs at a time ->| */
#include "cpu.h"
#include "winograd.h"

#include "../base/minmax.h"

/* How one direction packs the weights. */
typedef struct packed_weights {
    bool needed;   /* false: the kernel reads PyTorch's order */
    bool winograd; /* winograd_pack for `shape`; false: by `reorder` */
    winograd shape;
    primitive reorder;
    const void *made_at; /* where the last copy was made, */
    uint64_t version;    /* and from which version of the weights */
} packed_weights;

/* Memory of one direction, in bytes. */
typedef struct direction_memory {
    size_t weights; /* packed weights, or a weight gradient before it is reordered */
    size_t scratchpad, scratchpad_at;
} direction_memory;

typedef struct conv_plan {
    cpu_plan base;
    int x_block; /* the layout in which forward and the weight gradient read x */
    primitive forward, backward_data, backward_weights;
    packed_weights w_forward, w_data;
    bool winograd[CONV_DIRECTIONS]; /* by Winograd's method; false: by the primitive */
    bool adds;                      /* forward adds z */
    activation act;                 /* of forward's results */
    bool dw_reordered;              /* the primitive writes dw in another order than PyTorch's */
    primitive dw_reorder;
    direction_memory memory[CONV_DIRECTIONS];
    size_t weights_at; /* of all directions: in args.scratch in training, in args.cached in evaluation */
    size_t x_at, y_at, db_at; /* in args.scratch; db_at: for a db that nobody asked for */
} conv_plan;

/* The memory descriptors of all three directions. "any": the primitive chooses the layout. w_any has the type of x,
 * dw_any is f32. */
typedef struct conv_mds {
    onednn_md x, x_blocked, y, w_any, dw_any, w_plain, bias;
} conv_mds;

/* The layout in which oneDNN's kernels read x fastest: up to 3 channels as planes, more blocked. */
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
    const dnnl_dims_t bias = { o->conv.out };
    TRY(onednn_value_md(&m->x, o->x, o->type, activation_tag(kernel_block(o))));
    TRY(onednn_value_md(&m->x_blocked, o->x, o->type, activation_tag(LANES)));
    TRY(onednn_value_md(&m->y, o->y, o->type, activation_tag(LANES)));
    TRY(onednn_weights_md(&m->w_any, o, o->type, dnnl_format_tag_any));
    TRY(onednn_weights_md(&m->dw_any, o, F32, dnnl_format_tag_any));
    TRY(onednn_weights_md(&m->w_plain, o, F32, o->conv.groups > 1 ? dnnl_goihw : dnnl_oihw));
    if (o->conv.bias) TRY_DNNL(onednn_md_create(&m->bias, 1, bias, dnnl_f32, dnnl_x));
out:
    return st;
}

static void destroy_mds(conv_mds *m)
{
    onednn_md all[] = { m->x, m->x_blocked, m->y, m->w_any, m->dw_any, m->w_plain, m->bias };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) onednn_md_destroy(all[i]);
}

/* A direction needs at least this much. */
static void need_memory(conv_plan *p, int direction, size_t weights, size_t scratchpad)
{
    direction_memory *m = &p->memory[direction];
    m->weights = max_size(m->weights, weights);
    m->scratchpad = max_size(m->scratchpad, scratchpad);
}

/* The directions lie over each other: each has its weights at the beginning of the same place and its scratchpad behind
 * them. In evaluation the packed weights are kept in args.cached instead. */
static void place_memory(conv_plan *p, bool training, op_needs *needs)
{
    size_t most = 0;
    if (!training) p->weights_at = cpu_reserve(&needs->cached, p->memory[CONV_FORWARD].weights);
    for (int d = 0; d < CONV_DIRECTIONS; d++) {
        direction_memory *m = &p->memory[d];
        size_t bytes = 0;
        if (training) cpu_reserve(&bytes, m->weights);
        m->scratchpad_at = cpu_reserve(&bytes, m->scratchpad);
        most = max_size(most, bytes);
    }
    const size_t begin = cpu_reserve(&needs->scratch, most);
    if (training) p->weights_at = begin;
    for (int d = 0; d < CONV_DIRECTIONS; d++) p->memory[d].scratchpad_at += begin;
}

static status plan_packed(conv_plan *p, int direction, packed_weights *w, onednn_const_md plain,
                          onednn_const_md packed)
{
    status st = OK;
    w->needed = !dnnl_memory_desc_equal(plain, packed);
    if (!w->needed) goto out;
    TRY(primitive_create_reorder(&w->reorder, p->base.cpu, plain, packed));
    need_memory(p, direction, dnnl_memory_desc_get_size(packed), w->reorder.scratchpad);
out:
    return st;
}

static status choose_algorithm(conv_plan *p, int direction)
{
    status st = OK;
    int algorithm;
    TRY(cpu_choose_algorithm(p->base.cpu, &p->base.op, direction, &algorithm));
    p->winograd[direction] = algorithm == CONV_WINOGRAD;
out:
    return st;
}

/* The convolution of x; `rotated`: that of dy, which gives dx. */
static winograd winograd_of(const conv_plan *p, bool rotated)
{
    const op *o = &p->base.op;
    const int c = rotated ? o->y.c : o->x.c, k = rotated ? o->x.c : o->y.c;
    return (winograd){ o->x.n, c, k, o->x.h, o->x.w, o->type, p->base.cpu->base.threads };
}

static void plan_winograd(conv_plan *p, int direction, packed_weights *w)
{
    w->needed = w->winograd = true;
    w->shape = winograd_of(p, direction == CONV_DATA);
    need_memory(p, direction, winograd_packed_bytes(&w->shape), winograd_scratch_bytes(&w->shape));
}

/* oneDNN asks for *pd when the backward directions are planned. The caller destroys it. */
static status plan_forward(conv_plan *p, const onednn_conv *how, const conv_mds *m,
                           dnnl_primitive_attr_t attr, dnnl_primitive_desc_t *pd)
{
    status st = OK;
    cpu *c = p->base.cpu;
    const int args[] = { DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DST, DNNL_ARG_BIAS };
    TRY_DNNL(onednn_conv_forward(pd, c->engine, how, m->x, m->w_any, m->bias, m->y, attr));
    TRY(choose_algorithm(p, CONV_FORWARD));
    if (p->winograd[CONV_FORWARD]) {
        plan_winograd(p, CONV_FORWARD, &p->w_forward);
        goto out;
    }
    TRY(primitive_create(&p->forward, c, *pd, args, m->bias ? 4 : 3));
    need_memory(p, CONV_FORWARD, 0, p->forward.scratchpad);
    TRY(plan_packed(p, CONV_FORWARD, &p->w_forward, m->w_plain,
                    dnnl_primitive_desc_query_md(*pd, dnnl_query_weights_md, 0)));
out:
    return st;
}

static status plan_backward_data(conv_plan *p, const onednn_conv *how, const conv_mds *m,
                                 const_dnnl_primitive_desc_t hint)
{
    status st = OK;
    cpu *c = p->base.cpu;
    dnnl_primitive_desc_t pd = NULL;
    const int args[] = { DNNL_ARG_DIFF_DST, DNNL_ARG_WEIGHTS, DNNL_ARG_DIFF_SRC };
    TRY(choose_algorithm(p, CONV_DATA));
    if (p->winograd[CONV_DATA]) {
        plan_winograd(p, CONV_DATA, &p->w_data);
        goto out;
    }
    TRY_DNNL(onednn_conv_backward_data(&pd, c->engine, how, m->x_blocked, m->w_any, m->y, hint, c->attr));
    TRY(primitive_create(&p->backward_data, c, pd, args, 3));
    need_memory(p, CONV_DATA, 0, p->backward_data.scratchpad);
    TRY(plan_packed(p, CONV_DATA, &p->w_data, m->w_plain,
                    dnnl_primitive_desc_query_md(pd, dnnl_query_weights_md, 0)));
out:
    if (pd) dnnl_primitive_desc_destroy(pd);
    return st;
}

static status plan_backward_weights(conv_plan *p, const onednn_conv *how, const conv_mds *m,
                                    const_dnnl_primitive_desc_t hint, op_needs *needs)
{
    status st = OK;
    cpu *c = p->base.cpu;
    dnnl_primitive_desc_t pd = NULL;
    const int args[] = { DNNL_ARG_SRC, DNNL_ARG_DIFF_DST, DNNL_ARG_DIFF_WEIGHTS, DNNL_ARG_DIFF_BIAS };
    TRY(choose_algorithm(p, CONV_WEIGHTS));
    if (p->winograd[CONV_WEIGHTS]) {
        const winograd shape = winograd_of(p, false);
        need_memory(p, CONV_WEIGHTS, 0, winograd_gradient_scratch_bytes(&shape));
        goto out;
    }
    TRY_DNNL(
        onednn_conv_backward_weights(&pd, c->engine, how, m->x, m->dw_any, m->bias, m->y, hint, c->attr));
    TRY(primitive_create(&p->backward_weights, c, pd, args, m->bias ? 4 : 3));
    need_memory(p, CONV_WEIGHTS, 0, p->backward_weights.scratchpad);
    onednn_const_md dw = dnnl_primitive_desc_query_md(pd, dnnl_query_diff_weights_md, 0);
    p->dw_reordered = !dnnl_memory_desc_equal(dw, m->w_plain);
    if (p->dw_reordered) {
        TRY(primitive_create_reorder(&p->dw_reorder, c, dw, m->w_plain));
        need_memory(p, CONV_WEIGHTS, dnnl_memory_desc_get_size(dw), p->dw_reorder.scratchpad);
    }
    if (m->bias) p->db_at = cpu_reserve(&needs->scratch, sizeof(float) * (size_t)p->base.op.conv.out);
out:
    if (pd) dnnl_primitive_desc_destroy(pd);
    return st;
}

/* --- running --- */

static status reorder(primitive *p, cpu *c, void *const *pointers, void *scratchpad)
{
    const work_kind before = cpu_work(c, WORK_REORDER);
    const status st = primitive_run(p, c, pointers, scratchpad);
    cpu_work(c, before);
    return st;
}

static void *scratchpad_of(const conv_plan *p, const op_args *a, int direction)
{
    return at_offset(a->scratch, p->memory[direction].scratchpad_at);
}

static status pack(conv_plan *p, packed_weights *w, const op_args *a, void *copy)
{
    const int direction = w == &p->w_data ? CONV_DATA : CONV_FORWARD;
    if (!w->winograd)
        return reorder(&w->reorder, p->base.cpu, (void *[]){ (void *)a->param[0], copy },
                       scratchpad_of(p, a, direction));
    const work_kind before = cpu_work(p->base.cpu, WORK_REORDER);
    winograd_pack(&w->shape, a->param[0], direction == CONV_DATA, copy);
    cpu_work(p->base.cpu, before);
    return OK;
}

/* The weights as this direction reads them. Packs them, unless a cached copy is of the same version. */
static status current_weights(conv_plan *p, packed_weights *w, const op_args *a, const void **out)
{
    status st = OK;
    *out = a->param[0];
    if (!w->needed) goto out;
    const bool kept = !p->base.op.training;
    void *copy = at_offset(kept ? a->cached : a->scratch, p->weights_at);
    if (!kept || w->made_at != copy || w->version != a->version) {
        TRY(pack(p, w, a, copy));
        w->made_at = copy;
        w->version = a->version;
    }
    *out = copy;
out:
    return st;
}

/* oneDNN adds to what y holds: copies z there. */
static void copy_summand(const conv_plan *p, const void *z, void *y)
{
    const op *o = &p->base.op;
    if (z == y) return;
    const work_kind before = cpu_work(p->base.cpu, WORK_ELEMENTWISE);
    layout_convert(o->y, z, layout_of(o->y, o->type), y, (layout){ LANES, o->type }, false);
    cpu_work(p->base.cpu, before);
}

static status conv_forward(cpu_plan *base, const op_args *a)
{
    status st = OK;
    conv_plan *p = (conv_plan *)base;
    const op *o = &base->op;
    const void *w;
    TRY(current_weights(p, &p->w_forward, a, &w));
    const void *x = layout_in(&p->base, o->x, a->x, p->x_block, at_offset(a->scratch, p->x_at));
    void *y = layout_out(&p->base, o->y, a->y, LANES, false, at_offset(a->scratch, p->y_at));
    void *scratchpad = scratchpad_of(p, a, CONV_FORWARD);
    const bool z_blocked = layout_block(o->y) == LANES; /* Winograd's method reads a blocked z where it is */
    if (p->adds && !(z_blocked && p->winograd[CONV_FORWARD])) copy_summand(p, a->z, y);
    const void *z = !p->adds ? NULL : z_blocked ? a->z : y;
    if (p->winograd[CONV_FORWARD])
        winograd_convolve(&p->w_forward.shape, x, w, (winograd_epilogue){ a->param[1], z, p->act }, y,
                          scratchpad);
    else
        TRY(primitive_run(&p->forward, base->cpu, (void *[]){ (void *)x, (void *)w, y, (void *)a->param[1] },
                          scratchpad));
    layout_finish(&p->base, o->y, y, a->y, LANES, false);
out:
    return st;
}

/* An image is summed in float, the images in double. */
void cpu_bias_gradient(const op *o, const void *dy, float *db)
{
    const int blocks = layout_blocks(o->y.c);
    const int64_t pixels = (int64_t)o->y.h * o->y.w;
#pragma omp parallel for schedule(static)
    for (int b = 0; b < blocks; b++) {
        double sum[LANES] = { 0 };
        for (int n = 0; n < o->y.n; n++) {
            vec part = { 0 };
            for (int64_t i = 0; i < pixels; i++)
                part += load(dy, ((int64_t)n * blocks + b) * pixels + i, o->type);
            for (int l = 0; l < LANES; l++) sum[l] += part[l];
        }
        for (int l = 0; l < LANES && b * LANES + l < o->y.c; l++) db[b * LANES + l] = (float)sum[l];
    }
}

static status run_backward_weights(conv_plan *p, const op_args *a, const void *dy)
{
    status st = OK;
    const op *o = &p->base.op;
    void *scratchpad = scratchpad_of(p, a, CONV_WEIGHTS);
    const void *x = layout_in(&p->base, o->x, a->x, p->x_block, at_offset(a->scratch, p->x_at));
    if (p->winograd[CONV_WEIGHTS]) {
        const winograd shape = winograd_of(p, false);
        winograd_gradient(&shape, x, dy, a->grad[0], scratchpad);
        if (a->grad[1]) cpu_bias_gradient(o, dy, a->grad[1]);
        goto out;
    }
    void *dw = p->dw_reordered ? at_offset(a->scratch, p->weights_at) : a->grad[0];
    void *db = a->grad[1] ? a->grad[1] : at_offset(a->scratch, p->db_at);
    TRY(primitive_run(&p->backward_weights, p->base.cpu, (void *[]){ (void *)x, (void *)dy, dw, db },
                      scratchpad));
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
    if (p->winograd[CONV_DATA] && layout_block(o->x) == LANES) {
        winograd_convolve(&p->w_data.shape, dy, w, (winograd_epilogue){ .z = a->dx_add ? a->dx : NULL },
                          a->dx, scratchpad_of(p, a, CONV_DATA));
        goto out;
    }
    void *dx = layout_out(&p->base, o->x, a->dx, LANES, a->dx_add, at_offset(a->scratch, p->x_at));
    if (p->winograd[CONV_DATA])
        winograd_convolve(&p->w_data.shape, dy, w, (winograd_epilogue){ 0 }, dx,
                          scratchpad_of(p, a, CONV_DATA));
    else
        TRY(primitive_run(&p->backward_data, p->base.cpu, (void *[]){ (void *)dy, (void *)w, dx },
                          scratchpad_of(p, a, CONV_DATA)));
    layout_finish(&p->base, o->x, dx, a->dx, LANES, a->dx_add);
out:
    return st;
}

static status conv_backward(cpu_plan *base, const op_args *a)
{
    status st = OK;
    conv_plan *p = (conv_plan *)base;
    const void *dy = layout_in(&p->base, base->op.y, a->dy, LANES, at_offset(a->scratch, p->y_at));
    if (a->grad[0]) TRY(run_backward_weights(p, a, dy));
    if (a->dx) TRY(run_backward_data(p, a, dy));
out:
    return st;
}

static void conv_free(cpu_plan *base)
{
    conv_plan *p = (conv_plan *)base;
    primitive_destroy(&p->forward);
    primitive_destroy(&p->backward_data);
    primitive_destroy(&p->backward_weights);
    primitive_destroy(&p->w_forward.reorder);
    primitive_destroy(&p->w_data.reorder);
    primitive_destroy(&p->dw_reorder);
}

/* What oneDNN does to a result while it is in a register: adds what y holds, activates. */
static status create_attr(const bnact_desc *d, dnnl_primitive_attr_t *out)
{
    status st = OK;
    dnnl_post_ops_t post = NULL;
    TRY_DNNL(dnnl_primitive_attr_create(out));
    TRY_DNNL(dnnl_primitive_attr_set_scratchpad_mode(*out, dnnl_scratchpad_mode_user));
    TRY_DNNL(dnnl_post_ops_create(&post));
    if (d->add) TRY_DNNL(onednn_post_sum(post));
    if (d->act == ACT_RELU) TRY_DNNL(onednn_post_eltwise(post, dnnl_eltwise_relu, 0, 0));
    if (d->act == ACT_RELU6) TRY_DNNL(onednn_post_eltwise(post, dnnl_eltwise_clip, 0, 6));
    TRY_DNNL(dnnl_primitive_attr_set_post_ops(*out, post));
out:
    if (post) dnnl_post_ops_destroy(post);
    return st;
}

status cpu_conv_plan_with(cpu *c, const op *o, const bnact_desc *end, cpu_plan **out, op_needs *needs)
{
    status st = OK;
    cpu_plan *base = NULL;
    conv_mds m = { 0 };
    dnnl_primitive_desc_t forward = NULL;
    dnnl_primitive_attr_t attr = NULL;
    const onednn_conv how = onednn_conv_of(o, dnnl_convolution_direct);
    if (cpu_is_depthwise(o)) return cpu_depthwise_plan(c, o, end, out, needs);
    TRY(cpu_plan_new(c, o, sizeof(conv_plan), conv_forward, conv_backward, &base));
    conv_plan *p = (conv_plan *)base;
    base->free_parts = conv_free;
    p->x_block = kernel_block(o);
    p->adds = end->add;
    p->act = end->act;

    TRY(create_mds(o, &m));
    TRY(create_attr(end, &attr));
    TRY(plan_forward(p, &how, &m, attr, &forward));
    if (o->training) {
        TRY(plan_backward_data(p, &how, &m, forward));
        TRY(plan_backward_weights(p, &how, &m, forward, needs));
        needs->backward_x = true;
    }
    /* At x_at: x converted, or dx before it is converted or added. */
    const bool dx_in_place = p->winograd[CONV_DATA] && layout_block(o->x) == LANES; /* adds by itself */
    if ((o->training && !dx_in_place) || layout_block(o->x) != p->x_block)
        p->x_at = cpu_reserve(&needs->scratch, blocked_bytes(o->x, o->type));
    if (layout_block(o->y) != LANES) p->y_at = cpu_reserve(&needs->scratch, blocked_bytes(o->y, o->type));
    place_memory(p, o->training, needs);
    *out = base;
    base = NULL;
out:
    cpu_plan_free(base);
    if (forward) dnnl_primitive_desc_destroy(forward);
    if (attr) dnnl_primitive_attr_destroy(attr);
    destroy_mds(&m);
    return st;
}

status cpu_conv_plan(cpu *c, const op *o, cpu_plan **out, op_needs *needs)
{
    return cpu_conv_plan_with(c, o, &(bnact_desc){ .act = ACT_NONE }, out, needs);
}
