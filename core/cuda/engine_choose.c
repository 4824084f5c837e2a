/* core/cuda/engine_choose.c -- chooses the fastest engine for a convolution: our own kernels, where we have some, or
 * one of cuDNN's engines.
 *
 * Engines that may differ from run to run are excluded, and so are those that round partial sums to the type of the
 * result. In f32 without tf32, engines that round their inputs are excluded too (tensor cores keep 10 bits of the
 * mantissa). Of the others we time cuDNN's first guesses, then one configuration of each further engine, as they will
 * run: in a CUDA graph. */
#include "cudnn_graph.h"

enum {
    MAX_TRIED = 16,
    FIRST_GUESSES = 6, /* of cuDNN, which may share an engine */
    MAX_COMPILED = 1,  /* to try an engine that is compiled when it is created takes about a second */
    TIMED = 3,         /* launches of a graph, */
    IN_A_ROW = 8       /* which runs the convolution so often */
};
static const size_t MAX_WORKSPACE = (size_t)1 << 30;

static bool allowed(const conv_problem *p, const engine_notes *n)
{
    return !n->nondeterministic && !n->rounds_sums && !(n->rounds_inputs && p->type == F32 && !p->tf32);
}

/* --- timing --- */

/* Memory to run a problem in, and a clock. */
typedef struct trial {
    void *x, *w, *y, *workspace;
    cudaEvent_t start, stop;
} trial;

static status trial_open(cuda *c, const conv_problem *p, size_t workspace, trial *t)
{
    status st = OK;
    const size_t element = dtype_bytes(p->type);
    const int64_t weights =
        (int64_t)p->conv.out * (p->x.c / p->conv.groups) * p->conv.kernel * p->conv.kernel;
    TRY(c->base.alloc(&c->base, (size_t)shape_count(p->x) * element, &t->x));
    TRY(c->base.alloc(&c->base, (size_t)weights * element, &t->w));
    TRY(c->base.alloc(&c->base, (size_t)shape_count(p->y) * element, &t->y));
    TRY(c->base.alloc(&c->base, workspace, &t->workspace));
    TRY_CUDA(cudaEventCreate(&t->start));
    TRY_CUDA(cudaEventCreate(&t->stop));
out:
    return st;
}

static void trial_close(cuda *c, trial *t)
{
    void *const memory[] = { t->x, t->w, t->y, t->workspace };
    for (size_t i = 0; i < sizeof memory / sizeof *memory; i++)
        if (memory[i]) c->base.release(&c->base, memory[i], 0);
    if (t->start) cudaEventDestroy(t->start);
    if (t->stop) cudaEventDestroy(t->stop);
}

static status run_plan(cuda *c, const conv_problem *p, const trial *t, descriptor made, descriptor pack)
{
    status st = OK;
    if (made)
        TRY_CUDNN(cudnnBackendExecute(c->cudnn, made, pack));
    else
        TRY(own_run(c, p, t->x, t->w, t->y, t->workspace));
out:
    return st;
}

/* Several runs as one CUDA graph: with a single run, the time to submit it would be a part of what is measured. An
 * engine that cannot be recorded fails here, and is not used. */
static status record_plan(cuda *c, const conv_problem *p, const trial *t, descriptor made,
                          cudaGraphExec_t *out)
{
    status st = OK;
    cudaGraph_t graph = NULL;
    descriptor pack = NULL;
    if (made) TRY(variant_pack_open(t->x, t->w, t->y, t->workspace, &pack));
    TRY(run_plan(c, p, t, made, pack)); /* the first run loads the kernels, which cannot be recorded */
    TRY_CUDA(cudaStreamBeginCapture(c->stream, cudaStreamCaptureModeThreadLocal));
    for (int i = 0; i < IN_A_ROW && st == OK; i++) st = run_plan(c, p, t, made, pack);
    const cudaError_t answer = cudaStreamEndCapture(c->stream, &graph);
    TRY(st);
    TRY_CUDA(answer);
    TRY_CUDA(cudaGraphInstantiate(out, graph, 0));
out:
    if (st != OK) cudaGetLastError(); /* or the next launch would report it */
    if (graph) cudaGraphDestroy(graph);
    descriptor_close(&pack);
    return st;
}

/* *best: milliseconds of one run, from the fastest of a few launches. */
static status time_plan(cuda *c, const conv_problem *p, const trial *t, descriptor made, float *best)
{
    status st = OK;
    cudaGraphExec_t runs = NULL;
    *best = -1;
    TRY(record_plan(c, p, t, made, &runs));
    TRY_CUDA(cudaGraphLaunch(runs, c->stream)); /* the first launch uploads the graph */
    for (int i = 0; i < TIMED; i++) {
        float ms = 0;
        TRY_CUDA(cudaEventRecord(t->start, c->stream));
        TRY_CUDA(cudaGraphLaunch(runs, c->stream));
        TRY_CUDA(cudaEventRecord(t->stop, c->stream));
        TRY_CUDA(cudaEventSynchronize(t->stop));
        TRY_CUDA(cudaEventElapsedTime(&ms, t->start, t->stop));
        if (*best < 0 || ms / IN_A_ROW < *best) *best = ms / IN_A_ROW;
    }
out:
    if (runs) cudaGraphExecDestroy(runs);
    return st;
}

/* --- candidates --- */

typedef struct candidates {
    int n;
    descriptor plan[MAX_TRIED]; /* NULL: our own kernels */
    int64_t engine[MAX_TRIED];  /* cuDNN's number, or OWN_ENGINE */
    size_t workspace;           /* the largest */
} candidates;

enum { OWN_ENGINE = -1 };

static bool is_tried(const candidates *all, int64_t number)
{
    for (int i = 0; i < all->n; i++)
        if (all->engine[i] == number) return true;
    return false;
}

/* At most `limit`, of which at most max_compiled are compiled at run time. Configurations from which cuDNN can make no
 * plan are left out. */
static status find_candidates(cuda *c, const conv_problem *p, const engine_configs *configs, int limit,
                              int max_compiled, candidates *out)
{
    status st = OK;
    int compiled = 0;
    if (own_fits(p)) {
        out->engine[out->n++] = OWN_ENGINE;
        out->workspace = own_workspace(c, p);
    }
    for (int i = 0; i < configs->n && out->n < limit; i++) {
        engine_notes notes;
        size_t workspace = 0;
        descriptor *made = &out->plan[out->n];
        TRY(engine_notes_read(configs->config[i], &notes));
        if (!allowed(p, &notes) || (notes.compiled && compiled >= max_compiled)) continue;
        if (out->n >= FIRST_GUESSES && is_tried(out, notes.engine)) continue;
        compiled += notes.compiled; /* also if it fails below: that takes as long */
        if (execution_plan_from_config(c->cudnn, configs->config[i], made) != OK) continue;
        if (execution_plan_workspace(*made, &workspace) != OK || workspace > MAX_WORKSPACE) {
            descriptor_close(made);
            continue;
        }
        if (workspace > out->workspace) out->workspace = workspace;
        out->engine[out->n++] = notes.engine;
    }
out:
    return st;
}

/* *made: the fastest of those that run. */
static status time_candidates(cuda *c, const conv_problem *p, candidates *all, descriptor *made)
{
    status st = OK;
    trial t = { 0 };
    float best = -1;
    int winner = -1;
    TRY(trial_open(c, p, all->workspace, &t));
    for (int i = 0; i < all->n; i++) {
        float ms = 0;
        if (time_plan(c, p, &t, all->plan[i], &ms) != OK) continue;
        if (winner >= 0 && ms >= best) continue;
        winner = i;
        best = ms;
    }
    if (winner < 0) FAIL(ERR_RUNTIME, "none of %d engines ran: %s", all->n, status_message());
    *made = all->plan[winner];
    all->plan[winner] = NULL;
out:
    trial_close(c, &t);
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

/* --- without a device --- */

status engine_count(const conv_problem *p, const char *device_json, int *all, int *n_allowed)
{
    status st = OK;
    descriptor device = NULL;
    conv_graph graph = { 0 };
    engine_configs configs = { 0 };
    *all = *n_allowed = 0;
    TRY(device_properties_from_json(device_json, &device));
    TRY(conv_graph_open(p, NULL, &graph));
    TRY(engine_configs_find(&graph, device, &configs));
    for (int i = 0; i < configs.n; i++) {
        engine_notes notes;
        TRY(engine_notes_read(configs.config[i], &notes));
        *all += 1;
        *n_allowed += allowed(p, &notes);
    }
out:
    engine_configs_free(&configs);
    conv_graph_close(&graph);
    descriptor_close(&device);
    return st;
}
