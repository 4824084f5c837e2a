/* core/cpu/dropout.c -- OP_DROPOUT. The random number of a value depends on its index in NCHW order, wherever it lies
 * in memory, so every device drops the same values. One byte per value is saved for backward: was it kept? */
#include "../base/rng.h"
#include "cpu.h"

typedef struct dropout_plan {
    cpu_plan base;
    int block;        /* of the layout */
    int64_t channels; /* padded to whole blocks */
} dropout_plan;

/* A run is one block of channels of one image. */
static int64_t run_length(const dropout_plan *p)
{
    return (int64_t)p->base.op.x.h * p->base.op.x.w * p->block;
}

static int64_t run_count(const dropout_plan *p)
{
    return p->base.op.x.n * p->channels / p->block;
}

/* The index in NCHW order of value i of a run; -1 in the padding. */
static int64_t logical_index(const dropout_plan *p, int64_t run, int64_t i)
{
    const shape4 s = p->base.op.x;
    const int64_t blocks = p->channels / p->block, n = run / blocks;
    const int64_t c = run % blocks * p->block + i % p->block;
    return c < s.c ? (n * s.c + c) * s.h * s.w + i / p->block : -1;
}

static void drop_run(const dropout_plan *p, int64_t run, const void *x, void *y, uint8_t *kept)
{
    const int64_t first = run * run_length(p);
    const op *o = &p->base.op;
    const step_scalars *now = &p->base.cpu->now;
    const float scale = 1 / (1 - o->dropout.p);
    for (int64_t i = 0; i < run_length(p); i++) {
        int64_t index = logical_index(p, run, i);
        kept[i] = index >= 0 && rng_uniform(now->seed, RNG_DROPOUT + (uint32_t)o->dropout.layer,
                                            (uint32_t)now->step, (uint64_t)index) >= o->dropout.p;
        value_set(y, first + i, o->type, kept[i] ? value_get(x, first + i, o->type) * scale : 0, false);
    }
}

static status dropout_forward(cpu_plan *base, const op_args *a)
{
    const dropout_plan *p = (dropout_plan *)base;
    const int64_t length = run_length(p), runs = run_count(p);
    if (!base->op.training) {
        const layout l = layout_of(base->op.x, base->op.type);
        layout_convert(base->op.x, a->x, l, a->y, l, false);
        return OK;
    }
#pragma omp parallel for schedule(static)
    for (int64_t r = 0; r < runs; r++) drop_run(p, r, a->x, a->y, (uint8_t *)a->saved + r * length);
    return OK;
}

static status dropout_backward(cpu_plan *base, const op_args *a)
{
    const dropout_plan *p = (dropout_plan *)base;
    const float scale = 1 / (1 - base->op.dropout.p);
    const uint8_t *kept = a->saved;
    const dtype t = base->op.type;
    if (!a->dx) return OK;
#pragma omp parallel for simd schedule(static)
    for (int64_t i = 0; i < run_count(p) * run_length(p); i++) {
        value_set(a->dx, i, t, kept[i] ? value_get(a->dy, i, t) * scale : 0, a->dx_add);
    }
    return OK;
}

status cpu_dropout_plan(cpu *c, const op *o, cpu_plan **out, op_needs *needs)
{
    status st = OK;
    TRY(cpu_plan_new(c, o, sizeof(dropout_plan), dropout_forward, dropout_backward, out));
    dropout_plan *p = (dropout_plan *)*out;
    p->block = layout_block(o->x);
    p->channels = p->block == 1 ? o->x.c : layout_blocks(o->x.c) * LANES;
    if (o->training) cpu_reserve(&needs->saved, (size_t)(run_count(p) * run_length(p)));
out:
    return st;
}
