/* nets/join.c -- what a case runs: for every node of the net an operation of the device. Where the device can and nobody
 * looks at what lies between, one operation does another's work along with its own, and a bias that BN takes away
 * again is left out. */
#include "net_private.h"

#include <stdlib.h>

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
        const bool normalises = d->op.kind == OP_BNACT || d->op.kind == OP_BNACT_POOL;
        if (!normalises || conv == NONE || n->node[conv].op.kind != OP_CONV) continue;
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

status net_plan_nodes(net *n, net_compiled_case *c)
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
