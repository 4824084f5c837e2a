/* core/cpu/race.c -- one direction of a convolution with each algorithm, in turn, so that whatever disturbs the machine
 * meets both. What is timed is what a training step runs, packing of weights included. */
#include "cpu.h"

#include "../base/progress.h"

#include <stdlib.h>

enum { RUNS = 5 };

typedef struct race {
    cpu *cpu;
    op op;
    plan *plan[CONV_ALGORITHMS];
    op_args args; /* of all; the memory is theirs */
    float *w, *dw;
    void *x, *y, *scratch;
    size_t x_bytes, y_bytes, w_bytes, scratch_bytes;
} race;

void cpu_fill(void *memory, size_t bytes)
{
    uint16_t *half = memory;
#pragma omp parallel for simd schedule(static)
    for (size_t i = 0; i < bytes / 2; i++) half[i] = (uint16_t)(0x3c00 + (i * 2654435761u >> 20) % 512);
}

static status make_plans(race *r)
{
    status st = OK;
    for (int a = 0; a < CONV_ALGORITHMS; a++) {
        op_needs needs = { 0 };
        r->cpu->forced = a;
        TRY(cpu_conv_plan(r->cpu, &r->op, &r->plan[a], &needs));
        if (needs.scratch > r->scratch_bytes) r->scratch_bytes = needs.scratch;
    }
out:
    r->cpu->forced = -1;
    return st;
}

static status make_memory(race *r, int direction)
{
    status st = OK;
    backend *b = &r->cpu->base;
    const op *o = &r->op;
    void *p;
    r->x_bytes = layout_bytes(o->x, layout_of(o->x, o->type));
    r->y_bytes = layout_bytes(o->y, layout_of(o->y, o->type));
    r->w_bytes = sizeof(float) * (size_t)o->y.c * (size_t)(o->x.c * o->conv.kernel * o->conv.kernel);
    TRY(b->alloc(b, r->x_bytes, &r->x));
    TRY(b->alloc(b, r->y_bytes, &r->y));
    TRY(b->alloc(b, r->w_bytes, &p));
    r->w = p;
    TRY(b->alloc(b, r->w_bytes, &p));
    r->dw = p;
    TRY(b->alloc(b, r->scratch_bytes, &r->scratch));
    cpu_fill(r->x, r->x_bytes);
    cpu_fill(r->y, r->y_bytes);
    cpu_fill(r->w, r->w_bytes);
    r->args = (op_args){ .x = r->x, .y = r->y, .param = { r->w }, .dy = r->y, .scratch = r->scratch };
    if (direction == CONV_DATA) r->args.dx = r->x;
    if (direction == CONV_WEIGHTS) r->args.grad[0] = r->dw;
out:
    return st;
}

static void close_race(race *r)
{
    backend *b = &r->cpu->base;
    for (int a = 0; a < CONV_ALGORITHMS; a++) b->plan_free(r->plan[a]);
    if (r->x) b->release(b, r->x, r->x_bytes);
    if (r->y) b->release(b, r->y, r->y_bytes);
    if (r->w) b->release(b, r->w, r->w_bytes);
    if (r->dw) b->release(b, r->dw, r->w_bytes);
    if (r->scratch) b->release(b, r->scratch, r->scratch_bytes);
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

status cpu_conv_race(cpu *c, const op *o, int direction, double seconds[CONV_ALGORITHMS])
{
    status st = OK;
    race r = { .cpu = c, .op = *o };
    double all[CONV_ALGORITHMS][RUNS];
    r.op.kind = OP_CONV;
    r.op.training = true;
    r.op.conv.bias = false;
    TRY(make_plans(&r));
    TRY(make_memory(&r, direction));
    for (int run = -1; run < RUNS; run++) /* the first brings data and code near */
        for (int a = 0; a < CONV_ALGORITHMS; a++) {
            plan *p = r.plan[a];
            const double start = time_now();
            r.args.version++;
            TRY(direction == CONV_FORWARD ? p->forward(p, &r.args) : p->backward(p, &r.args));
            if (run >= 0) all[a][run] = time_now() - start;
        }
    for (int a = 0; a < CONV_ALGORITHMS; a++) {
        qsort(all[a], RUNS, sizeof **all, ascending);
        seconds[a] = all[a][RUNS / 2];
    }
out:
    close_race(&r);
    return st;
}
