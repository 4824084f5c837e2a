/* tools/report/layers.c -- the net as a list: shapes, parameters, multiplications, and the time each layer takes.
 */
#include "../../core/base/progress.h"
#include "../../core/base/rng.h"
#include "network.h"
#include "parts.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MIN_PASSES = 5, MAX_PASSES = 64 };
static const double MIN_SECONDS = 0.5;

/* ---- time ---- */

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static status fill_input(const network *w)
{
    status st = OK;
    const size_t count = (size_t)w->batch * IMAGE_VALUES;
    float *x;
    TRY_ALLOC(x, malloc(count * sizeof *x));
    for (size_t i = 0; i < count; i++) x[i] = 2 * rng_uniform(0, RNG_TEST, 0, i) - 1;
    TRY(net_input(w->net, CASE_TIMING, x, NULL, w->batch));
out:
    free(x);
    return st;
}

/* passes[p][layer]: seconds of one pass. The first pass touches memory and packs weights: it does not count.
 */
static status time_passes(const network *w, double *seconds, int *passes)
{
    status st = OK;
    const int n = net_layer_count(w->net);
    double start;
    TRY(fill_input(w));
    TRY(net_forward_timed(w->net, CASE_TIMING, seconds));
    start = time_now();
    for (*passes = 0; *passes < MAX_PASSES && (*passes < MIN_PASSES || time_now() - start < MIN_SECONDS);
         ++*passes)
        TRY(net_forward_timed(w->net, CASE_TIMING, seconds + (size_t)*passes * (size_t)n));
out:
    return st;
}

/* Medians: one slow pass (another process, a page fault) does not count. */
static status time_layers(const network *w, double *median)
{
    status st = OK;
    const int n = net_layer_count(w->net);
    double *seconds, one[MAX_PASSES];
    int passes;
    TRY_ALLOC(seconds, malloc((size_t)n * MAX_PASSES * sizeof *seconds));
    TRY(time_passes(w, seconds, &passes));
    for (int l = 0; l < n; l++) {
        for (int p = 0; p < passes; p++) one[p] = seconds[p * n + l];
        qsort(one, (size_t)passes, sizeof *one, ascending);
        median[l] = one[passes / 2];
    }
out:
    free(seconds);
    return st;
}

/* ---- JSON ---- */

static cJSON *shape_json(shape4 s)
{
    return cJSON_CreateIntArray((int[]){ s.c, s.h, s.w }, 3);
}

static status put_conv(cJSON *o, const conv_desc *c)
{
    status st = OK;
    TRY(put_number(o, "kernel", c->kernel));
    TRY(put_number(o, "stride", c->stride));
    TRY(put_number(o, "groups", c->groups));
out:
    return st;
}

static const char *activation_name(activation a)
{
    return a == ACT_RELU ? "relu" : a == ACT_RELU6 ? "relu6" : "";
}

/* What the shape does not tell. */
static status put_details(cJSON *o, const op *p)
{
    status st = OK;
    if (p->kind == OP_CONV) TRY(put_conv(o, &p->conv));
    if (p->kind == OP_BNACT) TRY(put_text(o, "activation", activation_name(p->bnact.act)));
    if (p->kind == OP_LINEAR) TRY(put_text(o, "activation", activation_name(p->linear.act)));
    if (p->kind == OP_POOL) TRY(put_text(o, "pool", p->pool.kind == POOL_MAX ? "max" : "average"));
out:
    return st;
}

static status layer_json(const net_layer *l, double us, cJSON **out)
{
    status st = OK;
    cJSON *o;
    TRY_ALLOC(o, cJSON_CreateObject());
    TRY(put_text(o, "name", l->name));
    TRY(put_text(o, "kind", l->kind));
    TRY(put_number(o, "x", l->x));
    TRY(put_number(o, "z", l->z));
    TRY(put_number(o, "y", l->y));
    TRY(put(o, "in", shape_json(l->op->x)));
    TRY(put(o, "out", shape_json(l->op->y)));
    TRY(put_number(o, "params", (double)l->params));
    TRY(put_number(o, "macs", (double)l->macs));
    /* null: computed along with the convolution before it. */
    TRY(put_number(o, "us", us > 0 ? us : NAN));
    TRY(put_details(o, l->op));
    *out = o;
    o = NULL;
out:
    cJSON_Delete(o);
    return st;
}

static status unit_json(const net_unit *u, cJSON **out)
{
    status st = OK;
    cJSON *o;
    TRY_ALLOC(o, cJSON_CreateObject());
    TRY(put_text(o, "name", u->name));
    TRY(put_number(o, "stage", u->stage));
    TRY(put_bool(o, "removable", u->removable));
    TRY(put_text(o, "fixed", u->reason));
    TRY(put_number(o, "layer", u->layer));
    TRY(put_number(o, "layers", u->n_layers));
    *out = o;
    o = NULL;
out:
    cJSON_Delete(o);
    return st;
}

static status put_units(cJSON *o, const net *n)
{
    status st = OK;
    int count;
    const net_unit *unit = net_units(n, &count);
    cJSON *list, *item = NULL;
    TRY_ALLOC(list, cJSON_AddArrayToObject(o, "units"));
    for (int i = 0; i < count; i++) {
        TRY(unit_json(&unit[i], &item));
        TRY(append(list, item));
    }
out:
    return st;
}

static status put_layers(cJSON *o, const network *w)
{
    status st = OK;
    const int n = net_layer_count(w->net);
    double *seconds;
    cJSON *list, *item = NULL;
    TRY_ALLOC(seconds, malloc((size_t)n * sizeof *seconds));
    TRY(time_layers(w, seconds));
    TRY_ALLOC(list, cJSON_AddArrayToObject(o, "layers"));
    for (int i = 0; i < n; i++) {
        const net_layer l = net_layer_at(w->net, i);
        TRY(layer_json(&l, 1e6 * seconds[i] / w->batch, &item));
        TRY(append(list, item));
    }
out:
    free(seconds);
    return st;
}

status layers_json(const network *w, const report_run *run, cJSON **out)
{
    status st = OK;
    cJSON *o, *removed;
    TRY_ALLOC(o, cJSON_CreateObject());
    TRY(put_text(o, "arch", net_arch(w->net)));
    TRY(put_text(o, "device", w->device->description));
    TRY(put_number(o, "batch", w->batch));
    TRY(put_number(o, "params", (double)net_param_count(w->net)));
    TRY(put_number(o, "macs", (double)net_macs(w->net)));
    TRY_ALLOC(removed, cJSON_AddArrayToObject(o, "removed"));
    for (unsigned i = 0; i < run->cfg->net.remove_count; i++)
        TRY(append(removed, cJSON_CreateString(run->cfg->net.remove[i])));
    TRY(put_units(o, w->net));
    TRY(put_layers(o, w));
    *out = o;
    o = NULL;
out:
    cJSON_Delete(o);
    return st;
}
