/* core/cuda/pieces.c -- SGD of a recorded step in one launch: the parameters as pieces (kernels.h), those with copies or
 * gradients in the libraries' order, and what lies between them. */
#include "cuda.h"

#include <stdlib.h>

/* Into a[], at most one for each plan. Returns how many. */
static int weights_of(plan *const *plans, int n_plans, const cuda_sgd_call *all, sgd_piece *a)
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

/* [begin, end) of all parameters, without copies. */
static sgd_piece plain_piece(const cuda_sgd_call *all, int64_t begin, int64_t end)
{
    return (sgd_piece){ .value = all->value + begin,
                        .velocity = all->velocity + begin,
                        .grad = all->grad + begin,
                        .filters = 1,
                        .channels = (int)(end - begin),
                        .window = 1 };
}

/* Pieces that cover all parameters, of n weights; room for 2 n + 1. Returns how many. */
static int fill_gaps(const cuda_sgd_call *all, const sgd_piece *weights, int n, sgd_piece *out)
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

status cuda_table(cuda *c, const void *host, size_t bytes, void **out)
{
    status st = OK;
    void *table = NULL;
    TRY(c->base.alloc(&c->base, bytes, &table));
    *out = table;
    TRY(c->base.upload(&c->base, table, host, bytes));
out:
    return st;
}

status cuda_pieces_make(cuda *c, plan *const *plans, int n_plans, const cuda_sgd_call *all, cuda_pieces *out)
{
    status st = OK;
    sgd_piece *weights = NULL, *pieces = NULL;
    sgd_chunk *chunks = NULL;
    int n_chunks = 0;
    TRY_ALLOC(weights, calloc((size_t)n_plans + 1, sizeof *weights));
    TRY_ALLOC(pieces, calloc(2 * (size_t)n_plans + 1, sizeof *pieces));
    const int n = weights_of(plans, n_plans, all, weights);
    qsort(weights, (size_t)n, sizeof *weights, by_place);
    const int n_pieces = fill_gaps(all, weights, n, pieces);
    TRY(make_chunks(pieces, n_pieces, &chunks, &n_chunks));
    TRY(cuda_table(c, pieces, (size_t)n_pieces * sizeof *pieces, (void **)&out->piece));
    TRY(cuda_table(c, chunks, (size_t)n_chunks * sizeof *chunks, (void **)&out->chunk));
    /* Once before it is recorded, as all other kernels: the first launch may load it. Of nothing. */
    TRY_CUDA(sgd_pieces(c->stream, c->now, out->piece, out->chunk, 0));
    out->n = n_chunks;
out:
    free(weights);
    free(pieces);
    free(chunks);
    return st;
}

void cuda_pieces_free(cuda_pieces *p)
{
    if (p->piece) cudaFree(p->piece);
    if (p->chunk) cudaFree(p->chunk);
    *p = (cuda_pieces){ 0 };
}
