/* nets/fuse.c -- which operations a case runs on the device: one for every node of the net, with two exceptions. Two
 * neighbours run as one where the device can fuse them and nothing else reads what lies between. A convolution leaves
 * out its bias where the BN behind it would subtract the bias again. */
#include "net_private.h"

#include "../core/device/fusion.h"

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
static net_plan unfused(const net *n, const net_compiled_case *c, int index)
{
    const net_node *d = &n->node[index];
    net_plan p = { .op = op_for(d, c->which, n->type), .x = d->x, .z = d->z, .y = d->y, .layer = index };
    for (int i = 0; i < PLAN_MAX_PARAMS; i++) p.param[i] = i < d->n_params ? d->param + i : NONE;
    p.bias = NONE;
    return p;
}

/* Is this value read by exactly one operation, and by no tap? Taps see evaluation only. */
static bool has_one_reader(const net *n, const net_compiled_case *c, int value)
{
    int readers = 0;
    for (int i = 0; i < n->n_nodes; i++) readers += (n->node[i].x == value) + (n->node[i].z == value);
    for (int t = 0; t < n->n_taps && !c->which.training; t++) readers += n->tap[t].value == value;
    return readers == 1;
}

/* A fused plan has one z, that of its second operation. */
static bool can_fuse(const net *n, const net_compiled_case *c, const net_plan *first, const net_plan *then)
{
    const backend_fusion *f = n->device->fusion;
    return f && !first->absent && !first->fused && first->z == NONE && has_one_reader(n, c, then->x) &&
           !f->unsupported(n->device, &first->op, &then->op);
}

/* The second node of a fused pair runs both; the first is absent. */
static void fuse(const net *n, net_compiled_case *c)
{
    for (int i = 0; i < n->n_nodes; i++) c->node[i] = unfused(n, c, i);
    for (int i = 0; i < n->n_nodes; i++) {
        net_plan *then = &c->node[i];
        const int before = n->value[then->x].producer;
        if (before == NONE || !can_fuse(n, c, &c->node[before], then)) continue;
        net_plan *first = &c->node[before];
        for (int k = 0; k < OP_MAX_PARAMS; k++) {
            then->param[FUSED_PARAM + k] = then->param[k];
            then->param[k] = first->param[k];
        }
        then->fused = true;
        then->then = then->op;
        then->op = first->op;
        then->x = first->x;
        then->layer = before;
        *first = (net_plan){ .absent = true, .x = NONE, .z = NONE, .y = NONE, .layer = before, .bias = NONE };
    }
}

/* In training, BN subtracts the mean, and with it the bias of the convolution in front. So the bias need not be added, and
 * its gradient is zero but for rounding. */
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

/* Backward starts at the last node, so the last reader of a value is the first to write its gradient. */
static dx_use dx_of(const net *n, const net_compiled_case *c, int node)
{
    const int v = c->node[node].x;
    if (!c->which.training) return DX_ANY;
    if (n->value[v].producer == NONE && !c->which.frozen) return DX_NONE;
    for (int i = node + 1; i < n->n_nodes; i++)
        if (c->node[i].x == v || c->node[i].z == v) return DX_ADD;
    return DX_SET;
}

static status plan_node(const net *n, net_plan *p)
{
    status st = OK;
    backend *b = n->device;
    if (p->fused) {
        TRY(b->fusion->plan(b, &p->op, &p->then, &p->plan, &p->needs));
    } else {
        const char *why = b->unsupported(b, &p->op);
        if (why) FAIL(ERR_USAGE, "device %s cannot run %s: %s", b->name, n->arch, why);
        TRY(b->plan(b, &p->op, &p->plan, &p->needs));
    }
out:
    return st;
}

status net_plan_nodes(net *n, net_compiled_case *c)
{
    status st = OK;
    TRY_ALLOC(c->node, calloc((size_t)n->n_nodes, sizeof *c->node));
    fuse(n, c);
    leave_out_biases(n, c);
    for (int i = 0; i < n->n_nodes; i++) {
        net_plan *p = &c->node[i];
        if (p->absent) continue;
        p->op.dx = dx_of(n, c, i);
        if (p->op.kind == OP_CONV && is_left_out(n, c, i)) p->op.conv.bias = false;
        TRY(plan_node(n, p));
    }
out:
    return st;
}
