/* nets/compile.c -- from graph to something that runs: each case is planned (fuse.c) and laid out in memory (places.c),
 * then everything is allocated once. */
#include "net_private.h"

#include "../core/base/minmax.h"
#include "../core/device/arena.h"

#include <stdlib.h>

int net_largest_batch(const net *n)
{
    int batch = 0;
    for (int i = 0; i < n->n_cases; i++) batch = max_int(batch, n->compiled[i].which.batch);
    return batch;
}

static size_t aligned(size_t bytes)
{
    return round_up(bytes, ARENA_ALIGN);
}

static status compile_case(net *n, net_compiled_case *c)
{
    status st = OK;
    size_t act = 0, saved = 0;
    TRY(net_plan_nodes(n, c));
    TRY(net_place(n, c, &act, &saved));
    for (int i = 0; i < n->n_nodes; i++) { /* another case may have its values there */
        c->node[i].cached = act;
        act += aligned(c->node[i].needs.cached);
    }
    n->used.act = max_size(n->used.act, act);
    n->used.saved = max_size(n->used.saved, saved);
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
    size_t at = 0;
    const size_t batch = (size_t)net_largest_batch(n);
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
    for (int i = 0; i <= NET_IMAGE_SETS; i++) backend_forget_step(n->device, &c->step[i]);
    for (int i = 0; c->node && i < n->n_nodes; i++)
        if (c->node[i].plan) n->device->plan_free(c->node[i].plan);
    free(c->node);
    free(c->value);
    free(c->value_in_backward);
    free(c->grad);
    free(c->has_grad);
}

static void release_memory(net *n, void *memory, size_t bytes)
{
    if (memory) n->device->release(n->device, memory, bytes);
}

void net_release(net *n)
{
    if (!n->device) return;
    const size_t batch = (size_t)net_largest_batch(n);
    net_forget_images(n);
    for (int i = 0; i < n->n_cases; i++) release_case(n, &n->compiled[i]);
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
