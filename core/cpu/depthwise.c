/* core/cpu/depthwise.c -- a 3x3 filter for each channel: OP_CONV with as many groups as channels, pad 1, stride 1 or 2.
 *
 *   y[p][q] = sum_{r,s} w[r][s] x[p*stride + r - 1][q*stride + s - 1]            for each channel
 *
 * This is nine multiplications a value, so the time goes into reading and writing. Each pass reads every row once from
 * memory. It goes through three neighbouring rows at once, from left to right, and keeps the last three vectors of each
 * in registers:
 *
 *        row above   . . [left middle right] . .   ->
 *        row         . . [left middle right] . .   ->        a vector: the channels of a block at one pixel
 *        row below   . . [left middle right] . .   ->
 *
 * Backward computes both gradients in one pass over x and dy:
 *
 *   dx[i][j]  = sum_{r,s} w[r][s] dy[(i + 1 - r)/stride][(j + 1 - s)/stride]
 *   dw[r][s]  = sum_{i,j} x[i][j] dy[(i + 1 - r)/stride][(j + 1 - s)/stride]
 *
 * where both sums skip the terms whose index is a fraction or lies outside dy.
 *
 * dw is summed in three stages: over a plane in float, in registers; over a group of images in float; over the groups
 * in double. The groups do not depend on the number of threads, so neither does the result. */
#include "cpu.h"

enum { SIDE = 3, TAPS = SIDE * SIDE };

typedef struct depthwise_plan {
    cpu_plan base;
    bool adds;                    /* forward adds z */
    activation act;               /* of forward's results */
    int blocks, groups;           /* of channels; of images */
    bool streamed_y, streamed_dx; /* stored past the caches */
    size_t w_at;                  /* in scratch: weights [block][TAPS][LANES] */
    size_t zeros_at;              /* in scratch: a row of zeros, which stands for the rows outside a plane */
    size_t sums_at;               /* in scratch: sums of dw [group][block][TAPS][LANES] */
} depthwise_plan;

bool cpu_is_depthwise(const op *o)
{
    const conv_desc *c = &o->conv;
    return c->groups == o->x.c && c->out == o->x.c && c->kernel == SIDE && c->pad == 1 && c->stride <= 2 &&
           layout_block(o->x) == LANES && layout_block(o->y) == LANES;
}

/* w [C][1][3][3] to vectors, [block][TAPS][LANES]. With bf16 values the weights are rounded to bf16, too. */
static vec *arrange_weights(const depthwise_plan *p, const op_args *a)
{
    const op *o = &p->base.op;
    float *to = at_offset(a->scratch, p->w_at);
    for (int c = 0; c < p->blocks * LANES; c++)
        for (int i = 0; i < TAPS; i++) {
            const float w = c < o->x.c ? a->param[0][c * TAPS + i] : 0;
            to[(c / LANES * TAPS + i) * LANES + c % LANES] = o->type == BF16 ? bf16_to(bf16_from(w)) : w;
        }
    return (vec *)to;
}

/* Three neighbours in a row; zeros outside the row. */
typedef struct trio {
    vec left, middle, right;
} trio;

INLINED vec value_in(const void *row, int i, int width, dtype t)
{
    return i < width ? load(row, i, t) : splat(0);
}

/* Row i of a plane [h][w]; `zeros` if it has no such row. */
static inline const void *row_of(const void *plane, int i, int h, int w, const void *zeros, dtype t)
{
    return i < 0 || i >= h ? zeros : vector_at(plane, (int64_t)i * w, t);
}

/* Calls a loop with the type and the stride as constants (vec.h). */
#define FOR_TYPE_AND_STRIDE(o, loop, ...)                                                                    \
    do {                                                                                                     \
        if ((o)->type == F32 && (o)->conv.stride == 1)                                                       \
            loop(F32, 1, __VA_ARGS__);                                                                       \
        else if ((o)->type == F32)                                                                           \
            loop(F32, 2, __VA_ARGS__);                                                                       \
        else if ((o)->conv.stride == 1)                                                                      \
            loop(BF16, 1, __VA_ARGS__);                                                                      \
        else                                                                                                 \
            loop(BF16, 2, __VA_ARGS__);                                                                      \
    } while (0)

/* ---- forward ---- */

/* One row of y, n pixels wide. rows: the three rows of x that it is made of, `width` pixels wide. */
INLINED void forward_row(dtype t, int stride, const void *const rows[SIDE], int width, const vec *w, vec bias,
                         const void *z, activation act, void *y, int n, bool streamed)
{
    trio v[SIDE];
    for (int r = 0; r < SIDE; r++) v[r] = (trio){ .right = stride == 1 ? load(rows[r], 0, t) : splat(0) };
    for (int q = 0; q < n; q++) {
        vec part[SIDE];
        for (int r = 0; r < SIDE; r++) {
            trio *u = &v[r];
            u->left = stride == 1 ? u->middle : u->right;
            u->middle = stride == 1 ? u->right : load(rows[r], 2 * q, t);
            u->right = value_in(rows[r], stride * q + 1, width, t);
            part[r] = w[r * SIDE] * u->left + w[r * SIDE + 1] * u->middle + w[r * SIDE + 2] * u->right;
        }
        vec sum = part[0] + part[1] + part[2] + bias;
        if (z) sum += load(z, q, t);
        store_result(y, q, t, activate(act, sum), false, streamed);
    }
}

INLINED void forward_plane(dtype t, int stride, const depthwise_plan *p, const op_args *a, const vec *w,
                           int64_t plane)
{
    const shape4 X = p->base.op.x, Y = p->base.op.y;
    const int b = (int)(plane % p->blocks);
    const void *zeros = at_offset(a->scratch, p->zeros_at), *x = vector_at(a->x, plane * X.h * X.w, t);
    vec bias = { 0 };
    for (int l = 0; a->param[1] && l < LANES && b * LANES + l < X.c; l++)
        bias[l] = a->param[1][b * LANES + l];
    for (int i = 0; i < Y.h; i++) {
        const int64_t to = (plane * Y.h + i) * Y.w;
        const void *rows[SIDE];
        for (int r = 0; r < SIDE; r++) rows[r] = row_of(x, i * stride + r - 1, X.h, X.w, zeros, t);
        forward_row(t, stride, rows, X.w, w + b * TAPS, bias, p->adds ? vector_at(a->z, to, t) : NULL, p->act,
                    vector_at(a->y, to, t), Y.w, p->streamed_y);
    }
    if (p->streamed_y) stream_end();
}

static status depthwise_forward(cpu_plan *base, const op_args *a)
{
    const depthwise_plan *p = (depthwise_plan *)base;
    const op *o = &base->op;
    const int64_t planes = (int64_t)o->x.n * p->blocks;
    const vec *w = arrange_weights(p, a);
    memset(at_offset(a->scratch, p->zeros_at), 0, sizeof(vec) * (size_t)o->x.w);
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < planes; i++) {
        FOR_TYPE_AND_STRIDE(o, forward_plane, p, a, w, i);
    }
    return OK;
}

/* ---- backward ---- */

/* The rows of dy that one row of x contributed to, and the row r of the filter through which it did. */
typedef struct dy_rows {
    const void *dy[SIDE];
    int r[SIDE];
} dy_rows;

/* Stride 1: three rows of dy, through rows 0, 1 and 2 of the filter. */
INLINED void backward_row_1(dtype t, const dy_rows *m, const vec *w, const void *x, void *dx, bool add,
                            bool streamed, int width, vec *dw)
{
    trio d[SIDE];
    for (int k = 0; k < SIDE; k++) d[k] = (trio){ .middle = splat(0), .right = load(m->dy[k], 0, t) };
    for (int j = 0; j < width; j++) {
        const vec here = load(x, j, t);
        vec part[SIDE];
        for (int k = 0; k < SIDE; k++) {
            const vec *f = w + k * SIDE;
            vec *g = dw + k * SIDE;
            d[k] = (trio){ d[k].middle, d[k].right, value_in(m->dy[k], j + 1, width, t) };
            part[k] = f[0] * d[k].right + f[1] * d[k].middle + f[2] * d[k].left;
            g[0] += here * d[k].right;
            g[1] += here * d[k].middle;
            g[2] += here * d[k].left;
        }
        if (dx) store_result(dx, j, t, part[0] + part[1] + part[2], add, streamed);
    }
}

/* Stride 2: an even row of x contributed to n = 1 row of dy, an odd one to n = 2. In a row, an even pixel contributed
 * to one dy, through column 1 of the filter; an odd one to two, through columns 2 and 0. */
INLINED void backward_row_2(dtype t, int n, const dy_rows *m, const vec *w, const void *x, void *dx, bool add,
                            bool streamed, int width, int width_y, vec *dw)
{
    vec next[2];
    for (int k = 0; k < n; k++) next[k] = load(m->dy[k], 0, t);
    for (int q = 0; q < width_y; q++) {
        const int j = 2 * q;
        const bool odd = j + 1 < width;
        const vec first = load(x, j, t), second = value_in(x, j + 1, width, t);
        vec even_sum = { 0 }, odd_sum = { 0 };
        for (int k = 0; k < n; k++) {
            const vec *f = w + m->r[k] * SIDE, left = next[k], right = value_in(m->dy[k], q + 1, width_y, t);
            vec *g = dw + m->r[k] * SIDE;
            next[k] = right;
            even_sum += f[1] * left;
            odd_sum += f[2] * left + f[0] * right;
            g[0] += second * right;
            g[1] += first * left;
            g[2] += second * left;
        }
        if (dx) store_result(dx, j, t, even_sum, add, streamed);
        if (dx && odd) store_result(dx, j + 1, t, odd_sum, add, streamed);
    }
}

INLINED void backward_plane(dtype t, int stride, const depthwise_plan *p, const op_args *a, const vec *w,
                            int64_t plane, vec *sums)
{
    const shape4 X = p->base.op.x, Y = p->base.op.y;
    const void *zeros = at_offset(a->scratch, p->zeros_at), *dy = vector_at(a->dy, plane * Y.h * Y.w, t);
    vec dw[TAPS] = { 0 };
    for (int i = 0; i < X.h; i++) {
        const int64_t row = (plane * X.h + i) * X.w;
        const void *x = vector_at(a->x, row, t);
        void *dx = vector_at(a->dx, row, t);
        dy_rows m;
        if (stride == 1) {
            for (int r = 0; r < SIDE; r++) m.dy[r] = row_of(dy, i + 1 - r, Y.h, Y.w, zeros, t);
            backward_row_1(t, &m, w, x, dx, a->dx_add, p->streamed_dx, X.w, dw);
        } else if (i % 2 == 0) {
            m.dy[0] = row_of(dy, i / 2, Y.h, Y.w, zeros, t), m.r[0] = 1;
            backward_row_2(t, 1, &m, w, x, dx, a->dx_add, p->streamed_dx, X.w, Y.w, dw);
        } else {
            m.dy[0] = row_of(dy, i / 2, Y.h, Y.w, zeros, t), m.r[0] = 2;
            m.dy[1] = row_of(dy, i / 2 + 1, Y.h, Y.w, zeros, t), m.r[1] = 0;
            backward_row_2(t, 2, &m, w, x, dx, a->dx_add, p->streamed_dx, X.w, Y.w, dw);
        }
    }
    for (int i = 0; i < TAPS; i++) sums[i] += dw[i];
    if (p->streamed_dx) stream_end();
}

/* The images of one group, by one thread. */
static void backward_group(const depthwise_plan *p, const op_args *a, const vec *w, int group)
{
    const op *o = &p->base.op;
    const int first = image_group_begin(o->x.n, group), last = image_group_begin(o->x.n, group + 1);
    vec *sums = (vec *)at_offset(a->scratch, p->sums_at) + (int64_t)group * p->blocks * TAPS;
    memset(sums, 0, sizeof(vec) * TAPS * (size_t)p->blocks);
    for (int n = first; n < last; n++)
        for (int b = 0; b < p->blocks; b++) {
            const int64_t plane = (int64_t)n * p->blocks + b;
            const vec *of_block = w + b * TAPS;
            FOR_TYPE_AND_STRIDE(o, backward_plane, p, a, of_block, plane, sums + b * TAPS);
        }
}

static void store_weight_gradient(const depthwise_plan *p, const op_args *a, float *dw)
{
    const float *sums = at_offset(a->scratch, p->sums_at);
    for (int c = 0; c < p->base.op.x.c; c++)
        for (int i = 0; i < TAPS; i++) {
            double sum = 0;
            for (int g = 0; g < p->groups; g++)
                sum += sums[(((int64_t)g * p->blocks + c / LANES) * TAPS + i) * LANES + c % LANES];
            dw[c * TAPS + i] = (float)sum;
        }
}

static status depthwise_backward(cpu_plan *base, const op_args *a)
{
    const depthwise_plan *p = (depthwise_plan *)base;
    const op *o = &base->op;
    const vec *w = arrange_weights(p, a);
    memset(at_offset(a->scratch, p->zeros_at), 0, sizeof(vec) * (size_t)o->x.w);
#pragma omp parallel for schedule(static)
    for (int g = 0; g < p->groups; g++) backward_group(p, a, w, g);
    if (a->grad[0]) store_weight_gradient(p, a, a->grad[0]);
    if (a->grad[1]) cpu_bias_gradient(o, a->dy, a->grad[1]);
    return OK;
}

status cpu_depthwise_plan(cpu *c, const op *o, const bnact_desc *end, cpu_plan **out, op_needs *needs)
{
    status st = OK;
    TRY(cpu_plan_new(c, o, sizeof(depthwise_plan), depthwise_forward, depthwise_backward, out));
    depthwise_plan *p = (depthwise_plan *)*out;
    p->act = end->act;
    p->adds = end->add;
    p->blocks = layout_blocks(o->x.c);
    p->groups = image_groups(o->x.n);
    p->streamed_y = blocked_bytes(o->y, o->type) >= CPU_STREAMED_BYTES;
    p->streamed_dx = blocked_bytes(o->x, o->type) >= CPU_STREAMED_BYTES;
    const size_t filters = sizeof(vec) * TAPS * (size_t)p->blocks;
    p->w_at = cpu_reserve(&needs->scratch, filters);
    p->zeros_at = cpu_reserve(&needs->scratch, sizeof(vec) * (size_t)o->x.w);
    if (o->training) {
        p->sums_at = cpu_reserve(&needs->scratch, filters * (size_t)p->groups);
        needs->backward_x = true;
    }
out:
    return st;
}
