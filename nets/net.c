/* nets/net.c -- what a net tells about itself: names, counts, hooks, units, parameters; taps. */
#include "net_private.h"

#include <stdlib.h>
#include <string.h>

void net_free(net *n)
{
    if (!n) return;
    net_release(n);
    for (unsigned i = 0; i < n->n_removed; i++) free(n->removed[i]);
    free(n->removed);
    free(n->value);
    free(n->node);
    free(n->param);
    free(n->unit);
    free(n->hook);
    free(n->hook_value);
    free(n->tap);
    free(n);
}

const char *net_arch(const net *n)
{
    return n->arch;
}
int net_classes(const net *n)
{
    return n->classes;
}
image_shape net_image(const net *n)
{
    const shape4 s = n->value[0].shape;
    return (image_shape){ s.c, s.h, s.w };
}
int64_t net_steps(const net *n)
{
    return n->steps;
}
void net_set_steps(net *n, int64_t steps)
{
    n->steps = steps;
}

char *const *net_removed(const net *n, unsigned *count)
{
    *count = n->n_removed;
    return n->removed;
}

const net_unit *net_units(const net *n, int *count)
{
    *count = n->n_units;
    return n->unit;
}

int net_layer_count(const net *n)
{
    return n->n_nodes - 1; /* the loss is the last node */
}

net_layer net_layer_at(const net *n, int i)
{
    const net_node *d = &n->node[i];
    net_layer l = {
        .name = d->name, .kind = layer_of(d->op.kind)->name, .op = &d->op, .x = d->x, .z = d->z, .y = d->y
    };
    l.macs = layer_macs(&d->op);
    for (int p = d->param; p < d->param + d->n_params; p++)
        if (n->param[p].spec.trainable) l.params += n->param[p].count;
    return l;
}

const net_hook *net_hooks(const net *n, int *count)
{
    *count = n->n_hooks;
    return n->hook;
}

const net_param *net_params(const net *n, int *count)
{
    *count = n->n_params;
    return n->param;
}

const net_param *net_param_find(const net *n, const char *name)
{
    for (int i = 0; i < n->n_params; i++)
        if (!strcmp(n->param[i].name, name)) return &n->param[i];
    return NULL;
}

int64_t net_param_largest(const net *n)
{
    int64_t largest = 0;
    for (int i = 0; i < n->n_params; i++)
        if (n->param[i].count > largest) largest = n->param[i].count;
    return largest;
}

int64_t net_param_count(const net *n)
{
    int64_t sum = 0;
    for (int i = 0; i < n->n_params; i++)
        if (n->param[i].spec.trainable) sum += n->param[i].count;
    return sum;
}

int64_t net_macs(const net *n)
{
    int64_t sum = 0;
    for (int i = 0; i < n->n_nodes; i++) sum += layer_macs(&n->node[i].op);
    return sum;
}

status net_find_hook(const net *n, const char *hook_name, int *hook)
{
    status st = OK;
    *hook = 0;
    while (*hook < n->n_hooks && strcmp(n->hook[*hook].name, hook_name)) ++*hook;
    if (*hook == n->n_hooks) FAIL(ERR_USAGE, "%s has no hook \"%s\"", n->arch, hook_name);
out:
    return st;
}

status net_tap(net *n, const char *hook_name, tap_fn fn, void *ctx)
{
    status st = OK;
    int h;
    if (n->device) FAIL(ERR_RUNTIME, "tap %s: the net is already compiled", hook_name);
    TRY(net_find_hook(n, hook_name, &h));
    for (int i = 0; i < n->n_taps; i++)
        if (n->tap[i].name == n->hook[h].name) FAIL(ERR_RUNTIME, "tap %s: there is one already", hook_name);
    TRY(net_grow(&n->tap, n->n_taps, sizeof *n->tap));
    n->tap[n->n_taps++] = (net_tap_entry){ n->hook_value[h], n->hook[h].name, fn, ctx };
out:
    return st;
}

void net_set_label_smoothing(net *n, float smoothing)
{
    n->node[n->n_nodes - 1].op.loss.smoothing = smoothing;
}

status tap_read(const tap_view *v, float *nchw)
{
    return v->device->read_value(v->device, v->value, v->shape, v->type, v->rows, nchw);
}
