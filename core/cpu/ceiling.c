/* core/cpu/ceiling.c -- the fastest that oneDNN's convolutions alone allow, summed over a net.
 *
 * For every convolution and direction each algorithm (direct, Winograd) is timed with each layout of the
 * activations (the library's own choice, nhwc, nChw16c), and the fastest stays for ceiling_run. The data are
 * where each kernel likes them best; nothing is reordered, normalised or added. */
#include "cpu.h"

#include "../base/progress.h"

#include <math.h>
#include <stdlib.h>

enum { FORWARD = CONV_FORWARD, DATA = CONV_DATA, WEIGHTS = CONV_WEIGHTS, DIRECTIONS = CONV_DIRECTIONS };
enum { BUFFERS = 4, RUNS = 2, GEMM_SIZE = 2048 };

typedef struct candidate {
    prim prim;
    double seconds; /* of the fastest run */
} candidate;

typedef struct shape_best {
    op op;
    int count;  /* convolutions of this shape */
    bool first; /* the net's first: no dx */
    candidate best[DIRECTIONS];
} shape_best;

struct ceiling {
    cpu *cpu;
    shape_best *shape;
    int n;
    candidate gemm;
    void *buffer[BUFFERS]; /* source, second source, weights, result; large enough for all */
    void *scratchpad;
    size_t buffer_bytes, scratchpad_bytes;
    dtype type;
};

static dnnl_data_type_t data_type(dtype t)
{
    return t == F32 ? dnnl_f32 : dnnl_bf16;
}

/* --- candidates --- */

typedef struct conv_mds {
    onednn_md x, y, w, dw;
} conv_mds;

static status create_mds(const op *o, dnnl_format_tag_t x_tag, dnnl_format_tag_t tag, conv_mds *m)
{
    status st = OK;
    const conv_desc *c = &o->conv;
    const bool g = c->groups > 1;
    const dnnl_dims_t x = { o->x.n, o->x.c, o->x.h, o->x.w }, y = { o->y.n, o->y.c, o->y.h, o->y.w };
    const dnnl_dims_t w = { c->out, o->x.c, c->kernel, c->kernel };
    const dnnl_dims_t grouped = { c->groups, c->out / c->groups, o->x.c / c->groups, c->kernel, c->kernel };
    TRY_DNNL(onednn_md_create(&m->x, 4, x, data_type(o->type), x_tag));
    TRY_DNNL(onednn_md_create(&m->y, 4, y, data_type(o->type), tag));
    TRY_DNNL(onednn_md_create(&m->w, g ? 5 : 4, g ? grouped : w, data_type(o->type), dnnl_format_tag_any));
    TRY_DNNL(onednn_md_create(&m->dw, g ? 5 : 4, g ? grouped : w, dnnl_f32, dnnl_format_tag_any));
out:
    return st;
}

static void destroy_mds(conv_mds *m)
{
    onednn_md_destroy(m->x), onednn_md_destroy(m->y), onednn_md_destroy(m->w), onednn_md_destroy(m->dw);
}

static onednn_conv conv_of(const op *o, dnnl_alg_kind_t algorithm)
{
    return (onednn_conv){ .prop = dnnl_forward_training,
                          .algorithm = algorithm,
                          .strides = { o->conv.stride, o->conv.stride },
                          .pads = { o->conv.pad, o->conv.pad } };
}

/* The primitive of one direction; *out stays empty where the library has none of this kind. */
static status create_candidate(cpu *c, int direction, const onednn_conv *how, const conv_mds *m,
                               const_dnnl_primitive_desc_t hint, prim *out)
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
    if (answer == dnnl_success) TRY(prim_create(out, c, pd, args[direction], 3));
out:
    if (pd) dnnl_primitive_desc_destroy(pd);
    return st;
}

/* --- memory --- */

static void release_buffers(ceiling *c)
{
    backend *b = &c->cpu->base;
    for (int i = 0; i < BUFFERS; i++) {
        if (c->buffer[i]) b->release(b, c->buffer[i], c->buffer_bytes);
        c->buffer[i] = NULL;
    }
}

static status ensure(ceiling *c, size_t buffer, size_t scratchpad)
{
    status st = OK;
    backend *b = &c->cpu->base;
    if (buffer > c->buffer_bytes) {
        release_buffers(c);
        c->buffer_bytes = buffer;
        for (int i = 0; i < BUFFERS; i++) {
            TRY(b->alloc(b, buffer, &c->buffer[i]));
            cpu_fill(c->buffer[i], buffer);
        }
    }
    if (scratchpad > c->scratchpad_bytes) {
        if (c->scratchpad) b->release(b, c->scratchpad, c->scratchpad_bytes);
        c->scratchpad = NULL;
        TRY(b->alloc(b, scratchpad, &c->scratchpad));
        c->scratchpad_bytes = scratchpad;
    }
out:
    return st;
}

/* An upper bound for each argument: padded channels, Winograd's 6x6 weights in place of 3x3. */
static size_t largest_argument(const op *o)
{
    const layout l = { LANES, F32 };
    const size_t w = (size_t)(o->conv.out + LANES) * (size_t)(o->x.c + LANES) * (size_t)(o->conv.kernel + 3) *
                     (size_t)(o->conv.kernel + 3) * sizeof(float);
    const size_t x = layout_bytes(o->x, l), y = layout_bytes(o->y, l);
    return x > y ? (x > w ? x : w) : (y > w ? y : w);
}

/* --- timing --- */

static status run(ceiling *c, int direction, prim *p)
{
    void *const *b = c->buffer;
    void *const forward[] = { b[0], b[2], b[3] }, *const weights[] = { b[0], b[1], b[3] };
    return prim_run(p, c->cpu, direction == WEIGHTS ? weights : forward, c->scratchpad);
}

/* The fastest of RUNS after one that brings data and code near. */
static status time_prim(ceiling *c, int direction, prim *p, double *seconds)
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

/* Times *p and keeps it if it is the fastest yet; takes it over. */
static status consider(ceiling *c, shape_best *s, int direction, prim *p)
{
    status st = OK;
    candidate new = { .prim = *p }, *best = &s->best[direction];
    if (!p->primitive) goto out;
    TRY(ensure(c, 0, p->scratchpad));
    TRY(time_prim(c, direction, &new.prim, &new.seconds));
    if (!best->prim.primitive || new.seconds < best->seconds) {
        const candidate worse = *best;
        *best = new;
        new = worse;
    }
out:
    prim_destroy(&new.prim);
    return st;
}

static status consider_all(ceiling *c, shape_best *s, dnnl_alg_kind_t algorithm, dnnl_format_tag_t tag)
{
    status st = OK;
    const op *o = &s->op;
    conv_mds m = { 0 };
    dnnl_primitive_desc_t hint = NULL;
    const onednn_conv how = conv_of(o, algorithm);
    const bool own_x = o->x.c <= 3 && tag != dnnl_nhwc; /* an image: kernels like it plain */
    TRY(create_mds(o, own_x ? dnnl_format_tag_any : tag, tag, &m));
    if (onednn_conv_forward(&hint, c->cpu->engine, &how, m.x, m.w, NULL, m.y, c->cpu->attr) != dnnl_success)
        goto out;
    for (int d = FORWARD; d < DIRECTIONS; d++) {
        prim p = { 0 };
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
    TRY(ensure(c, largest_argument(&s->op), 0));
    for (int a = 0; a < 2; a++)
        for (int t = 0; t < 3; t++) TRY(consider_all(c, s, algorithms[a], tags[t]));
    if (!s->best[FORWARD].prim.primitive)
        FAIL(ERR_RUNTIME, "oneDNN has no convolution for a shape of this net");
out:
    return st;
}

/* --- the best product --- */

/* c = a b^T of GEMM_SIZE square matrices, as for similarities. */
static status create_gemm(ceiling *c)
{
    status st = OK;
    const dnnl_dims_t dims = { GEMM_SIZE, GEMM_SIZE };
    const int args[] = { DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DST };
    onednn_md a = NULL, b = NULL, y = NULL;
    dnnl_primitive_desc_t pd = NULL;
    TRY(ensure(c, sizeof(float) * GEMM_SIZE * GEMM_SIZE, 0));
    TRY_DNNL(onednn_md_create(&a, 2, dims, data_type(c->type), dnnl_ab));
    TRY_DNNL(onednn_md_create(&b, 2, dims, data_type(c->type), dnnl_ba));
    TRY_DNNL(onednn_md_create(&y, 2, dims, dnnl_f32, dnnl_ab));
    TRY_DNNL(onednn_matmul(&pd, c->cpu->engine, a, b, y, c->cpu->attr));
    TRY(prim_create(&c->gemm.prim, c->cpu, pd, args, 3));
    TRY(ensure(c, 0, c->gemm.prim.scratchpad));
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
    TRY(time_prim(c, FORWARD, &c->gemm.prim, &seconds));
    for (int i = 0; c->type == F32 && i <= RUNS; i++) {
        const double start = time_now();
        TRY_DNNL(dnnl_sgemm('N', 'T', n, n, n, 1, c->buffer[0], n, c->buffer[2], n, 0, c->buffer[3], n));
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

/* Counts o among the shapes seen so far, or as a new one. */
static void add_shape(ceiling *c, const op *o)
{
    for (int i = 1; i < c->n; i++)
        if (same_shape(&c->shape[i].op, o)) {
            c->shape[i].count++;
            return;
        }
    c->shape[c->n] = (shape_best){ .op = *o, .count = 1, .first = c->n == 0 };
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
            if (!best->prim.primitive) continue;
            TRY(time_prim(c, d, &best->prim, &best->seconds));
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
    backend *b = &c->cpu->base;
    for (int i = 0; i < c->n; i++)
        for (int d = FORWARD; d < DIRECTIONS; d++) prim_destroy(&c->shape[i].best[d].prim);
    prim_destroy(&c->gemm.prim);
    for (int i = 0; i < BUFFERS; i++)
        if (c->buffer[i]) b->release(b, c->buffer[i], c->buffer_bytes);
    if (c->scratchpad) b->release(b, c->scratchpad, c->scratchpad_bytes);
    free(c->shape);
    free(c);
}
