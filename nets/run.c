/* nets/run.c -- a compiled net at work: input, forward, backward, step. Nothing here allocates. */
#include "../core/base/progress.h"
#include "net_private.h"

#include <string.h>

/* What the other cases have cached may be overwritten from here on. */
static void enter(net *n, int net_case_index)
{
    if (n->current != net_case_index) n->version++;
    n->current = net_case_index;
}

int net_batch(const net *n, int net_case_index)
{
    return n->compiled[net_case_index].which.batch;
}

status net_input_labels(net *n, int net_case_index, const int32_t *labels, int rows)
{
    status st = OK;
    const net_compiled_case *c = &n->compiled[net_case_index];
    const int batch = c->which.batch;
    if (rows < 1 || rows > batch || (c->which.training && !c->which.frozen && rows != batch))
        FAIL(ERR_RUNTIME, "a batch of %d images does not fit the case of %d", rows, batch);
    enter(n, net_case_index);
    for (int i = 0; i < batch; i++) n->label_staging[i] = labels && i < rows ? labels[i] : -1;
    n->rows = rows;
    TRY(n->device->upload(n->device, n->label, n->label_staging, (size_t)batch * sizeof(int32_t)));
out:
    return st;
}

status net_input(net *n, int net_case_index, const float *nchw, const int32_t *labels, int rows)
{
    status st = OK;
    const net_compiled_case *c = &n->compiled[net_case_index];
    shape4 s = n->value[0].shape;
    size_t image = (size_t)shape_image(s);
    s.n = c->which.batch;
    TRY(net_input_labels(n, net_case_index, labels, rows));
    if (rows < s.n) {
        memcpy(n->image_staging, nchw, (size_t)rows * image * sizeof(float));
        memset(n->image_staging + (size_t)rows * image, 0, (size_t)(s.n - rows) * image * sizeof(float));
        nchw = n->image_staging;
    }
    n->images.chosen = NET_NOT_KEPT;
    TRY(n->device->write_value(n->device, (char *)n->act + c->value[0], s, n->type, nchw));
out:
    return st;
}

static op_args arguments(const net *n, const net_compiled_case *c, int node, bool backward)
{
    const net_plan *d = &c->node[node];
    const size_t *value = backward ? c->value_in_backward : c->value;
    char *act = n->act;
    op_args a = { .x = act + value[d->x],
                  .version = n->version,
                  .scratch = act + d->scratch[backward],
                  .saved = (char *)n->saved + d->saved,
                  .packed = d->packed,
                  .cached = act + d->cached };
    if (d->z != NONE) a.z = act + value[d->z];
    if (d->y != NONE) a.y = act + value[d->y];
    for (int i = 0; i < PLAN_MAX_PARAMS; i++) {
        if (d->param[i] == NONE) continue;
        a.param[i] = n->param[d->param[i]].value;
        a.grad[i] = c->which.frozen ? NULL : n->param[d->param[i]].grad;
    }
    if (d->bias != NONE) a.shift = n->param[n->node[d->bias].param + 1].value;
    if (d->op.kind == OP_LOSS) {
        a.label = n->label;
        a.stats = n->stats;
    }
    return a;
}

static status call_taps(net *n, const net_compiled_case *c, int value)
{
    status st = OK;
    for (int i = 0; i < n->n_taps; i++) {
        const net_tap_entry *t = &n->tap[i];
        if (t->value != value) continue;
        tap_view v = { .name = t->name,
                       .shape = n->value[value].shape,
                       .rows = n->rows,
                       .type = n->type,
                       .value = (char *)n->act + c->value[value],
                       .device = n->device };
        v.shape.n = c->which.batch;
        TRY(t->fn(t->ctx, &v));
    }
out:
    return st;
}

static status forward_node(net *n, const net_compiled_case *c, int i)
{
    if (c->node[i].absent) return OK;
    op_args a = arguments(n, c, i, false);
    status st = n->device->forward(c->node[i].plan, &a);
    return st == OK || !*n->node[i].name ? st : status_prefix(st, "%s", n->node[i].name);
}

static status run_nodes(net *n, int net_case_index, int end)
{
    status st = OK;
    const net_compiled_case *c = &n->compiled[net_case_index];
    enter(n, net_case_index);
    if (c->which.training && !c->which.frozen) n->version++; /* running statistics move */
    TRY(net_show_images(n, c));
    for (int i = 0; i < end; i++) {
        TRY(forward_node(n, c, i));
        if (!c->which.training && n->n_taps && c->node[i].y != NONE) TRY(call_taps(n, c, c->node[i].y));
    }
out:
    return st;
}

/* What a device records depends on where the images come from: the host, or one of the sets. */
static step_handle *handle_of(net *n, int net_case_index)
{
    return &n->compiled[net_case_index].step[n->images.chosen - NET_NOT_KEPT];
}

status net_forward(net *n, int net_case_index)
{
    status st = OK;
    const bool whole = !n->compiled[net_case_index].which.training && !n->n_taps && n->device->eval_begin;
    bool replayed = false;
    if (whole) TRY(n->device->eval_begin(n->device, handle_of(n, net_case_index), &replayed));
    if (!replayed) TRY(run_nodes(n, net_case_index, n->n_nodes));
    if (whole) TRY(n->device->eval_end(n->device));
out:
    return st;
}

status net_forward_until(net *n, int net_case_index, const char *hook_name)
{
    status st = OK;
    int h;
    TRY(net_find_hook(n, hook_name, &h));
    TRY(run_nodes(n, net_case_index, n->value[n->hook_value[h]].producer + 1));
out:
    return st;
}

status net_forward_timed(net *n, int net_case_index, double *seconds)
{
    status st = OK;
    loss_stats waited_for;
    const net_compiled_case *c = &n->compiled[net_case_index];
    enter(n, net_case_index);
    TRY(net_show_images(n, c));
    TRY(net_stats(n, &waited_for));
    for (int i = 0; i < net_layer_count(n); i++) seconds[i] = 0;
    for (int i = 0; i < n->n_nodes; i++) {
        double start = time_now();
        TRY(forward_node(n, c, i));
        TRY(net_stats(n, &waited_for));
        const int layer = c->node[i].layer;
        if (layer < net_layer_count(n)) seconds[layer] += time_now() - start;
    }
out:
    return st;
}

/* For backward, a value that was not kept. */
static status recompute(const net *n, const net_compiled_case *c, int value, void *scratch)
{
    const int producer = n->value[value].producer;
    op_args a = arguments(n, c, producer, true);
    a.scratch = scratch;
    return n->device->recompute(c->node[producer].plan, &a);
}

status net_backward(net *n, int net_case_index)
{
    status st = OK;
    const net_compiled_case *c = &n->compiled[net_case_index];
    if (!c->which.training) FAIL(ERR_RUNTIME, "backward of an evaluation case");
    for (int i = n->n_nodes - 1; i >= 0; i--) {
        const net_plan *d = &c->node[i];
        if (d->absent) continue;
        op_args a = arguments(n, c, i, true);
        if (d->recompute_x) TRY(recompute(n, c, d->x, a.scratch));
        if (d->y != NONE) a.dy = (char *)n->act + c->grad[d->y];
        if (c->has_grad[d->x]) a.dx = (char *)n->act + c->grad[d->x];
        if (d->z != NONE && c->has_grad[d->z]) a.dz = (char *)n->act + c->grad[d->z];
        a.dx_add = d->dx_add; /* a later node of the forward pass has been here */
        a.dz_add = d->dz_add;
        TRY(n->device->backward(d->plan, &a));
    }
out:
    return st;
}

status net_image_gradient(net *n, int net_case_index, int rows, float *out)
{
    status st = OK;
    const net_compiled_case *c = &n->compiled[net_case_index];
    shape4 s = n->value[0].shape;
    s.n = c->which.batch;
    if (!c->has_grad[0]) FAIL(ERR_RUNTIME, "only a frozen case has the gradient of the image");
    TRY(n->device->read_value(n->device, (char *)n->act + c->grad[0], s, n->type, rows, out));
out:
    return st;
}

status net_step(net *n, int net_case_index, const step_scalars *scalars)
{
    status st = OK;
    bool replayed = false;
    if (n->compiled[net_case_index].which.frozen) FAIL(ERR_RUNTIME, "a step of a frozen case");
    float *value = n->arena_param, *grad = value + n->trainable, *velocity = grad + n->trainable;
    TRY(n->device->step_begin(n->device, handle_of(n, net_case_index), scalars, &replayed));
    if (!replayed) {
        TRY(net_forward(n, net_case_index));
        TRY(net_backward(n, net_case_index));
        TRY(n->device->sgd(n->device, value, grad, velocity, n->trainable));
    }
    TRY(n->device->step_end(n->device));
    n->version++;
    n->steps++;
out:
    return st;
}

status net_stats(net *n, loss_stats *out)
{
    return n->device->download(n->device, out, n->stats, sizeof *out);
}

status net_stats_set(net *n, const loss_stats *value)
{
    return n->device->upload(n->device, n->stats, value, sizeof *value);
}

status net_logits(net *n, int net_case_index, int rows, float *out)
{
    const net_compiled_case *c = &n->compiled[net_case_index];
    shape4 s = n->value[n->logits].shape;
    s.n = c->which.batch;
    return n->device->read_value(n->device, (char *)n->act + c->value[n->logits], s, n->type, rows, out);
}
