/* nets/compile.c -- from graph to something that runs: plan every node for every case, lay values out in memory
 * by liveness, allocate once.
 *
 * Time, for T nodes: forward of node i at i, its backward at 2T - 1 - i. A value lives from its producer to its last
 * reader; where backward reads it again (op_needs), it is kept, or it is made again from what is kept, which costs
 * a pass over memory and spares most of what BN leaves behind. A gradient lives from its first writer to its
 * producer's backward, `saved` from forward to backward of the node, scratch for one call. */
#include "graph.h"

#include "../core/arena.h"

#include <stdlib.h>
#include <string.h>

static int forward_time(int node)
{
    return node;
}
static int backward_time(const net *n, int node)
{
    return 2 * n->n_nodes - 1 - node;
}
static int max_int(int a, int b)
{
    return a > b ? a : b;
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}
static size_t aligned(size_t bytes)
{
    return (bytes + ARENA_ALIGN - 1) / ARENA_ALIGN * ARENA_ALIGN;
}

/* ---- plans ---- */

static op op_for(const net_node *node, net_case which, dtype activations)
{
    op o = node->op;
    o.training = which.training;
    o.type = activations;
    o.x.n = o.y.n = which.batch;
    if (o.kind == OP_LOSS && (!which.training || which.frozen)) o.loss.smoothing = 0;
    if (o.kind == OP_DROPOUT && which.frozen) o.dropout.p = 0;
    if (o.kind == OP_BNACT) o.bnact.frozen = which.frozen;
    return o;
}

bool net_op(const net *n, int index, net_case which, dtype activations, op *out)
{
    if (index >= n->n_nodes) return false;
    *out = op_for(&n->node[index], which, activations);
    return true;
}

/* The node as the net has it. */
static net_plan alone(const net *n, const net_compiled_case *c, int index)
{
    const net_node *d = &n->node[index];
    net_plan p = { .op = op_for(d, c->which, n->type), .x = d->x, .z = d->z, .y = d->y, .layer = index };
    for (int i = 0; i < OP_MAX_PARAMS; i++) p.param[i] = i < d->n_params ? d->param + i : NONE;
    p.bias = NONE;
    return p;
}

/* Does anything see this value but one operation? Taps are for evaluation. */
static bool has_one_reader(const net *n, const net_compiled_case *c, int value)
{
    int readers = 0;
    for (int i = 0; i < n->n_nodes; i++) readers += (n->node[i].x == value) + (n->node[i].z == value);
    for (int t = 0; t < n->n_taps && !c->which.training; t++) readers += n->tap[t].value == value;
    return readers == 1;
}

/* The operation that does both; false: there is none. */
static bool join_ops(const op *first, const op *then, op *both)
{
    *both = *first;
    both->y = then->y;
    if (!first->training && first->kind == OP_CONV && then->kind == OP_BNACT) {
        both->kind = OP_CONV_BNACT;
        both->conv_bnact = (conv_bnact_desc){ first->conv, then->bnact };
        return true;
    }
    if (first->training && first->kind == OP_BNACT && then->kind == OP_POOL) {
        both->kind = OP_BNACT_POOL;
        both->bnact_pool = (bnact_pool_desc){ first->bnact, then->pool };
        return first->bnact.add == false && then->pool.kind == POOL_MAX;
    }
    return false;
}

/* A node computes the one before it along with itself, where the device can and nobody wants to see what lies between. */
static void join(net *n, net_compiled_case *c)
{
    for (int i = 0; i < n->n_nodes; i++) c->node[i] = alone(n, c, i);
    for (int i = 0; i < n->n_nodes; i++) {
        net_plan *then = &c->node[i];
        const int before = n->value[then->x].producer;
        op both;
        if (before == NONE || c->node[before].absent) continue;
        net_plan *first = &c->node[before];
        if (!join_ops(&first->op, &then->op, &both) || !has_one_reader(n, c, then->x)) continue;
        if (n->device->unsupported(n->device, &both)) continue;
        const int behind = both.kind == OP_CONV_BNACT ? CONV_BNACT_BN : OP_MAX_PARAMS; /* a pool has none */
        for (int k = OP_MAX_PARAMS - 1; k >= 0; k--)
            then->param[k] = k < behind ? first->param[k] : then->param[k - behind];
        then->op = both;
        then->x = first->x;
        then->layer = before;
        *first = (net_plan){ .absent = true, .x = NONE, .z = NONE, .y = NONE, .layer = before, .bias = NONE };
    }
}

/* In training, BN takes away again what a bias adds: it need not be added, nor has it a gradient but rounding. */
static void leave_out_biases(const net *n, net_compiled_case *c)
{
    for (int i = 0; i < n->n_nodes; i++) {
        const net_plan *d = &c->node[i];
        if (!n->device->bias_free || !c->which.training || c->which.frozen || d->absent) continue;
        const int conv = n->value[d->x].producer;
        if (d->op.kind != OP_BNACT || conv == NONE || n->node[conv].op.kind != OP_CONV) continue;
        if (!has_one_reader(n, c, d->x)) continue;
        if (n->node[conv].op.conv.bias) c->node[i].bias = conv;
    }
}

static bool is_left_out(const net *n, const net_compiled_case *c, int conv)
{
    for (int i = conv + 1; i < n->n_nodes; i++)
        if (c->node[i].bias == conv) return true;
    return false;
}

/* The last reader in forward order is the first to write the gradient. */
static dx_use dx_of(const net *n, const net_compiled_case *c, int node)
{
    const int v = c->node[node].x;
    if (!c->which.training) return DX_ANY;
    if (n->value[v].producer == NONE && !c->which.frozen) return DX_NONE;
    for (int i = node + 1; i < n->n_nodes; i++)
        if (c->node[i].x == v || c->node[i].z == v) return DX_ADD;
    return DX_SET;
}

static status plan_nodes(net *n, net_compiled_case *c)
{
    status st = OK;
    TRY_ALLOC(c->node, calloc((size_t)n->n_nodes, sizeof *c->node));
    join(n, c);
    leave_out_biases(n, c);
    for (int i = 0; i < n->n_nodes; i++) {
        op *o = &c->node[i].op;
        if (c->node[i].absent) continue;
        o->dx = dx_of(n, c, i);
        if (o->kind == OP_CONV && is_left_out(n, c, i)) o->conv.bias = false;
        const char *why = n->device->unsupported(n->device, o);
        if (why) FAIL(ERR_USAGE, "device %s cannot run %s: %s", n->device->name, n->arch, why);
        TRY(n->device->plan(n->device, o, &c->node[i].plan, &c->node[i].needs));
    }
out:
    return st;
}

/* ---- liveness ---- */

/* For each value the last node in forward order that reads it: the first to write its gradient. */
static void last_readers(const net *n, const net_compiled_case *c, int *last)
{
    for (int v = 0; v < n->n_values; v++) last[v] = NONE;
    for (int i = 0; i < n->n_nodes; i++) {
        if (c->node[i].x != NONE) last[c->node[i].x] = i;
        if (c->node[i].z != NONE) last[c->node[i].z] = i;
    }
}

/* The node that makes this value in this case; NONE: the image, or what nobody makes. */
static int producer_of(const net *n, const net_compiled_case *c, int value)
{
    const int producer = n->value[value].producer;
    return producer == NONE || c->node[producer].absent ? NONE : producer;
}

/* Is value v where it was when the backward of `node` begins? again: as far as it is known for what comes before. */
static bool is_kept(const net_compiled_case *c, const int *again, int v, int node)
{
    bool wanted = false; /* by a later backward, one of an earlier node */
    for (int i = 0; i < node; i++) wanted |= c->node[i].x == v && c->node[i].needs.backward_x;
    return wanted && again[v] == NONE;
}

/* For each value the node whose backward has it made again; NONE: it is kept, or nobody wants it then. The reader
 * deepest in the net decides for all: its backward is the first to want the value, and there, at the latest, what
 * it is made from must still be kept, for others. */
static void find_again(const net *n, net_compiled_case *c, int *again)
{
    for (int v = 0; v < n->n_values; v++) again[v] = NONE;
    for (int i = 0; i < n->n_nodes && c->which.training; i++) {
        const int x = c->node[i].x, producer = x == NONE ? NONE : producer_of(n, c, x);
        if (!c->node[i].needs.backward_x || producer == NONE || !c->node[producer].needs.again) continue;
        const net_plan *p = &c->node[producer];
        const bool can = is_kept(c, again, p->x, i) && (p->z == NONE || is_kept(c, again, p->z, i));
        again[x] = can ? i : NONE;
    }
    for (int v = 0; v < n->n_values; v++)
        if (again[v] != NONE) c->node[again[v]].x_again = true;
}

/* The value from its producer to its last reader; *later: from where backward has it made again. */
static void value_requests(const net *n, const net_compiled_case *c, int v, int again, arena_request *r,
                           arena_request *later)
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
    *later = (arena_request){ 0 };
    if (again == NONE)
        r->last = max_int(r->last, last);
    else
        *later = (arena_request){ .bytes = r->bytes, .first = backward_time(n, again), .last = last };
}

/* Where a result may lie over what is added to it, and nobody reads that afterwards, it does: over[y] is the
 * value whose place y takes, or y itself. Only in evaluation: requests are those of values. */
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

/* The same for gradients: over[x] is the value over whose gradient that of x is written, by the one node that reads x,
 * or x itself. Requests are those of gradients; backward comes to the last node first. */
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

/* Scratch of node i; its backward may have x made again first. */
static void scratch_requests(const net *n, const net_compiled_case *c, int i, arena_request *forward,
                             arena_request *backward)
{
    const net_plan *p = &c->node[i];
    *forward = (arena_request){ p->needs.scratch, forward_time(i), forward_time(i), 0 };
    *backward = (arena_request){ 0, backward_time(n, i), backward_time(n, i), 0 };
    if (!c->which.training) return;
    backward->bytes = p->needs.scratch;
    if (p->x_again) backward->bytes = larger(backward->bytes, c->node[n->value[p->x].producer].needs.scratch);
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

/* What lies in ACT: for each value three requests, for each node two. */
enum { REQUEST_VALUE, REQUEST_LATER, REQUEST_GRAD, PER_VALUE };
enum { REQUEST_FORWARD, REQUEST_BACKWARD, PER_NODE };

typedef struct act_places {
    int *last, *again, *over, *grad_over; /* [values]: what the functions above answer */
} act_places;

static void act_requests(const net *n, net_compiled_case *c, arena_request *r, act_places p)
{
    arena_request *of_nodes = r + PER_VALUE * n->n_values;
    last_readers(n, c, p.last);
    find_again(n, c, p.again);
    for (int v = 0; v < n->n_values; v++) {
        value_requests(n, c, v, p.again[v], &r[v], &r[REQUEST_LATER * n->n_values + v]);
        c->has_grad[v] =
            c->which.training && p.last[v] != NONE && (n->value[v].producer != NONE || c->which.frozen);
        r[REQUEST_GRAD * n->n_values + v] = grad_request(n, c, v, r[v].bytes, p.last[v]);
    }
    for (int i = 0; i < n->n_nodes; i++)
        scratch_requests(n, c, i, &of_nodes[i], &of_nodes[REQUEST_BACKWARD * n->n_nodes + i]);
    place_over_summands(n, c, r, p.over);
    place_over_gradients(n, c, r + REQUEST_GRAD * n->n_values, p.grad_over);
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
    TRY_ALLOC(c->later, calloc((size_t)V, sizeof *c->later));
    TRY_ALLOC(c->grad, calloc((size_t)V, sizeof *c->grad));
    TRY_ALLOC(c->has_grad, calloc((size_t)V, sizeof *c->has_grad));
    const act_places p = { work, work + V, work + 2 * V, work + 3 * V };
    act_requests(n, c, r, p);
    TRY(arena_plan(r, PER_VALUE * V + PER_NODE * N, total));
    for (int v = 0; v < V; v++) {
        c->value[v] = r[p.over[v]].offset;
        c->later[v] = p.again[v] == NONE ? c->value[v] : r[REQUEST_LATER * V + v].offset;
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
    TRY(arena_plan(r, n->n_nodes, total));
    for (int i = 0; i < n->n_nodes; i++) c->node[i].saved = r[i].offset;
out:
    free(r);
    return st;
}

static status compile_case(net *n, net_compiled_case *c)
{
    status st = OK;
    size_t act = 0, saved = 0;
    TRY(plan_nodes(n, c));
    TRY(place_values(n, c, &act));
    TRY(place_saved(n, c, &saved));
    for (int i = 0; i < n->n_nodes; i++) { /* another case may have its values there */
        c->node[i].cached = act;
        act += aligned(c->node[i].needs.cached);
    }
    n->used.act = larger(n->used.act, act);
    n->used.saved = larger(n->used.saved, saved);
    for (int i = 0; i < n->n_nodes; i++) n->used.packed += aligned(c->node[i].needs.packed);
out:
    return st;
}

/* ---- memory ---- */

static int64_t padded(int64_t count)
{
    const int64_t line = ARENA_ALIGN / (int64_t)sizeof(float);
    return (count + line - 1) / line * line;
}

/* Does any case change the parameters? Without one there are no gradients and no velocities. */
static bool learns(const net *n)
{
    for (int c = 0; c < n->n_cases; c++)
        if (n->compiled[c].which.training && !n->compiled[c].which.frozen) return true;
    return false;
}

static size_t param_bytes(const net *n)
{
    return (learns(n) ? 3 : 1) * (size_t)n->trainable * sizeof(float);
}

/* PARAM: all values, all gradients, all velocities, at equal offsets: one loop for the optimiser, one block for an
 * all-reduce. Running statistics apart: the optimiser must not see them. */
static status allocate_params(net *n)
{
    status st = OK;
    int64_t at = 0, at_buffer = 0;
    for (int i = 0; i < n->n_params; i++)
        *(n->param[i].spec.trainable ? &n->trainable : &n->buffers) += padded(n->param[i].count);
    n->used.param = param_bytes(n) + (size_t)n->buffers * sizeof(float);
    TRY(n->device->alloc(n->device, param_bytes(n), &n->arena_param));
    TRY(n->device->alloc(n->device, (size_t)n->buffers * sizeof(float), &n->arena_buffer));
    for (int i = 0; i < n->n_params; i++) {
        net_param *p = &n->param[i];
        if (p->spec.trainable) {
            p->value = (float *)n->arena_param + at;
            p->grad = learns(n) ? p->value + n->trainable : NULL;
            p->velocity = learns(n) ? p->grad + n->trainable : NULL;
            at += padded(p->count);
        } else {
            p->value = (float *)n->arena_buffer + at_buffer;
            at_buffer += padded(p->count);
        }
    }
out:
    return st;
}

static status allocate_rest(net *n)
{
    status st = OK;
    size_t batch = 0, at = 0;
    for (int i = 0; i < n->n_cases; i++) batch = larger(batch, (size_t)n->compiled[i].which.batch);
    TRY(n->device->alloc(n->device, n->used.act, &n->act));
    TRY(n->device->alloc(n->device, n->used.saved, &n->saved));
    TRY(n->device->alloc(n->device, n->used.packed, &n->packed));
    TRY(n->device->alloc(n->device, batch * sizeof(int32_t), (void **)&n->label));
    TRY(n->device->alloc(n->device, sizeof(loss_stats), (void **)&n->stats));
    TRY_ALLOC(n->label_staging, calloc(batch, sizeof(int32_t)));
    TRY_ALLOC(n->image_staging, calloc(batch * (size_t)shape_image(n->value[0].shape), sizeof(float)));
    for (int c = 0; c < n->n_cases; c++)
        for (int i = 0; i < n->n_nodes; i++) {
            n->compiled[c].node[i].packed = (char *)n->packed + at;
            at += aligned(n->compiled[c].node[i].needs.packed);
        }
out:
    return st;
}

/* Nets are compiled by one thread. */
static int next_key;

status net_compile(net *n, backend *b, dtype activations, const net_case *cases, int n_cases)
{
    status st = OK;
    if (n->device) FAIL(ERR_RUNTIME, "%s is already compiled", n->arch);
    n->device = b;
    n->type = activations;
    n->version = 1;
    n->current = NONE;
    n->images.chosen = NET_NOT_KEPT;
    TRY_ALLOC(n->compiled, calloc((size_t)n_cases, sizeof *n->compiled));
    n->n_cases = n_cases;
    n->first_key = next_key;
    next_key += NET_KEYS * n_cases;
    for (int i = 0; i < n_cases; i++) {
        n->compiled[i].which = cases[i];
        TRY(compile_case(n, &n->compiled[i]));
    }
    TRY(allocate_params(n));
    TRY(allocate_rest(n));
out:
    return st;
}

net_memory net_memory_used(const net *n)
{
    return n->used;
}

static void release_case(net *n, net_compiled_case *c)
{
    for (int i = 0; c->node && i < n->n_nodes; i++)
        if (c->node[i].plan) n->device->plan_free(c->node[i].plan);
    free(c->node);
    free(c->value);
    free(c->later);
    free(c->grad);
    free(c->has_grad);
}

static void release_memory(net *n, void *memory, size_t bytes)
{
    if (memory) n->device->release(n->device, memory, bytes);
}

void net_release(net *n)
{
    size_t batch = 0;
    if (!n->device) return;
    net_forget_images(n);
    for (int i = 0; i < n->n_cases; i++) {
        batch = larger(batch, (size_t)n->compiled[i].which.batch);
        release_case(n, &n->compiled[i]);
    }
    release_memory(n, n->arena_param, param_bytes(n));
    free(n->compiled);
    release_memory(n, n->arena_buffer, (size_t)n->buffers * sizeof(float));
    release_memory(n, n->act, n->used.act);
    release_memory(n, n->saved, n->used.saved);
    release_memory(n, n->packed, n->used.packed);
    release_memory(n, n->label, batch * sizeof(int32_t));
    release_memory(n, n->stats, sizeof(loss_stats));
    free(n->label_staging);
    free(n->image_staging);
}
