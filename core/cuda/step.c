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
 * changed since. A recorded training step ends with one launch that reads the libraries' gradients, updates the parameters
 * and renews the copies (pieces.c). */
#include "cuda.h"

#include <stdlib.h>

struct cuda_recording {
    cuda_recording *next;
    step_handle *handle; /* the caller's, which points here */
    bool evaluation, capturing;
    int runs;
    plan **plan;
    int n_plans, room;
    cudaGraphExec_t graph;
    weight_copy *copies; /* a table in device memory, of n_copies */
    int n_copies;
    cuda_sgd_call optimised; /* in the first run; count 0: it was not */
    cuda_pieces pieces;
    uint64_t packed_at; /* c->changes for which the copies are right */
};

bool cuda_is_recording(const cuda *c)
{
    return c->current && c->current->capturing;
}

static status find_or_make(cuda *c, step_handle *h, bool evaluation, cuda_recording **out)
{
    status st = OK;
    cuda_recording *r = h->record;
    if (!r) {
        TRY_ALLOC(r, calloc(1, sizeof *r));
        *r = (cuda_recording){
            .next = c->recordings, .handle = h, .evaluation = evaluation, .packed_at = UINT64_MAX
        };
        c->recordings = h->record = r;
    }
    if (r->evaluation != evaluation) FAIL(ERR_RUNTIME, "cuda: one handle for a step and an evaluation");
    *out = r;
out:
    return st;
}

static void forget(cuda_recording *r)
{
    r->handle->record = NULL;
    if (r->graph) cudaGraphExecDestroy(r->graph);
    if (r->copies) cudaFree(r->copies);
    cuda_pieces_free(&r->pieces);
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

/* Takes it out of the list, then frees it. */
static void drop(cuda *c, cuda_recording *r)
{
    cuda_recording **at = &c->recordings;
    while (*at != r) at = &(*at)->next;
    if (c->current == r) end_broken_step(c);
    cudaStreamSynchronize(c->stream);
    *at = r->next;
    forget(r);
}

void cuda_forget_plan(cuda *c, const plan *p)
{
    for (cuda_recording *r = c->recordings, *next; r; r = next) {
        next = r->next;
        if (runs(r, p)) drop(c, r);
    }
}

void cuda_step_forget(backend *b, step_handle *h)
{
    if (h->record) drop((cuda *)b, h->record);
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

/* After the first run: the weights of all plans, in tables that the kernels read. */
static status make_tables(cuda *c, cuda_recording *r)
{
    status st = OK;
    weight_copy *copies = NULL;
    TRY_ALLOC(copies, calloc((size_t)r->n_plans + 1, sizeof *copies));
    for (int i = 0; i < r->n_plans; i++) {
        const cuda_weights *w = r->plan[i]->weights;
        if (w && w->copy.packed && w->copy.plain) copies[r->n_copies++] = w->copy;
    }
    if (r->n_copies) TRY(cuda_table(c, copies, (size_t)r->n_copies * sizeof *copies, (void **)&r->copies));
    if (r->optimised.count) TRY(cuda_pieces_make(c, r->plan, r->n_plans, &r->optimised, &r->pieces));
out:
    free(copies);
    return st;
}

/* Before a recorded case runs. */
static status renew_copies(cuda *c, cuda_recording *r)
{
    status st = OK;
    if (r->packed_at == c->changes) return OK;
    if (r->n_copies) TRY_CUDA(weights_pack(c->stream, r->copies, r->n_copies, c->device.multiProcessorCount));
    r->packed_at = c->changes;
out:
    return st;
}

static status begin(cuda *c, step_handle *h, bool evaluation, bool *replayed)
{
    status st = OK;
    cuda_recording *r = NULL;
    *replayed = false;
    if (c->current) end_broken_step(c);
    TRY(find_or_make(c, h, evaluation, &r));
    if (r->runs > 0) TRY(renew_copies(c, r));
    if (r->graph) {
        TRY_CUDA(cudaGraphLaunch(r->graph, c->stream));
        if (!evaluation)
            r->packed_at = ++c->changes; /* the optimiser ran, and renewed the copies behind it */
        *replayed = true;
    } else if (r->runs > 0) {
        TRY_CUDA(cudaStreamBeginCapture(c->stream, cudaStreamCaptureModeThreadLocal));
        r->capturing = true;
    }
    c->current = r;
out:
    return st;
}

status cuda_step_begin(backend *b, step_handle *h, const step_scalars *s, bool *replayed)
{
    status st = OK;
    cuda *c = (cuda *)b;
    const cuda_scalars now = { s->lr, s->momentum, s->weight_decay, s->nesterov, s->seed, s->step };
    if (c->current) end_broken_step(c);
    TRY_CUDA(cuda_set_scalars(c->stream, c->now, now));
    TRY(begin(c, h, false, replayed));
out:
    return st;
}

status cuda_eval_begin(backend *b, step_handle *h, bool *replayed)
{
    return begin((cuda *)b, h, true, replayed);
}

static status launch_recorded(cuda *c, cuda_recording *r)
{
    status st = OK;
    cudaGraph_t graph = NULL;
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
    const bool recording = cuda_is_recording(c);
    if (recording && (value != r->optimised.value || count != r->optimised.count))
        FAIL(ERR_RUNTIME, "cuda: a step optimises other parameters than the first time");
    if (recording)
        TRY_CUDA(sgd_pieces(c->stream, c->now, r->pieces.piece, r->pieces.chunk, r->pieces.n));
    else
        TRY_CUDA(sgd(c->stream, c->now, value, grad, velocity, count));
    c->changes++;
    if (recording) r->packed_at = c->changes;
    if (r && r->runs == 0) r->optimised = (cuda_sgd_call){ value, velocity, grad, count };
out:
    return st;
}
