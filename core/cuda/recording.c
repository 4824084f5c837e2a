/* core/cuda/recording.c -- whole steps, recorded and replayed. The operations of a training step, or of an evaluation
 * pass, are the same each time:
 *
 *   run 1     Each operation is put into the stream when it is called. The libraries load what they need, and we learn
 *             which plans belong to the step.
 *   run 2     The same calls are recorded as a CUDA graph, which is then launched.
 *   run 3 ... The graph is launched: one call, whatever the number of layers.
 *
 * What changes from step to step (learning rate, seed, number of the step) is read from c->now, in device memory. If
 * parameters may have changed since the last run, all packed copies of weights (weights.c) are renewed by one launch
 * before a recorded step. A recorded training step ends with one launch that reads the packed gradients, updates the
 * parameters and renews the copies. */
#include "cuda.h"

#include <stdlib.h>

/* What sgd was called with. */
typedef struct sgd_call {
    float *value, *velocity;
    const float *grad;
    int64_t count; /* 0: it was not called */
} sgd_call;

/* Tables in device memory for sgd_pieces (kernels.h). */
typedef struct sgd_tables {
    sgd_piece *piece;
    sgd_chunk *chunk;
    int n_chunks;
} sgd_tables;

struct cuda_recording {
    cuda_recording *next;
    step_handle *handle; /* the caller's; its `record` points here */
    bool evaluation, capturing;
    int runs;
    cuda_plan **plan; /* those that run 1 ran */
    int n_plans, room;
    cudaGraphExec_t graph;
    weight_copy *copies; /* of the plans' weights: a table in device memory */
    int n_copies;
    sgd_call optimised; /* in run 1 */
    sgd_tables tables;
    uint64_t packed_at; /* c->changes when the copies were last renewed */
};

/* --- SGD of a recorded step: which pieces, which chunks --- */

/* Fills a[] with the weights of all plans, as pieces: at most one for each plan. Returns how many. */
static int weight_pieces(cuda_plan *const *plans, int n_plans, const sgd_call *all, sgd_piece *a)
{
    int n = 0;
    for (int i = 0; i < n_plans; i++) {
        const cuda_weights *w = plans[i]->weights;
        const bool copied = w && w->copy.packed && w->copy.plain,
                   unpacked = w && w->grad.packed && w->grad.plain;
        if (!copied && !unpacked) continue;
        const int64_t at = copied ? w->copy.plain - all->value : w->grad.plain - all->grad;
        const weight_copy none = { 0 }, *shape = copied ? &w->copy : &w->grad;
        a[n++] = (sgd_piece){ .value = all->value + at,
                              .velocity = all->velocity + at,
                              .grad = all->grad + at,
                              .from = unpacked ? w->grad : none,
                              .to = copied ? w->copy : none,
                              .filters = shape->filters,
                              .channels = shape->channels,
                              .window = shape->window };
    }
    return n;
}

static int by_place(const void *a, const void *b)
{
    const float *x = ((const sgd_piece *)a)->value, *y = ((const sgd_piece *)b)->value;
    return (x > y) - (x < y);
}

static int64_t piece_count(const sgd_piece *p)
{
    return (int64_t)p->filters * p->channels * p->window;
}

/* Parameters [begin, end), which have neither packed gradients nor packed copies. */
static sgd_piece plain_piece(const sgd_call *all, int64_t begin, int64_t end)
{
    return (sgd_piece){ .value = all->value + begin,
                        .velocity = all->velocity + begin,
                        .grad = all->grad + begin,
                        .filters = 1,
                        .channels = (int)(end - begin),
                        .window = 1 };
}

/* Puts plain pieces between the n sorted weights, so that all parameters are covered. out has room for 2 n + 1.
 * Returns how many pieces there are. */
static int fill_gaps(const sgd_call *all, const sgd_piece *weights, int n, sgd_piece *out)
{
    int pieces = 0;
    int64_t done = 0;
    for (int i = 0; i < n; i++) {
        const int64_t at = weights[i].value - all->value;
        if (at > done) out[pieces++] = plain_piece(all, done, at);
        out[pieces++] = weights[i];
        done = at + piece_count(&weights[i]);
    }
    if (all->count > done) out[pieces++] = plain_piece(all, done, all->count);
    return pieces;
}

static int pairs_of(const sgd_piece *p)
{
    return p->filters * p->channels;
}

/* All pieces cut into chunks. The caller frees. */
static status make_chunks(const sgd_piece *piece, int n, sgd_chunk **out, int *n_chunks)
{
    status st = OK;
    int at = 0;
    *n_chunks = 0;
    for (int i = 0; i < n; i++) {
        const int most = sgd_chunk_pairs(piece[i].window);
        *n_chunks += (pairs_of(&piece[i]) + most - 1) / most;
    }
    TRY_ALLOC(*out, calloc((size_t)*n_chunks + 1, sizeof **out));
    for (int i = 0; i < n; i++)
        for (int first = 0; first < pairs_of(&piece[i]); first += sgd_chunk_pairs(piece[i].window))
            (*out)[at++] = (sgd_chunk){ i, first };
out:
    return st;
}

/* A copy of a table in device memory. Free *out with cudaFree, also after a failure. */
static status upload_table(cuda *c, const void *host, size_t bytes, void **out)
{
    status st = OK;
    void *table = NULL;
    TRY(c->base.alloc(&c->base, bytes, &table));
    *out = table;
    TRY(c->base.upload(&c->base, table, host, bytes));
out:
    return st;
}

/* What was made before a failure is in *out, too. */
static status make_sgd_tables(cuda *c, const cuda_recording *r, sgd_tables *out)
{
    status st = OK;
    sgd_piece *weights = NULL, *pieces = NULL;
    sgd_chunk *chunks = NULL;
    int n_chunks = 0;
    TRY_ALLOC(weights, calloc((size_t)r->n_plans + 1, sizeof *weights));
    TRY_ALLOC(pieces, calloc(2 * (size_t)r->n_plans + 1, sizeof *pieces));
    const int n = weight_pieces(r->plan, r->n_plans, &r->optimised, weights);
    qsort(weights, (size_t)n, sizeof *weights, by_place);
    const int n_pieces = fill_gaps(&r->optimised, weights, n, pieces);
    TRY(make_chunks(pieces, n_pieces, &chunks, &n_chunks));
    TRY(upload_table(c, pieces, (size_t)n_pieces * sizeof *pieces, (void **)&out->piece));
    TRY(upload_table(c, chunks, (size_t)n_chunks * sizeof *chunks, (void **)&out->chunk));
    /* The first launch of a kernel may have to load it, which cannot be recorded: so launch it once, with no chunks. */
    TRY_CUDA(sgd_pieces(c->stream, c->now, out->piece, out->chunk, 0));
    out->n_chunks = n_chunks;
out:
    free(weights);
    free(pieces);
    free(chunks);
    return st;
}

/* --- recordings --- */

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
    if (r->tables.piece) cudaFree(r->tables.piece);
    if (r->tables.chunk) cudaFree(r->tables.chunk);
    free(r->plan);
    free(r);
}

/* If a step failed in the middle, the stream is still recording. */
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

static bool runs(const cuda_recording *r, const cuda_plan *p)
{
    for (int i = 0; i < r->n_plans; i++)
        if (r->plan[i] == p) return true;
    return false;
}

/* Takes the recording out of the list and frees it. */
static void drop(cuda *c, cuda_recording *r)
{
    cuda_recording **at = &c->recordings;
    while (*at != r) at = &(*at)->next;
    if (c->current == r) end_broken_step(c);
    cudaStreamSynchronize(c->stream);
    *at = r->next;
    forget(r);
}

void cuda_forget_plan(cuda *c, const cuda_plan *p)
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

status cuda_recording_add(cuda_plan *p)
{
    status st = OK;
    cuda_recording *r = p->cuda->current;
    if (!r || r->runs > 0 || runs(r, p)) return OK;
    if (r->n_plans == r->room) {
        cuda_plan **more;
        TRY_ALLOC(more, realloc(r->plan, (size_t)(2 * r->room + 16) * sizeof *more));
        r->plan = more;
        r->room = 2 * r->room + 16;
    }
    r->plan[r->n_plans++] = p;
out:
    return st;
}

/* After run 1. */
static status make_tables(cuda *c, cuda_recording *r)
{
    status st = OK;
    weight_copy *copies = NULL;
    TRY_ALLOC(copies, calloc((size_t)r->n_plans + 1, sizeof *copies));
    for (int i = 0; i < r->n_plans; i++) {
        const cuda_weights *w = r->plan[i]->weights;
        if (w && w->copy.packed && w->copy.plain) copies[r->n_copies++] = w->copy;
    }
    if (r->n_copies) TRY(upload_table(c, copies, (size_t)r->n_copies * sizeof *copies, (void **)&r->copies));
    if (r->optimised.count) TRY(make_sgd_tables(c, r, &r->tables));
out:
    free(copies);
    return st;
}

/* Before a recorded step runs. */
static status renew_copies(cuda *c, cuda_recording *r)
{
    status st = OK;
    if (r->packed_at == c->changes) return OK;
    if (r->n_copies) TRY_CUDA(weights_pack(c->stream, r->copies, r->n_copies, c->device.multiProcessorCount));
    r->packed_at = c->changes;
out:
    return st;
}

/* --- the backend's functions --- */

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
        if (!evaluation) r->packed_at = ++c->changes; /* parameters change, and the copies with them */
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
        TRY_CUDA(sgd_pieces(c->stream, c->now, r->tables.piece, r->tables.chunk, r->tables.n_chunks));
    else
        TRY_CUDA(sgd(c->stream, c->now, value, grad, velocity, count));
    c->changes++;
    if (recording) r->packed_at = c->changes;
    if (r && r->runs == 0) r->optimised = (sgd_call){ value, velocity, grad, count };
out:
    return st;
}
