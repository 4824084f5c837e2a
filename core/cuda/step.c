/* core/cuda/step.c -- whole steps: the first time that a compiled case runs, its operations are enqueued one
 * by one; the second time they are recorded as a CUDA graph while they are; from then on the graph is
 * launched.
 *
 *   run 1   the libraries load what they need; the plans of the case become known
 *   run 2   recorded, then launched
 *   run 3+  launched: one call, whatever the number of layers
 *
 * What changes from step to step (learning rate, step, seed) is read from c->now, in device memory. Weight
 * copies: before a recorded case runs, all its copies are renewed by one launch if parameters may have
 * changed since; at the end of a training step, behind the optimiser, they are renewed inside the recording.
 */
#include "cuda.h"

#include <stdlib.h>

struct cuda_recording {
    cuda_recording *next;
    int key;
    bool evaluation, capturing, flushed;
    int runs;
    plan **plan;
    int n_plans, room;
    cudaGraphExec_t graph;
    weight_copy *copies, *grads; /* tables in device memory, of n_copies and n_grads */
    int n_copies, n_grads;
    uint64_t packed_at; /* c->changes for which the copies are right */
};

bool cuda_is_recording(const cuda *c)
{
    return c->current && c->current->capturing;
}

static cuda_recording *find(cuda *c, int key, bool evaluation)
{
    for (cuda_recording *r = c->recordings; r; r = r->next)
        if (r->key == key && r->evaluation == evaluation) return r;
    return NULL;
}

static status find_or_make(cuda *c, int key, bool evaluation, cuda_recording **out)
{
    status st = OK;
    cuda_recording *r = find(c, key, evaluation);
    if (!r) {
        TRY_ALLOC(r, calloc(1, sizeof *r));
        *r = (cuda_recording){
            .next = c->recordings, .key = key, .evaluation = evaluation, .packed_at = UINT64_MAX
        };
        c->recordings = r;
    }
    *out = r;
out:
    return st;
}

static void forget(cuda_recording *r)
{
    if (r->graph) cudaGraphExecDestroy(r->graph);
    if (r->copies) cudaFree(r->copies);
    if (r->grads) cudaFree(r->grads);
    free(r->plan);
    free(r);
}

/* A failure in the middle of a step leaves the stream recording. */
static void end_broken_step(cuda *c)
{
    cudaGraph_t graph = NULL;
    if (cuda_is_recording(c)) {
        c->current->capturing = false;
        cudaStreamEndCapture(c->stream, &graph);
        if (graph) cudaGraphDestroy(graph);
        cudaGetLastError();
    }
    c->current = NULL;
}

static bool runs(const cuda_recording *r, const plan *p)
{
    for (int i = 0; i < r->n_plans; i++)
        if (r->plan[i] == p) return true;
    return false;
}

void cuda_forget_plan(cuda *c, const plan *p)
{
    for (cuda_recording **r = &c->recordings; *r;) {
        cuda_recording *this = *r;
        if (!runs(this, p)) {
            r = &this->next;
            continue;
        }
        if (c->current == this) end_broken_step(c);
        cudaStreamSynchronize(c->stream);
        *r = this->next;
        forget(this);
    }
}

void cuda_forget_all(cuda *c)
{
    end_broken_step(c);
    while (c->recordings) {
        cuda_recording *next = c->recordings->next;
        forget(c->recordings);
        c->recordings = next;
    }
}

/* In the first run: this plan belongs to the case. */
status cuda_recording_add(plan *p)
{
    status st = OK;
    cuda_recording *r = p->cuda->current;
    if (!r || r->runs > 0 || runs(r, p)) return OK;
    if (r->n_plans == r->room) {
        plan **more;
        TRY_ALLOC(more, realloc(r->plan, (size_t)(2 * r->room + 16) * sizeof *more));
        r->plan = more;
        r->room = 2 * r->room + 16;
    }
    r->plan[r->n_plans++] = p;
out:
    return st;
}

static status make_table(cuda *c, const weight_copy *host, int n, weight_copy **out)
{
    status st = OK;
    void *table = NULL;
    if (n == 0) return OK;
    TRY(c->base.alloc(&c->base, (size_t)n * sizeof *host, &table));
    TRY(c->base.upload(&c->base, table, host, (size_t)n * sizeof *host));
    *out = table;
out:
    return st;
}

/* After the first run: the weights of all plans, in tables that the kernels read. */
static status make_tables(cuda *c, cuda_recording *r)
{
    status st = OK;
    weight_copy *copies = NULL, *grads = NULL;
    TRY_ALLOC(copies, calloc((size_t)r->n_plans + 1, sizeof *copies));
    TRY_ALLOC(grads, calloc((size_t)r->n_plans + 1, sizeof *grads));
    for (int i = 0; i < r->n_plans; i++) {
        const cuda_weights *w = r->plan[i]->weights;
        if (w && w->copy.packed && w->copy.plain) copies[r->n_copies++] = w->copy;
        if (w && w->grad.packed && w->grad.plain && !r->evaluation) grads[r->n_grads++] = w->grad;
    }
    TRY(make_table(c, copies, r->n_copies, &r->copies));
    TRY(make_table(c, grads, r->n_grads, &r->grads));
    /* Once before it is recorded, as all other kernels: the first launch may load it. The bits stay as they are. */
    if (r->n_grads) TRY_CUDA(weights_unpack(c->stream, r->grads, r->n_grads));
out:
    free(copies);
    free(grads);
    return st;
}

/* Before a recorded case runs. */
static status renew_copies(cuda *c, cuda_recording *r)
{
    status st = OK;
    if (r->packed_at == c->changes) return OK;
    if (r->n_copies) TRY_CUDA(weights_pack(c->stream, r->copies, r->n_copies));
    r->packed_at = c->changes;
out:
    return st;
}

static status begin(cuda *c, int key, bool evaluation, bool *replayed)
{
    status st = OK;
    cuda_recording *r = NULL;
    *replayed = false;
    if (c->current) end_broken_step(c);
    TRY(find_or_make(c, key, evaluation, &r));
    if (r->runs > 0) TRY(renew_copies(c, r));
    if (r->graph) {
        TRY_CUDA(cudaGraphLaunch(r->graph, c->stream));
        if (!evaluation)
            r->packed_at = ++c->changes; /* the optimiser ran, and renewed the copies behind it */
        *replayed = true;
    } else if (r->runs > 0) {
        TRY_CUDA(cudaStreamBeginCapture(c->stream, cudaStreamCaptureModeThreadLocal));
        r->capturing = true;
        r->flushed = false;
    }
    c->current = r;
out:
    return st;
}

status cuda_step_begin(backend *b, int key, const step_scalars *s, bool *replayed)
{
    status st = OK;
    cuda *c = (cuda *)b;
    const cuda_scalars now = { s->lr, s->momentum, s->weight_decay, s->nesterov, s->seed, s->step };
    if (c->current) end_broken_step(c);
    TRY_CUDA(cuda_set_scalars(c->stream, c->now, now));
    TRY(begin(c, key, false, replayed));
out:
    return st;
}

status cuda_eval_begin(backend *b, int key, bool *replayed)
{
    return begin((cuda *)b, key, true, replayed);
}

/* Gradients that the libraries wrote in their order, into PyTorch's: once a recorded step. */
static status flush_grads(cuda *c, cuda_recording *r)
{
    status st = OK;
    if (!r || !r->capturing || r->flushed) return OK;
    if (r->n_grads) TRY_CUDA(weights_unpack(c->stream, r->grads, r->n_grads));
    r->flushed = true;
out:
    return st;
}

static status launch_recorded(cuda *c, cuda_recording *r)
{
    status st = OK;
    cudaGraph_t graph = NULL;
    TRY(flush_grads(c, r));
    r->capturing = false;
    TRY_CUDA(cudaStreamEndCapture(c->stream, &graph));
    TRY_CUDA(cudaGraphInstantiate(&r->graph, graph, 0));
    TRY_CUDA(cudaGraphLaunch(r->graph, c->stream));
out:
    if (graph) cudaGraphDestroy(graph);
    return st;
}

status cuda_step_end(backend *b)
{
    status st = OK;
    cuda *c = (cuda *)b;
    cuda_recording *r = c->current;
    if (!r) FAIL(ERR_RUNTIME, "cuda: the end of a step that did not begin");
    if (r->capturing) TRY(launch_recorded(c, r));
    if (r->runs == 0) TRY(make_tables(c, r));
    r->runs++;
    c->current = NULL;
out:
    return st;
}

status cuda_sgd(backend *b, float *value, const float *grad, float *velocity, int64_t count)
{
    status st = OK;
    cuda *c = (cuda *)b;
    cuda_recording *r = c->current;
    TRY(flush_grads(c, r));
    TRY_CUDA(sgd(c->stream, c->now, value, grad, velocity, count));
    c->changes++;
    if (r && r->capturing) {
        if (r->n_copies) TRY_CUDA(weights_pack(c->stream, r->copies, r->n_copies));
        r->packed_at = c->changes;
    }
out:
    return st;
}
