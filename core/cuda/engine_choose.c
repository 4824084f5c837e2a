/* core/cuda/engine_choose.c -- which engine runs a convolution: the fastest of our own, where it fits, and of cuDNN's that
 * may.
 *
 * May not: engines that do not give the same bits every time, or round parts of a sum; in f32 proper, engines that round
 * their inputs (tensor cores: 10 bits of mantissa). Of the rest, cuDNN's first guesses and the first guess of every other
 * engine are timed as they will run, in a CUDA graph; choice.c remembers the winner. */
#include "choice.h"

/* Engines that are compiled when they are created cost about a second each to try. */
enum { MAX_TRIED = 16, FIRST_GUESSES = 6, MAX_COMPILED = 1, TIMED = 3, IN_A_ROW = 8 };
static const size_t MAX_WORKSPACE = (size_t)1 << 30;

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

static status run_plan(cuda *c, const conv_problem *p, const bench *b, descriptor made, descriptor pack)
{
    status st = OK;
    if (made)
        TRY_CUDNN(cudnnBackendExecute(c->cudnn, made, pack));
    else
        TRY(own_run(c, p, b->x, b->w, b->y, b->workspace));
out:
    return st;
}

/* Some runs as a CUDA graph: of one alone, what it takes to submit it would be timed, too. What cannot be recorded is
 * no engine for us. */
static status record_plan(cuda *c, const conv_problem *p, const bench *b, descriptor made,
                          cudaGraphExec_t *out)
{
    status st = OK;
    cudaGraph_t graph = NULL;
    descriptor pack = NULL;
    if (made) TRY(pack_open(b->x, b->w, b->y, b->workspace, &pack));
    TRY(run_plan(c, p, b, made, pack)); /* loads what it needs */
    TRY_CUDA(cudaStreamBeginCapture(c->stream, cudaStreamCaptureModeThreadLocal));
    for (int i = 0; i < IN_A_ROW && st == OK; i++) st = run_plan(c, p, b, made, pack);
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

/* The shortest of a few launches, in milliseconds a run. */
static status bench_plan(cuda *c, const conv_problem *p, const bench *b, descriptor made, float *best)
{
    status st = OK;
    cudaGraphExec_t runs = NULL;
    *best = -1;
    TRY(record_plan(c, p, b, made, &runs));
    TRY_CUDA(cudaGraphLaunch(runs, c->stream)); /* uploads it */
    for (int i = 0; i < TIMED; i++) {
        float ms = 0;
        TRY_CUDA(cudaEventRecord(b->start, c->stream));
        TRY_CUDA(cudaGraphLaunch(runs, c->stream));
        TRY_CUDA(cudaEventRecord(b->stop, c->stream));
        TRY_CUDA(cudaEventSynchronize(b->stop));
        TRY_CUDA(cudaEventElapsedTime(&ms, b->start, b->stop));
        if (*best < 0 || ms / IN_A_ROW < *best) *best = ms / IN_A_ROW;
    }
out:
    if (runs) cudaGraphExecDestroy(runs);
    return st;
}

/* Our own kernels (NULL) and plans of allowed configurations. What cannot be made into a plan is left out. */
typedef struct candidates {
    int n;
    descriptor plan[MAX_TRIED];
    int64_t engine[MAX_TRIED]; /* cuDNN's number */
    size_t workspace;
} candidates;

enum { OWN_ENGINE = -1 };

static bool is_tried(const candidates *all, int64_t number)
{
    for (int i = 0; i < all->n; i++)
        if (all->engine[i] == number) return true;
    return false;
}

static status find_candidates(cuda *c, const conv_problem *p, const engine_configs *configs, int limit,
                              int max_compiled, candidates *out)
{
    status st = OK;
    int compiled = 0;
    if (own_fits(p)) {
        out->engine[out->n++] = OWN_ENGINE;
        out->workspace = own_workspace(p);
    }
    for (int i = 0; i < configs->n && out->n < limit; i++) {
        engine_notes notes;
        size_t workspace = 0;
        descriptor *made = &out->plan[out->n];
        TRY(engine_notes_read(configs->config[i], &notes));
        if (!allowed(p, &notes) || (notes.compiled && compiled >= max_compiled)) continue;
        if (out->n >= FIRST_GUESSES && is_tried(out, notes.engine)) continue;
        compiled += notes.compiled; /* in vain too: it takes as long */
        if (plan_from_config(c->cudnn, configs->config[i], made) != OK) continue;
        if (plan_workspace(*made, &workspace) != OK || workspace > MAX_WORKSPACE) {
            descriptor_close(made);
            continue;
        }
        if (workspace > out->workspace) out->workspace = workspace;
        out->engine[out->n++] = notes.engine;
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
