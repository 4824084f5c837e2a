/* nets/places.c -- where the values, gradients and scratch of a case lie in memory. What is never alive at the same time
 * shares memory.
 *
 * Time, for T nodes: forward of node i runs at i, its backward at 2T - 1 - i. A value lives from its producer to its last
 * reader. If backward reads it too (op_needs), it is kept until then, or recomputed from values that are kept: this costs
 * a pass over memory, and saves keeping most outputs of BN. A gradient lives from its first writer to the backward of its
 * producer, `saved` from forward to backward of the node, scratch for one call. */
#include "net_private.h"

#include "../core/base/minmax.h"
#include "../core/device/arena.h"

#include <stdlib.h>

static int forward_time(int node)
{
    return node;
}
static int backward_time(const net *n, int node)
{
    return 2 * n->n_nodes - 1 - node;
}
/* For each value the last node in forward order that reads it. Its backward is the first to write the gradient. */
static void last_readers(const net *n, const net_compiled_case *c, int *last)
{
    for (int v = 0; v < n->n_values; v++) last[v] = NONE;
    for (int i = 0; i < n->n_nodes; i++) {
        if (c->node[i].x != NONE) last[c->node[i].x] = i;
        if (c->node[i].z != NONE) last[c->node[i].z] = i;
    }
}

/* The node that computes this value in this case; NONE: it is the image, or lies inside a fused pair. */
static int producer_of(const net *n, const net_compiled_case *c, int value)
{
    const int producer = n->value[value].producer;
    return producer == NONE || c->node[producer].absent ? NONE : producer;
}

/* Is value v still in its place when the backward of `node` begins? It is kept if an earlier node reads it in backward,
 * which comes later, and it is not recomputed. recompute_at is known for the values before. */
static bool is_kept(const net_compiled_case *c, const int *recompute_at, int v, int node)
{
    bool read_later = false;
    for (int i = 0; i < node; i++) read_later |= c->node[i].x == v && c->node[i].needs.backward_x;
    return read_later && recompute_at[v] == NONE;
}

/* For each value the node whose backward has it recomputed; NONE: it is kept, or backward does not read it. If several
 * nodes read it, the last one decides for all: its backward comes first. The values from which it is recomputed must
 * be kept until then for another reader. */
static void find_recomputed(const net *n, net_compiled_case *c, int *recompute_at)
{
    for (int v = 0; v < n->n_values; v++) recompute_at[v] = NONE;
    for (int i = 0; i < n->n_nodes && c->which.training; i++) {
        const int x = c->node[i].x, producer = x == NONE ? NONE : producer_of(n, c, x);
        if (!c->node[i].needs.backward_x || producer == NONE || !c->node[producer].needs.recompute) continue;
        const net_plan *p = &c->node[producer];
        const bool can =
            is_kept(c, recompute_at, p->x, i) && (p->z == NONE || is_kept(c, recompute_at, p->z, i));
        recompute_at[x] = can ? i : NONE;
    }
    for (int v = 0; v < n->n_values; v++)
        if (recompute_at[v] != NONE) c->node[recompute_at[v]].recompute_x = true;
}

/* Memory for the value from its producer to its last reader. If it is recomputed, *r ends with forward, and *recomputed
 * is from there to its last reader in backward. */
static void value_requests(const net *n, const net_compiled_case *c, int v, int recompute_at,
                           arena_request *r, arena_request *recomputed)
{
    shape4 s = n->value[v].shape;
    const int producer = n->value[v].producer;
    int last = NONE; /* in backward */
    s.n = c->which.batch;
    *r = (arena_request){ .bytes = n->device->value_bytes(n->device, s, n->type) };
    r->first = r->last = producer == NONE ? 0 : forward_time(producer);
    if (producer != NONE && c->node[producer].absent) r->bytes = 0;
    for (int i = 0; i < n->n_nodes; i++) {
        if (c->node[i].x != v && c->node[i].z != v) continue;
        r->last = max_int(r->last, forward_time(i));
        if (c->which.training && c->node[i].x == v && c->node[i].needs.backward_x)
            last = max_int(last, backward_time(n, i));
    }
    if (c->which.training && producer != NONE && c->node[producer].needs.backward_y)
        last = max_int(last, backward_time(n, producer));
    *recomputed = (arena_request){ 0 };
    if (recompute_at == NONE)
        r->last = max_int(r->last, last);
    else
        *recomputed =
            (arena_request){ .bytes = r->bytes, .first = backward_time(n, recompute_at), .last = last };
}

/* A result takes the place of the summand z if the operation can do that and z is not read afterwards. over[y] is the
 * value whose place y takes, or y itself. Only in evaluation. r: the requests of the values. */
static void place_over_summands(const net *n, const net_compiled_case *c, arena_request *r, int *over)
{
    for (int v = 0; v < n->n_values; v++) over[v] = v;
    for (int i = 0; i < n->n_nodes && !c->which.training; i++) {
        const net_plan *d = &c->node[i];
        if (!d->needs.y_over_z || d->z == d->x || r[d->z].last > forward_time(i)) continue;
        over[d->y] = over[d->z];
        r[d->y].bytes = 0;
        r[over[d->y]].last = max_int(r[over[d->y]].last, r[d->y].last);
    }
}

/* The same for gradients: the gradient of x takes the place of that of y where one node alone reads x. over[x] is the
 * value whose gradient's place it takes, or x itself. r: the requests of the gradients. Backward begins at the last node. */
static void place_over_gradients(const net *n, const net_compiled_case *c, arena_request *r, int *over)
{
    for (int v = 0; v < n->n_values; v++) over[v] = v;
    for (int i = n->n_nodes - 1; i >= 0; i--) {
        const net_plan *d = &c->node[i];
        int readers = 0;
        for (int k = 0; k < n->n_nodes; k++) readers += (c->node[k].x == d->x) + (c->node[k].z == d->x);
        if (!d->needs.dx_over_dy || !c->has_grad[d->x] || readers != 1) continue;
        over[d->x] = over[d->y];
        r[d->x].bytes = 0;
        r[over[d->x]].last = max_int(r[over[d->x]].last, r[d->x].last);
    }
}

/* Scratch of node i. If its backward has x recomputed first, that uses the same scratch. */
static void scratch_requests(const net *n, const net_compiled_case *c, int i, arena_request *forward,
                             arena_request *backward)
{
    const net_plan *p = &c->node[i];
    *forward = (arena_request){ p->needs.scratch, forward_time(i), forward_time(i), 0 };
    *backward = (arena_request){ 0, backward_time(n, i), backward_time(n, i), 0 };
    if (!c->which.training) return;
    backward->bytes = p->needs.scratch;
    if (p->recompute_x)
        backward->bytes = max_size(backward->bytes, c->node[n->value[p->x].producer].needs.scratch);
}

static arena_request grad_request(const net *n, const net_compiled_case *c, int v, size_t bytes,
                                  int first_writer)
{
    const int producer = n->value[v].producer;
    if (!c->has_grad[v]) return (arena_request){ 0 };
    return (arena_request){ .bytes = bytes,
                            .first = backward_time(n, first_writer),
                            .last = backward_time(
                                n, producer == NONE ? 0 : producer) }; /* the image's: to the end */
}

/* The arena ACT holds three pieces for each value and two for each node. */
enum { REQUEST_VALUE, REQUEST_RECOMPUTED, REQUEST_GRAD, PER_VALUE };
enum { REQUEST_FORWARD, REQUEST_BACKWARD, PER_NODE };

typedef struct act_places {
    int *last, *recompute_at, *over, *grad_over; /* [values]: results of the functions above */
} act_places;

static void act_requests(const net *n, net_compiled_case *c, arena_request *r, act_places p)
{
    arena_request *of_nodes = r + PER_VALUE * n->n_values;
    last_readers(n, c, p.last);
    find_recomputed(n, c, p.recompute_at);
    for (int v = 0; v < n->n_values; v++) {
        value_requests(n, c, v, p.recompute_at[v], &r[v], &r[REQUEST_RECOMPUTED * n->n_values + v]);
        c->has_grad[v] =
            c->which.training && p.last[v] != NONE && (n->value[v].producer != NONE || c->which.frozen);
        r[REQUEST_GRAD * n->n_values + v] = grad_request(n, c, v, r[v].bytes, p.last[v]);
    }
    for (int i = 0; i < n->n_nodes; i++)
        scratch_requests(n, c, i, &of_nodes[i], &of_nodes[REQUEST_BACKWARD * n->n_nodes + i]);
    place_over_summands(n, c, r, p.over);
    place_over_gradients(n, c, r + REQUEST_GRAD * n->n_values, p.grad_over);
}

/* Sizes are rounded up to the device's alignment, so that all places are multiples of it. */
static status plan_arena(const net *n, arena_request *r, int count, size_t *total)
{
    const size_t a = n->device->alignment ? n->device->alignment : ARENA_ALIGN;
    for (int i = 0; i < count; i++) r[i].bytes = (r[i].bytes + a - 1) / a * a;
    return arena_plan(r, count, total);
}

static status place_values(net *n, net_compiled_case *c, size_t *total)
{
    status st = OK;
    arena_request *r = NULL;
    int *work = NULL;
    const int V = n->n_values, N = n->n_nodes;
    TRY_ALLOC(r, calloc((size_t)(PER_VALUE * V + PER_NODE * N), sizeof *r));
    TRY_ALLOC(work, calloc(4 * (size_t)V, sizeof *work));
    TRY_ALLOC(c->value, calloc((size_t)V, sizeof *c->value));
    TRY_ALLOC(c->value_in_backward, calloc((size_t)V, sizeof *c->value_in_backward));
    TRY_ALLOC(c->grad, calloc((size_t)V, sizeof *c->grad));
    TRY_ALLOC(c->has_grad, calloc((size_t)V, sizeof *c->has_grad));
    const act_places p = { work, work + V, work + 2 * V, work + 3 * V };
    act_requests(n, c, r, p);
    TRY(plan_arena(n, r, PER_VALUE * V + PER_NODE * N, total));
    for (int v = 0; v < V; v++) {
        c->value[v] = r[p.over[v]].offset;
        c->value_in_backward[v] =
            p.recompute_at[v] == NONE ? c->value[v] : r[REQUEST_RECOMPUTED * V + v].offset;
        c->grad[v] = r[REQUEST_GRAD * V + p.grad_over[v]].offset;
    }
    for (int i = 0; i < N; i++) {
        c->node[i].scratch[0] = r[PER_VALUE * V + i].offset;
        c->node[i].scratch[1] = r[PER_VALUE * V + REQUEST_BACKWARD * N + i].offset;
        c->node[i].dx_add = c->node[i].x != NONE && p.last[c->node[i].x] != i;
        c->node[i].dz_add = c->node[i].z != NONE && p.last[c->node[i].z] != i;
    }
out:
    free(work);
    free(r);
    return st;
}

static status place_saved(net *n, net_compiled_case *c, size_t *total)
{
    status st = OK;
    arena_request *r;
    TRY_ALLOC(r, calloc((size_t)n->n_nodes, sizeof *r));
    for (int i = 0; i < n->n_nodes; i++)
        r[i] = (arena_request){ .bytes = c->node[i].needs.saved,
                                .first = forward_time(i),
                                .last = c->which.training ? backward_time(n, i) : forward_time(i) };
    TRY(plan_arena(n, r, n->n_nodes, total));
    for (int i = 0; i < n->n_nodes; i++) c->node[i].saved = r[i].offset;
out:
    free(r);
    return st;
}

status net_place(net *n, net_compiled_case *c, size_t *act, size_t *saved)
{
    status st = OK;
    TRY(place_values(n, c, act));
    TRY(place_saved(n, c, saved));
out:
    return st;
}
