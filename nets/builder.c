/* nets/builder.c -- see builder.h. */
#include "builder.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

name name_format(const char *format, ...)
{
    name n;
    va_list args;
    va_start(args, format);
    vsnprintf(n.text, sizeof n.text, format, args);
    va_end(args);
    return n;
}

status net_grow(void *array, int n, size_t size)
{
    status st = OK;
    void **p = array;
    if (n & (n - 1)) goto out; /* capacities are powers of two: 1, 2, 4, ... */
    void *q;
    TRY_ALLOC(q, realloc(*p, (n ? 2 * (size_t)n : 1) * size));
    *p = q;
out:
    if (st == OK) memset((char *)*p + (size_t)n * size, 0, size);
    return st;
}

shape4 shape_of(const net_builder *b, ref r)
{
    return b->st == OK ? b->net->value[r].shape : (shape4){ 1, 1, 1, 1 };
}

static status add_params(net_builder *b, net_node *node)
{
    status st = OK;
    net *n = b->net;
    param_spec spec[OP_MAX_PARAMS];
    node->param = n->n_params;
    node->n_params = layer_params(&node->op, spec);
    for (int i = 0; i < node->n_params; i++) {
        TRY(net_grow(&n->param, n->n_params, sizeof *n->param));
        net_param *p = &n->param[n->n_params++];
        if (spec[i].init == PARAM_UNIFORM && i == 0)
            spec[i].init = node->op.kind == OP_CONV ? b->conv_init : b->linear_init;
        if (i == 1 && node->op.kind == OP_CONV && b->zero_conv_bias) spec[i].init = PARAM_ZERO;
        if (i == 1 && node->op.kind == OP_LINEAR && b->zero_linear_bias) spec[i].init = PARAM_ZERO;
        snprintf(p->name, sizeof p->name, "%s.%s", node->name, spec[i].suffix);
        p->spec = spec[i];
        p->count = param_count(&spec[i]);
    }
out:
    return st;
}

/* Of the node before; pooling and the like have no names. */
static const char *last_name(const net *n)
{
    for (int i = n->n_nodes - 1; i >= 0; i--)
        if (*n->node[i].name) return n->node[i].name;
    return "the image";
}

/* Appends a node with its output value; infers the shape. */
static ref add_node(net_builder *b, const char *node_name, op o, ref x, ref z)
{
    status st = OK;
    net *n = b->net;
    if (b->st != OK) return 0;
    o.x = n->value[x].shape;
    o.type = F32;
    TRY(layer_of(o.kind)->infer(&o));
    TRY(net_grow(&n->value, n->n_values, sizeof *n->value));
    TRY(net_grow(&n->node, n->n_nodes, sizeof *n->node));
    net_node *node = &n->node[n->n_nodes++];
    snprintf(node->name, sizeof node->name, "%s", node_name);
    node->op = o;
    node->x = x;
    node->z = z;
    node->y = n->n_values++;
    n->value[node->y] = (net_value){ o.y, n->n_nodes - 1 };
    TRY(add_params(b, node));
    return node->y;
out:
    b->st = *node_name ? status_prefix(st, "%s, %s", n->arch, node_name)
                       : status_prefix(st, "%s, after %s", n->arch, last_name(n));
    return 0;
}

ref conv(net_builder *b, const char *node_name, ref x, conv_cfg c)
{
    op o = { .kind = OP_CONV,
             .conv = { .out = c.out,
                       .kernel = c.kernel,
                       .stride = c.stride ? c.stride : 1,
                       .pad = c.kernel / 2,
                       .groups = c.groups ? c.groups : 1,
                       .bias = c.bias } };
    return add_node(b, node_name, o, x, NONE);
}

ref bn_add(net_builder *b, const char *node_name, ref x, ref z, activation act)
{
    op o = { .kind = OP_BNACT, .bnact = { .add = z != NONE, .act = act, .eps = 1e-5f, .momentum = 0.1f } };
    return add_node(b, node_name, o, x, z);
}

ref bn(net_builder *b, const char *node_name, ref x, activation act)
{
    return bn_add(b, node_name, x, NONE, act);
}

ref max_pool(net_builder *b, ref x, int kernel)
{
    op o = { .kind = OP_POOL, .pool = { .kind = POOL_MAX, .kernel = kernel, .stride = kernel } };
    return add_node(b, "", o, x, NONE);
}

ref global_average_pool(net_builder *b, ref x)
{
    op o = { .kind = OP_POOL, .pool = { .kind = POOL_AVG_GLOBAL } };
    return add_node(b, "", o, x, NONE);
}

ref linear(net_builder *b, const char *node_name, ref x, int out, activation act)
{
    op o = { .kind = OP_LINEAR, .linear = { .out = out, .act = act } };
    return add_node(b, node_name, o, x, NONE);
}

ref linear_as_conv(net_builder *b, const char *node_name, ref x, int out)
{
    ref y = linear(b, node_name, x, out, ACT_NONE);
    if (b->st ==
        OK) { /* a 1x1 convolution of a 1x1 image: the same sum, but PyTorch's shape has 4 dimensions */
        param_spec *w = &b->net->param[b->net->node[b->net->n_nodes - 1].param].spec;
        w->rank = 4;
        w->shape[2] = w->shape[3] = 1;
        w->init = b->conv_init;
    }
    return y;
}

ref dropout(net_builder *b, ref x, float p)
{
    op o = { .kind = OP_DROPOUT, .dropout = { .p = p, .layer = b->n_dropouts++ } };
    return add_node(b, "", o, x, NONE);
}

ref shortcut_pad(net_builder *b, ref x, int out, int stride)
{
    op o = { .kind = OP_SHORTCUT, .shortcut = { .out = out, .stride = stride } };
    return add_node(b, "", o, x, NONE);
}

ref shortcut_conv(net_builder *b, const char *block, ref x, int out, int stride)
{
    ref y = conv(b, name_format("%s.shortcut.0", block).text, x,
                 (conv_cfg){ .out = out, .kernel = 1, .stride = stride });
    return bn(b, name_format("%s.shortcut.1", block).text, y, ACT_NONE);
}

static status add_hook(net *n, const char *hook_name, ref value, unsigned sets)
{
    status st = OK;
    int *values = n->hook_value;
    TRY(net_grow(&n->hook, n->n_hooks, sizeof *n->hook));
    TRY(net_grow(&values, n->n_hooks, sizeof *values));
    n->hook_value = values;
    net_hook *h = &n->hook[n->n_hooks];
    snprintf(h->name, sizeof h->name, "%s", hook_name);
    h->dim = shape_image(n->value[value].shape);
    for (int i = 0; i < n->n_nodes; i++) h->macs += layer_macs(&n->node[i].op);
    h->sets = sets;
    n->hook_value[n->n_hooks++] = value;
out:
    return st;
}

void hook(net_builder *b, const char *hook_name, ref value, unsigned sets)
{
    if (b->st == OK) b->st = add_hook(b->net, hook_name, value, sets);
}

void hook_raw(net_builder *b, const char *hook_name, ref value, unsigned sets)
{
    hook(b, name_format("%s.raw", hook_name).text, value, sets);
}

ref conv_bn(net_builder *b, const char *conv_name, const char *bn_name, ref x, conv_cfg c, activation act,
            unsigned sets, unsigned raw_sets)
{
    ref y = conv(b, conv_name, x, c);
    hook_raw(b, conv_name, y, raw_sets);
    y = bn(b, bn_name, y, act);
    hook(b, conv_name, y, sets);
    return y;
}

bool unit_begin(net_builder *b, const char *unit_name, int stage, const char *fixed)
{
    status st = OK;
    net *n = b->net;
    if (b->st != OK) return false;
    for (unsigned i = 0; i < b->n_remove; i++) {
        if (strcmp(b->remove[i], unit_name)) continue;
        if (fixed) FAIL(ERR_USAGE, "net.remove: %s cannot be removed from %s: %s", unit_name, n->arch, fixed);
        if (b->remove_seen[i]) FAIL(ERR_USAGE, "net.remove: %s is named twice", unit_name);
        b->remove_seen[i] = true;
        return false;
    }
    TRY(net_grow(&n->unit, n->n_units, sizeof *n->unit));
    b->unit = n->n_units++;
    net_unit *u = &n->unit[b->unit];
    snprintf(u->name, sizeof u->name, "%s", unit_name);
    u->stage = stage;
    u->removable = !fixed;
    u->reason = fixed;
    u->layer = n->n_nodes;
    return true;
out:
    b->st = st;
    return false;
}

void unit_end(net_builder *b)
{
    net *n = b->net;
    if (b->st != OK || b->unit == NONE) return;
    net_unit *u = &n->unit[b->unit];
    u->n_layers = n->n_nodes - u->layer;
    for (int i = u->layer; i < n->n_nodes; i++) {
        const net_node *node = &n->node[i];
        u->macs += layer_macs(&node->op);
        for (int p = node->param; p < node->param + node->n_params; p++)
            if (n->param[p].spec.trainable) u->params += n->param[p].count;
    }
    b->unit = NONE;
}
