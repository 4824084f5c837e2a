/* core/cuda/engine.c -- a convolution in one direction: which problem it is, and running it by the engine that choice.c
 * has for it. */
#include "choice.h"

#include <stdio.h>
#include <stdlib.h>

struct engine {
    conv_problem problem;
    descriptor plan; /* choice.c's; NULL: our own kernels */
    descriptor pack; /* of the last pointers */
    const void *x, *w, *y;
    void *workspace;
};

conv_problem conv_problem_of(const op *o, conv_direction direction, bool add, bool tf32)
{
    return (conv_problem){ .direction = direction,
                           .add = add,
                           .tf32 = tf32 && o->type == F32,
                           .type = o->type,
                           .x = o->x,
                           .y = o->y,
                           .conv = o->conv };
}

void conv_problem_name(const conv_problem *p, char out[ENGINE_KEY_BYTES])
{
    static const char *const names[] = { "fprop", "dgrad", "wgrad" };
    const char *type = p->type == BF16 ? "bf16" : p->tf32 ? "tf32" : "f32";
    snprintf(out, ENGINE_KEY_BYTES, "%s%s_%s_n%dc%dh%dw%d_k%dr%ds%dp%dg%d", names[p->direction],
             p->add ? "-add" : "", type, p->x.n, p->x.c, p->x.h, p->x.w, p->conv.out, p->conv.kernel,
             p->conv.stride, p->conv.pad, p->conv.groups);
}

/* --- the engine --- */

status engine_open(cuda *c, const conv_problem *p, engine **out, size_t *workspace)
{
    status st = OK;
    engine *e = NULL;
    TRY_ALLOC(e, calloc(1, sizeof *e));
    e->problem = *p;
    TRY(choice_find(c, p, &e->plan));
    if (!e->plan && !own_fits(p))
        FAIL(ERR_RUNTIME,
             "the engine kept for a convolution does not fit it: $CLEAVE_CACHE or algorithms.txt "
             "was changed");
    *workspace = own_workspace(p);
    if (e->plan) TRY(plan_workspace(e->plan, workspace));
    *out = e;
    e = NULL;
out:
    engine_close(e);
    return st;
}

void engine_close(engine *e)
{
    if (!e) return;
    descriptor_close(&e->pack);
    free(e);
}

status engine_run(engine *e, cuda *c, const void *x, const void *w, const void *y, void *workspace)
{
    status st = OK;
    if (!e->plan) return own_run(c, &e->problem, x, w, y, workspace);
    if (!e->pack || x != e->x || w != e->w || y != e->y || workspace != e->workspace) {
        descriptor_close(&e->pack);
        TRY(pack_open(x, w, y, workspace, &e->pack));
        e->x = x, e->w = w, e->y = y, e->workspace = workspace;
    }
    TRY_CUDNN(cudnnBackendExecute(c->cudnn, e->plan, e->pack));
out:
    return st;
}
