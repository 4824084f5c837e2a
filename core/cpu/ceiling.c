/* core/cpu/ceiling.c -- how fast a net's convolutions alone are with oneDNN's fastest kernels.
 *
 * For every shape and direction, each algorithm (direct, Winograd) is timed with each layout of the activations (the
 * library's choice, nhwc, nChw16c), and cpu_ceiling_run runs the fastest. Each kernel gets its data in the layout that
 * it prefers; nothing is reordered, normalised or added. */
#include "cpu.h"

#include "../base/clock.h"

#include <math.h>
#include <stdlib.h>

enum { FORWARD = CONV_FORWARD, DATA = CONV_DATA, WEIGHTS = CONV_WEIGHTS, DIRECTIONS = CONV_DIRECTIONS };
enum { BUFFERS = 4, RUNS = 2, GEMM_SIZE = 2048 };

typedef struct candidate {
    primitive primitive;
    double seconds; /* of the fastest run */
} candidate;

typedef struct shape_best {
    op op;
    int count;  /* convolutions of this shape */
    bool first; /* the net's first convolution: nobody needs its dx */
    candidate best[DIRECTIONS];
} shape_best;

struct ceiling {
    cpu *cpu;
    shape_best *shape;
    int n;
    candidate gemm;
    timing_buffer buffer[BUFFERS]; /* two sources, weights, result; large enough for every shape */
    timing_buffer scratchpad;
    dtype type;
};

/* --- candidates --- */

typedef struct conv_mds {
    onednn_md x, y, w, dw;
} conv_mds;

static status create_mds(const op *o, dnnl_format_tag_t x_tag, dnnl_format_tag_t tag, conv_mds *m)
{
    status st = OK;
    TRY(onednn_value_md(&m->x, o->x, o->type, x_tag));
    TRY(onednn_value_md(&m->y, o->y, o->type, tag));
    TRY(onednn_weights_md(&m->w, o, o->type, dnnl_format_tag_any));
    TRY(onednn_weights_md(&m->dw, o, F32, dnnl_format_tag_any));
out:
    return st;
}

static void destroy_mds(conv_mds *m)
{
    onednn_md_destroy(m->x), onednn_md_destroy(m->y), onednn_md_destroy(m->w), onednn_md_destroy(m->dw);
}

/* The primitive of one direction. *out stays empty if the library has no such kernel. */
static status create_candidate(cpu *c, int direction, const onednn_conv *how, const conv_mds *m,
                               const_dnnl_primitive_desc_t hint, primitive *out)
{
    static const int args[DIRECTIONS][3] = {
        [FORWARD] = { DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DST },
        [DATA] = { DNNL_ARG_DIFF_DST, DNNL_ARG_WEIGHTS, DNNL_ARG_DIFF_SRC },
        [WEIGHTS] = { DNNL_ARG_SRC, DNNL_ARG_DIFF_DST, DNNL_ARG_DIFF_WEIGHTS },
    };
    status st = OK;
    dnnl_primitive_desc_t pd = NULL;
    dnnl_status_t answer =
        direction == FORWARD ? onednn_conv_forward(&pd, c->engine, how, m->x, m->w, NULL, m->y, c->attr)
        : direction == DATA
            ? onednn_conv_backward_data(&pd, c->engine, how, m->x, m->w, m->y, hint, c->attr)
            : onednn_conv_backward_weights(&pd, c->engine, how, m->x, m->dw, NULL, m->y, hint, c->attr);
    if (answer == dnnl_success) TRY(primitive_create(out, c, pd, args[direction], 3));
out:
    if (pd) dnnl_primitive_desc_destroy(pd);
    return st;
}

/* --- memory --- */

static status grow_buffers(ceiling *c, size_t bytes)
{
    status st = OK;
    for (int i = 0; i < BUFFERS; i++) TRY(timing_buffer_grow(c->cpu, &c->buffer[i], bytes));
out:
    return st;
}

/* An upper bound for the bytes of any argument: channels may be padded, and Winograd's weights are 6x6. */
static size_t largest_argument(const op *o)
{
    const layout l = { LANES, F32 };
    const size_t w = (size_t)(o->conv.out + LANES) * (size_t)(o->x.c + LANES) * (size_t)(o->conv.kernel + 3) *
                     (size_t)(o->conv.kernel + 3) * sizeof(float);
    const size_t x = layout_bytes(o->x, l), y = layout_bytes(o->y, l);
    return x > y ? (x > w ? x : w) : (y > w ? y : w);
}

/* --- timing --- */

static status run(ceiling *c, int direction, primitive *p)
{
    const timing_buffer *b = c->buffer;
    void *const forward[] = { b[0].memory, b[2].memory, b[3].memory };
    void *const weights[] = { b[0].memory, b[1].memory, b[3].memory };
    return primitive_run(p, c->cpu, direction == WEIGHTS ? weights : forward, c->scratchpad.memory);
}

/* The fastest of RUNS runs, after one that brings data and code into the caches. */
static status time_primitive(ceiling *c, int direction, primitive *p, double *seconds)
{
    status st = OK;
    *seconds = INFINITY;
    TRY(run(c, direction, p));
    for (int i = 0; i < RUNS; i++) {
        const double start = time_now();
        TRY(run(c, direction, p));
        *seconds = fmin(*seconds, time_now() - start);
    }
out:
    return st;
}

/* Takes *p over, times it, and keeps it if it is the fastest so far. */
static status consider(ceiling *c, shape_best *s, int direction, primitive *p)
{
    status st = OK;
    candidate new = { .primitive = *p }, *best = &s->best[direction];
    if (!p->handle) goto out;
    TRY(timing_buffer_grow(c->cpu, &c->scratchpad, p->scratchpad));
    TRY(time_primitive(c, direction, &new.primitive, &new.seconds));
    if (!best->primitive.handle || new.seconds < best->seconds) {
        const candidate worse = *best;
        *best = new;
        new = worse;
    }
out:
    primitive_destroy(&new.primitive);
    return st;
}

static status consider_all(ceiling *c, shape_best *s, dnnl_alg_kind_t algorithm, dnnl_format_tag_t tag)
{
    status st = OK;
    const op *o = &s->op;
    conv_mds m = { 0 };
    dnnl_primitive_desc_t hint = NULL;
    const onednn_conv how = onednn_conv_of(o, algorithm);
    const bool any_x = o->x.c <= 3 && tag != dnnl_nhwc; /* kernels choose: for images they prefer planes */
    TRY(create_mds(o, any_x ? dnnl_format_tag_any : tag, tag, &m));
    if (onednn_conv_forward(&hint, c->cpu->engine, &how, m.x, m.w, NULL, m.y, c->cpu->attr) != dnnl_success)
        goto out;
    for (int d = FORWARD; d < DIRECTIONS; d++) {
        primitive p = { 0 };
        if (d == DATA && s->first) continue;
        TRY(create_candidate(c->cpu, d, &how, &m, hint, &p));
        TRY(consider(c, s, d, &p));
    }
out:
    if (hint) dnnl_primitive_desc_destroy(hint);
    destroy_mds(&m);
    return st;
}

static status find_best(ceiling *c, shape_best *s)
{
    static const dnnl_format_tag_t tags[] = { dnnl_format_tag_any, dnnl_nhwc, dnnl_nChw16c };
    static const dnnl_alg_kind_t algorithms[] = { dnnl_convolution_direct, dnnl_convolution_winograd };
    status st = OK;
    TRY(grow_buffers(c, largest_argument(&s->op)));
    for (int a = 0; a < 2; a++)
        for (int t = 0; t < 3; t++) TRY(consider_all(c, s, algorithms[a], tags[t]));
    if (!s->best[FORWARD].primitive.handle)
        FAIL(ERR_RUNTIME, "oneDNN has no convolution for a shape of this net");
out:
    return st;
}

/* --- the best product --- */

/* c = a b^T of square matrices, as for similarities. */
static status create_gemm(ceiling *c)
{
    status st = OK;
    const dnnl_dims_t dims = { GEMM_SIZE, GEMM_SIZE };
    const int args[] = { DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DST };
    onednn_md a = NULL, b = NULL, y = NULL;
    dnnl_primitive_desc_t pd = NULL;
    TRY(grow_buffers(c, sizeof(float) * GEMM_SIZE * GEMM_SIZE));
    TRY_DNNL(onednn_md_create(&a, 2, dims, onednn_type(c->type), dnnl_ab));
    TRY_DNNL(onednn_md_create(&b, 2, dims, onednn_type(c->type), dnnl_ba));
    TRY_DNNL(onednn_md_create(&y, 2, dims, dnnl_f32, dnnl_ab));
    TRY_DNNL(onednn_matmul(&pd, c->cpu->engine, a, b, y, c->cpu->attr));
    TRY(primitive_create(&c->gemm.primitive, c->cpu, pd, args, 3));
    TRY(timing_buffer_grow(c->cpu, &c->scratchpad, c->gemm.primitive.scratchpad));
out:
    if (pd) dnnl_primitive_desc_destroy(pd);
    onednn_md_destroy(a), onednn_md_destroy(b), onednn_md_destroy(y);
    return st;
}

static status time_gemm(ceiling *c, double *gflops)
{
    status st = OK;
    double seconds = INFINITY, by_sgemm = INFINITY;
    const int n = GEMM_SIZE;
    TRY(time_primitive(c, FORWARD, &c->gemm.primitive, &seconds));
    for (int i = 0; c->type == F32 && i <= RUNS; i++) {
        const double start = time_now();
        TRY_DNNL(dnnl_sgemm('N', 'T', n, n, n, 1, c->buffer[0].memory, n, c->buffer[2].memory, n, 0,
                            c->buffer[3].memory, n));
        by_sgemm = fmin(by_sgemm, time_now() - start);
    }
    *gflops = 2.0 * n * n * n / fmin(seconds, by_sgemm) / 1e9;
out:
    return st;
}

/* --- the interface --- */

static bool same_shape(const op *a, const op *b)
{
    return shape_equal(a->x, b->x) && shape_equal(a->y, b->y) && a->conv.kernel == b->conv.kernel &&
           a->conv.stride == b->conv.stride && a->conv.pad == b->conv.pad && a->conv.groups == b->conv.groups;
}

/* Counts o as one more convolution of a known shape, or adds its shape. */
static void add_shape(ceiling *c, const op *o)
{
    for (int i = 1; i < c->n; i++)
        if (same_shape(&c->shape[i].op, o)) {
            c->shape[i].count++;
            return;
        }
    c->shape[c->n] = (shape_best){ .op = *o, .count = 1, .first = c->n == 0 };
    c->shape[c->n].op.training = true;
    c->n++;
}

status cpu_ceiling_open(backend *b, const op *convs, int n, ceiling **out)
{
    status st = OK;
    ceiling *c = NULL;
    TRY_ALLOC(c, calloc(1, sizeof *c));
    c->cpu = (cpu *)b;
    c->type = convs[0].type;
    TRY_ALLOC(c->shape, calloc((size_t)n, sizeof *c->shape));
    for (int i = 0; i < n; i++) add_shape(c, &convs[i]);
    for (int i = 0; i < c->n; i++) TRY(find_best(c, &c->shape[i]));
    TRY(create_gemm(c));
    *out = c;
    c = NULL;
out:
    cpu_ceiling_close(c);
    return st;
}

status cpu_ceiling_run(ceiling *c, double seconds[3], double *gemm_gflops)
{
    status st = OK;
    for (int d = FORWARD; d < DIRECTIONS; d++) {
        seconds[d] = 0;
        for (int i = 0; i < c->n; i++) {
            candidate *best = &c->shape[i].best[d];
            if (!best->primitive.handle) continue;
            TRY(time_primitive(c, d, &best->primitive, &best->seconds));
            seconds[d] += best->seconds * c->shape[i].count;
        }
    }
    TRY(time_gemm(c, gemm_gflops));
out:
    return st;
}

void cpu_ceiling_close(ceiling *c)
{
    if (!c) return;
    for (int i = 0; i < c->n; i++)
        for (int d = FORWARD; d < DIRECTIONS; d++) primitive_destroy(&c->shape[i].best[d].primitive);
    primitive_destroy(&c->gemm.primitive);
    for (int i = 0; i < BUFFERS; i++) timing_buffer_free(c->cpu, &c->buffer[i]);
    timing_buffer_free(c->cpu, &c->scratchpad);
    free(c->shape);
    free(c);
}
