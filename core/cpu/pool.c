/* core/cpu/pool.c -- max pooling and the global average: OP_POOL.
 *
 * Values are blocked: a vector holds LANES channels of one pixel. Max pooling saves where in its window each maximum
 * was (r * kernel + s), so backward reads neither x nor y. */
#include "cpu.h"

#include <math.h>

typedef uint16_t place;                                                  /* r * kernel + s */
typedef place places __attribute__((vector_size(2 * LANES), may_alias)); /* of LANES channels */

typedef struct pool_plan {
    cpu_plan base;
    int64_t planes; /* images * channel blocks */
    size_t x_at, y_at;
} pool_plan;

/* The rows or columns of a window that lie inside the image: [first, last) of 0..kernel-1. */
typedef struct span {
    int first, last;
} span;

static span span_inside(int out, const pool_desc *d, int size)
{
    int start = out * d->stride - d->pad, first = start < 0 ? -start : 0;
    int last = start + d->kernel > size ? size - start : d->kernel;
    return (span){ first, last };
}

/* --- max --- */

/* Only a greater value replaces the maximum: of equal values the first in row-major order counts. */
INLINED void max_plane(dtype t, const op *o, const void *x, void *y, places *where)
{
    const pool_desc *d = &o->pool;
    for (int p = 0; p < o->y.h; p++)
        for (int q = 0; q < o->y.w; q++) {
            const span rows = span_inside(p, d, o->x.h), columns = span_inside(q, d, o->x.w);
            vec best = splat(-INFINITY);
            ivec best_at = { 0 };
            best_at += rows.first * d->kernel + columns.first;
            for (int r = rows.first; r < rows.last; r++)
                for (int s = columns.first; s < columns.last; s++) {
                    vec v = load(x, (p * d->stride - d->pad + r) * o->x.w + q * d->stride - d->pad + s, t);
                    ivec better = ~(v <= best); /* true for NaN, so that it is seen in the loss */
                    best = select_lanes(better, v, best);
                    best_at = (better & (r * d->kernel + s)) | (~better & best_at);
                }
            store(y, p * o->y.w + q, t, best);
            if (where) where[p * o->y.w + q] = __builtin_convertvector(best_at, places);
        }
}

INLINED void max_plane_backward(dtype t, const op *o, const void *dy, const places *where, void *dx, bool add)
{
    const pool_desc *d = &o->pool;
    if (!add) memset(dx, 0, LANES * dtype_bytes(t) * (size_t)o->x.h * (size_t)o->x.w);
    for (int p = 0; p < o->y.h; p++)
        for (int q = 0; q < o->y.w; q++) {
            const span rows = span_inside(p, d, o->x.h), columns = span_inside(q, d, o->x.w);
            const vec g = load(dy, p * o->y.w + q, t);
            const ivec at_place = __builtin_convertvector(where[p * o->y.w + q], ivec);
            for (int r = rows.first; r < rows.last; r++)
                for (int s = columns.first; s < columns.last; s++) {
                    const int64_t to = (p * d->stride - d->pad + r) * o->x.w + q * d->stride - d->pad + s;
                    store(dx, to, t, load(dx, to, t) + (vec)((at_place == r * d->kernel + s) & (ivec)g));
                }
        }
}

static status max_forward(cpu_plan *base, const op_args *a)
{
    const pool_plan *p = (pool_plan *)base;
    const op *o = &base->op;
    const int64_t in = (int64_t)o->x.h * o->x.w, out = (int64_t)o->y.h * o->y.w;
    const void *x = layout_in(base, o->x, a->x, LANES, at_offset(a->scratch, p->x_at));
    void *y = layout_out(base, o->y, a->y, LANES, false, at_offset(a->scratch, p->y_at));
    places *where = o->training ? a->saved : NULL;
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < p->planes; i++)
        FOR_TYPE(o->type, max_plane, o, vector_at(x, i * in, o->type), vector_at(y, i * out, o->type),
                 where ? where + i * out : NULL);
    layout_finish(base, o->y, y, a->y, LANES, false);
    return OK;
}

static status max_backward(cpu_plan *base, const op_args *a)
{
    const pool_plan *p = (pool_plan *)base;
    const op *o = &base->op;
    const int64_t in = (int64_t)o->x.h * o->x.w, out = (int64_t)o->y.h * o->y.w;
    const bool direct = layout_block(o->x) == LANES; /* dx is not converted afterwards */
    if (!a->dx) return OK;
    const void *dy = layout_in(base, o->y, a->dy, LANES, at_offset(a->scratch, p->y_at));
    void *dx = direct ? a->dx : at_offset(a->scratch, p->x_at);
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < p->planes; i++)
        FOR_TYPE(o->type, max_plane_backward, o, vector_at(dy, i * out, o->type),
                 (const places *)a->saved + i * out, vector_at(dx, i * in, o->type), direct && a->dx_add);
    layout_finish(base, o->x, dx, a->dx, LANES, a->dx_add);
    return OK;
}

/* --- global average: y [N, C, 1, 1] --- */

static vec plane_sum(const void *x, int64_t first, int64_t pixels, dtype t)
{
    vec sum = { 0 };
    for (int64_t i = first; i < first + pixels; i++) sum += load(x, i, t);
    return sum;
}

static status average_forward(cpu_plan *base, const op_args *a)
{
    const pool_plan *p = (pool_plan *)base;
    const op *o = &base->op;
    const int64_t pixels = (int64_t)o->x.h * o->x.w;
    const void *x = layout_in(base, o->x, a->x, LANES, at_offset(a->scratch, p->x_at));
    void *y = layout_out(base, o->y, a->y, LANES, false, at_offset(a->scratch, p->y_at));
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < p->planes; i++)
        store(y, i, o->type, plane_sum(x, i * pixels, pixels, o->type) / (float)pixels);
    layout_finish(base, o->y, y, a->y, LANES, false);
    return OK;
}

static status average_backward(cpu_plan *base, const op_args *a)
{
    const pool_plan *p = (pool_plan *)base;
    const op *o = &base->op;
    const int64_t pixels = (int64_t)o->x.h * o->x.w;
    if (!a->dx) return OK;
    const void *dy = layout_in(base, o->y, a->dy, LANES, at_offset(a->scratch, p->y_at));
    void *dx = layout_out(base, o->x, a->dx, LANES, a->dx_add, at_offset(a->scratch, p->x_at));
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < p->planes; i++) {
        const vec share = load(dy, i, o->type) / (float)pixels;
        for (int64_t j = 0; j < pixels; j++) store(dx, i * pixels + j, o->type, share);
    }
    layout_finish(base, o->x, dx, a->dx, LANES, a->dx_add);
    return OK;
}

status cpu_pool_plan(cpu *c, const op *o, cpu_plan **out, op_needs *needs)
{
    status st = OK;
    const bool max = o->pool.kind == POOL_MAX;
    TRY(cpu_plan_new(c, o, sizeof(pool_plan), max ? max_forward : average_forward,
                     max ? max_backward : average_backward, out));
    pool_plan *p = (pool_plan *)*out;
    p->planes = (int64_t)o->x.n * layout_blocks(o->x.c);
    if (max && o->training)
        cpu_reserve(&needs->saved, sizeof(places) * (size_t)(p->planes * o->y.h * o->y.w));
    p->x_at = cpu_reserve(&needs->scratch, blocked_bytes(o->x, o->type));
    p->y_at = cpu_reserve(&needs->scratch, blocked_bytes(o->y, o->type));
out:
    return st;
}
