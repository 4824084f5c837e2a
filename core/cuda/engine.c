/* core/cuda/engine.c -- which engine runs a convolution: the fastest of our own, where it fits, and of cuDNN's that may.
 *
 * May not: engines that do not give the same bits every time, or round parts of a sum; in f32 proper, engines that round
 * their inputs (tensor cores: 10 bits of mantissa). The rest are timed once per problem; choice.c remembers the winner. */
#include "choice.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Engines that are compiled when they are created cost about a second each to try. */
enum { MAX_TRIED = 8, MAX_COMPILED = 1, WARM_UP = 1, TIMED = 3 };
static const size_t MAX_WORKSPACE = (size_t)1 << 30;

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

static bool allowed(const conv_problem *p, const engine_notes *n)
{
    return !n->nondeterministic && !n->rounds_sums && !(n->rounds_inputs && p->type == F32 && !p->tf32);
}

/* --- timing --- */

/* Memory to run a problem in. */
typedef struct bench {
    void *x, *w, *y, *workspace;
    cudaEvent_t start, stop;
} bench;

static status bench_open(cuda *c, const conv_problem *p, size_t workspace, bench *b)
{
    status st = OK;
    const size_t element = dtype_bytes(p->type);
    const int64_t weights =
        (int64_t)p->conv.out * (p->x.c / p->conv.groups) * p->conv.kernel * p->conv.kernel;
    TRY(c->base.alloc(&c->base, (size_t)shape_count(p->x) * element, &b->x));
    TRY(c->base.alloc(&c->base, (size_t)weights * element, &b->w));
    TRY(c->base.alloc(&c->base, (size_t)shape_count(p->y) * element, &b->y));
    TRY(c->base.alloc(&c->base, workspace, &b->workspace));
    TRY_CUDA(cudaEventCreate(&b->start));
    TRY_CUDA(cudaEventCreate(&b->stop));
out:
    return st;
}

static void bench_close(cuda *c, bench *b)
{
    void *const memory[] = { b->x, b->w, b->y, b->workspace };
    for (size_t i = 0; i < sizeof memory / sizeof *memory; i++)
        if (memory[i]) c->base.release(&c->base, memory[i], 0);
    if (b->start) cudaEventDestroy(b->start);
    if (b->stop) cudaEventDestroy(b->stop);
}

/* The shortest of a few runs, in milliseconds. */
static status bench_plan(cuda *c, const conv_problem *p, const bench *b, descriptor made, float *best)
{
    status st = OK;
    descriptor pack = NULL;
    *best = -1;
    if (made) TRY(pack_open(b->x, b->w, b->y, b->workspace, &pack));
    for (int i = 0; i < WARM_UP + TIMED; i++) {
        float ms = 0;
        TRY_CUDA(cudaEventRecord(b->start, c->stream));
        if (made)
            TRY_CUDNN(cudnnBackendExecute(c->cudnn, made, pack));
        else
            TRY(own_run(c, p, b->x, b->w, b->y, b->workspace));
        TRY_CUDA(cudaEventRecord(b->stop, c->stream));
        TRY_CUDA(cudaEventSynchronize(b->stop));
        TRY_CUDA(cudaEventElapsedTime(&ms, b->start, b->stop));
        if (i >= WARM_UP && (*best < 0 || ms < *best)) *best = ms;
    }
out:
    descriptor_close(&pack);
    return st;
}

/* Our own kernels (NULL) and plans of the allowed configurations, best guess first. What cannot be made into a plan is
 * left out. */
typedef struct candidates {
    int n;
    descriptor plan[MAX_TRIED];
    size_t workspace;
} candidates;

static status find_candidates(cuda *c, const conv_problem *p, const engine_configs *configs, int limit,
                              int max_compiled, candidates *out)
{
    status st = OK;
    int compiled = 0;
    if (own_fits(p)) {
        out->plan[out->n++] = NULL;
        out->workspace = own_workspace(p);
    }
    for (int i = 0; i < configs->n && out->n < limit; i++) {
        engine_notes notes;
        size_t workspace = 0;
        descriptor *made = &out->plan[out->n];
        TRY(engine_notes_read(configs->config[i], &notes));
        if (!allowed(p, &notes) || (notes.compiled && compiled >= max_compiled)) continue;
        compiled += notes.compiled; /* in vain too: it takes as long */
        if (plan_from_config(c->cudnn, configs->config[i], made) != OK) continue;
        if (plan_workspace(*made, &workspace) != OK || workspace > MAX_WORKSPACE) {
            descriptor_close(made);
            continue;
        }
        if (workspace > out->workspace) out->workspace = workspace;
        out->n++;
    }
out:
    return st;
}

/* The fastest candidate becomes *plan. One that fails when it runs is not taken. */
static status time_candidates(cuda *c, const conv_problem *p, candidates *all, descriptor *made)
{
    status st = OK;
    bench b = { 0 };
    float best = -1;
    int winner = -1;
    TRY(bench_open(c, p, all->workspace, &b));
    for (int i = 0; i < all->n; i++) {
        float ms = 0;
        if (bench_plan(c, p, &b, all->plan[i], &ms) != OK) continue;
        if (winner >= 0 && ms >= best) continue;
        winner = i;
        best = ms;
    }
    if (winner < 0) FAIL(ERR_RUNTIME, "none of %d engines ran: %s", all->n, status_message());
    *made = all->plan[winner];
    all->plan[winner] = NULL;
out:
    bench_close(c, &b);
    return st;
}

status engine_choose(cuda *c, const conv_problem *p, bool timed, descriptor *made)
{
    status st = OK;
    conv_graph graph = { 0 };
    engine_configs configs = { 0 };
    candidates all = { 0 };
    TRY(conv_graph_open(p, c->cudnn, &graph));
    TRY(engine_configs_find(&graph, NULL, &configs));
    TRY(find_candidates(c, p, &configs, timed ? MAX_TRIED : 1, timed ? MAX_COMPILED : 0, &all));
    if (all.n == 0) TRY(find_candidates(c, p, &configs, 1, 1, &all));
    if (all.n == 0 && configs.n == 0) FAIL(ERR_RUNTIME, "cuDNN has no engine for it: %s", status_message());
    if (all.n == 0) FAIL(ERR_RUNTIME, "none of cuDNN's %d engines may run it", configs.n);
    if (timed && all.n > 1) {
        TRY(time_candidates(c, p, &all, made));
    } else {
        *made = all.plan[0];
        all.plan[0] = NULL;
    }
out:
    for (int i = 0; i < MAX_TRIED; i++) descriptor_close(&all.plan[i]);
    engine_configs_free(&configs);
    conv_graph_close(&graph);
    return st;
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
        FAIL(
            ERR_RUNTIME,
            "the engine kept for a convolution does not fit it: $CLEAVE_CACHE or algorithms.txt was changed");
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

/* --- without a device --- */

status engine_count(const conv_problem *p, const char *device_json, int *all, int *deterministic)
{
    status st = OK;
    descriptor device = NULL;
    conv_graph graph = { 0 };
    engine_configs configs = { 0 };
    *all = *deterministic = 0;
    TRY(device_from_json(device_json, &device));
    TRY(conv_graph_open(p, NULL, &graph));
    TRY(engine_configs_find(&graph, device, &configs));
    for (int i = 0; i < configs.n; i++) {
        engine_notes notes;
        TRY(engine_notes_read(configs.config[i], &notes));
        *all += 1;
        *deterministic += allowed(p, &notes);
    }
out:
    engine_configs_free(&configs);
    conv_graph_close(&graph);
    descriptor_close(&device);
    return st;
}
