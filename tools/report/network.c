/* tools/report/network.c -- a run's net, opened once: its layers with their costs and measured times, the
 * filters of its first layer, the criterion's decision on each unit. */
#include "network.h"
#include "../../core/base/clock.h"
#include "../../core/base/log.h"
#include "../../core/base/median.h"
#include "../../core/base/rng.h"
#include "../../nets/checkpoint.h"
#include "../../prune/choose.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_TIMING_BATCH = 128, MIN_PASSES = 5, MAX_PASSES = 64 };
static const double MIN_SECONDS = 0.5;

static void close_network(network *w)
{
    activations_close(w);
    experiment_close(&w->experiment);
    free(w->pick);
}

/* Compiles the net for timing and, if there are images, for the picks, and loads the checkpoint. */
static status open_network(const report *r, const report_run *run, network *w)
{
    status st = OK;
    const config *c = run->cfg;
    *w = (network){ .batch = c->train.batch < MAX_TIMING_BATCH ? c->train.batch : MAX_TIMING_BATCH };
    TRY(experiment_open(c, 0, &w->experiment));
    w->net = w->experiment.net;
    w->device = w->experiment.device;
    log_info("%s: times on %s", run->name, w->experiment.why);
    if (run->images) TRY(picks_choose(run->images, r->picks, &w->pick, &w->n_picks));
    if (w->n_picks) TRY(activations_open(w, run));
    const net_case cases[] = { [CASE_TIMING] = { w->batch, false }, [CASE_PICKS] = { w->n_picks, false } };
    TRY(experiment_compile(&w->experiment, cases, w->n_picks ? 2 : 1));
    TRY(checkpoint_read(w->net, run->checkpoint));
out:
    return st;
}

/* ---- the time of each layer ---- */

static status fill_input(const network *w)
{
    status st = OK;
    const size_t count = (size_t)w->batch * (size_t)image_values(net_image(w->net));
    float *x;
    TRY_ALLOC(x, malloc(count * sizeof *x));
    for (size_t i = 0; i < count; i++) x[i] = 2 * rng_uniform(0, RNG_TEST, 0, i) - 1;
    TRY(net_input(w->net, CASE_TIMING, x, NULL, w->batch));
out:
    free(x);
    return st;
}

/* seconds[pass][layer]. The first pass does not count: it touches memory for the first time and packs the
 * weights. */
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

/* The median time of each layer, in seconds per batch: it does not matter if some passes were slow. */
static status time_layers(const network *w, double *layer)
{
    status st = OK;
    const int n = net_layer_count(w->net);
    double *seconds, one[MAX_PASSES];
    int passes;
    TRY_ALLOC(seconds, malloc((size_t)n * MAX_PASSES * sizeof *seconds));
    TRY(time_passes(w, seconds, &passes));
    for (int l = 0; l < n; l++) {
        for (int p = 0; p < passes; p++) one[p] = seconds[p * n + l];
        layer[l] = median(one, passes);
    }
out:
    free(seconds);
    return st;
}

/* ---- layers and units ---- */

static cJSON *shape_json(shape4 s)
{
    return cJSON_CreateIntArray((int[]){ s.c, s.h, s.w }, 3);
}

static status put_conv(cJSON *o, const conv_desc *c)
{
    status st = OK;
    TRY(json_put_number(o, "kernel", c->kernel));
    TRY(json_put_number(o, "stride", c->stride));
    TRY(json_put_number(o, "groups", c->groups));
out:
    return st;
}

static const char *activation_name(activation a)
{
    return a == ACT_RELU ? "relu" : a == ACT_RELU6 ? "relu6" : "";
}

/* What the shapes do not say. */
static status put_details(cJSON *o, const op *p)
{
    status st = OK;
    if (p->kind == OP_CONV) TRY(put_conv(o, &p->conv));
    if (p->kind == OP_BNACT) TRY(json_put_text(o, "activation", activation_name(p->bnact.act)));
    if (p->kind == OP_LINEAR) TRY(json_put_text(o, "activation", activation_name(p->linear.act)));
    if (p->kind == OP_POOL) TRY(json_put_text(o, "pool", p->pool.kind == POOL_MAX ? "max" : "average"));
out:
    return st;
}

static status put_layer(cJSON *o, const net_layer *l, double us)
{
    status st = OK;
    TRY(json_put_text(o, "name", l->name));
    TRY(json_put_text(o, "kind", l->kind));
    TRY(json_put_number(o, "x", l->x));
    TRY(json_put_number(o, "z", l->z));
    TRY(json_put_number(o, "y", l->y));
    TRY(json_put(o, "in", shape_json(l->op->x)));
    TRY(json_put(o, "out", shape_json(l->op->y)));
    TRY(json_put_number(o, "params", (double)l->params));
    TRY(json_put_number(o, "macs", (double)l->macs));
    /* null: this layer is computed together with the convolution before it. */
    TRY(json_put_number(o, "us", us > 0 ? us : NAN));
    TRY(put_details(o, l->op));
out:
    return st;
}

static status put_layers(cJSON *o, const network *w)
{
    status st = OK;
    const int n = net_layer_count(w->net);
    double *seconds;
    cJSON *list, *item;
    TRY_ALLOC(seconds, malloc((size_t)n * sizeof *seconds));
    TRY(time_layers(w, seconds));
    TRY(json_put_list(o, "layers", &list));
    for (int i = 0; i < n; i++) {
        const net_layer l = net_layer_at(w->net, i);
        TRY(json_append_object(list, &item));
        TRY(put_layer(item, &l, 1e6 * seconds[i] / w->batch));
    }
out:
    free(seconds);
    return st;
}

static status put_unit(cJSON *o, const net_unit *u)
{
    status st = OK;
    TRY(json_put_text(o, "name", u->name));
    TRY(json_put_number(o, "stage", u->stage));
    TRY(json_put_bool(o, "removable", u->removable));
    TRY(json_put_text(o, "fixed", u->reason));
    TRY(json_put_number(o, "layer", u->layer));
    TRY(json_put_number(o, "layers", u->n_layers));
out:
    return st;
}

static status put_units(cJSON *o, const net *n)
{
    status st = OK;
    int count;
    const net_unit *unit = net_units(n, &count);
    cJSON *list, *item;
    TRY(json_put_list(o, "units", &list));
    for (int i = 0; i < count; i++) {
        TRY(json_append_object(list, &item));
        TRY(put_unit(item, &unit[i]));
    }
out:
    return st;
}

/* {arch, device, batch, params, macs, removed, units, layers}; the time of a layer is in microseconds per
 * image. */
static status put_net(cJSON *o, const network *w, const config_net *c)
{
    status st = OK;
    cJSON *removed;
    TRY(json_put_text(o, "arch", net_arch(w->net)));
    TRY(json_put_text(o, "device", w->device->description));
    TRY(json_put_number(o, "batch", w->batch));
    TRY(json_put_number(o, "params", (double)net_param_count(w->net)));
    TRY(json_put_number(o, "macs", (double)net_macs(w->net)));
    TRY(json_put_list(o, "removed", &removed));
    for (unsigned i = 0; i < c->remove_count; i++)
        TRY(json_append(removed, cJSON_CreateString(c->remove[i])));
    TRY(put_units(o, w->net));
    TRY(put_layers(o, w));
out:
    return st;
}

/* ---- first-layer filters ---- */

static const net_param *find_param(const net *n, const char *layer, const char *suffix)
{
    int count;
    char name[160];
    const net_param *p = net_params(n, &count);
    snprintf(name, sizeof name, "%s.%s", layer, suffix);
    for (int i = 0; i < count; i++)
        if (!strcmp(p[i].name, name)) return &p[i];
    return NULL;
}

/* {name, weight: blob [K, 3, R, R]}; null if the net does not begin with a convolution. */
static status put_filters(cJSON *network_object, const network *w)
{
    status st = OK;
    float *value = NULL;
    cJSON *o;
    const net_layer first = net_layer_at(w->net, 0);
    const net_param *p = find_param(w->net, first.name, "weight");
    if (!p || p->spec.rank != 4) {
        TRY(json_put(network_object, "filters", cJSON_CreateNull()));
        goto out;
    }
    TRY_ALLOC(value, malloc((size_t)p->count * sizeof *value));
    TRY(net_param_read(w->net, p, value));
    TRY(json_put_object(network_object, "filters", &o));
    TRY(json_put_text(o, "name", first.name));
    TRY(put_blob(o, "weight", "f32", value, 4, p->spec.shape));
out:
    free(value);
    return st;
}

/* ---- the criterion, with the settings of the run ---- */

static status put_decision(cJSON *o, const choice_unit *u)
{
    status st = OK;
    TRY(json_put_text(o, "name", u->name));
    TRY(json_put_number(o, "value", u->value));
    TRY(json_put_number(o, "gain", u->decision.gain));
    TRY(json_put_bool(o, "removable", u->removable));
    TRY(json_put_bool(o, "cut", u->decision.cut));
    TRY(json_put_text(o, "reason", u->decision.reason));
out:
    return st;
}

static status put_choice(cJSON *o, const choice *c, const config_prune *p)
{
    status st = OK;
    cJSON *units, *item;
    TRY(json_put_text(o, "metric", c->metric));
    TRY(json_put_number(o, "eps", p->eps));
    TRY(json_put_number(o, "floor", p->floor));
    TRY(json_put_number(o, "smooth", p->smooth));
    TRY(json_put_list(o, "units", &units));
    for (int i = 0; i < c->n_units; i++) {
        TRY(json_append_object(units, &item));
        TRY(put_decision(item, &c->unit[i]));
    }
out:
    return st;
}

/* null if there is no analysis, or if it has no values at the units. */
static status put_decisions(cJSON *network_object, report *r, const report_run *run, const net *n)
{
    status st = OK;
    choice c = { 0 };
    cJSON *o;
    const report_analysis *best = run->n_analyses ? &run->analysis[run->n_analyses - 1] : NULL;
    if (best && choose_by_curve(n, best->json, run->cfg, &c) == OK) {
        TRY(json_put_object(network_object, "decisions", &o));
        TRY(put_choice(o, &c, &run->cfg->prune));
        goto out;
    }
    if (best) TRY(report_note(r, "%s: no decisions: %s", run->name, status_message()));
    TRY(json_put(network_object, "decisions", cJSON_CreateNull()));
out:
    choice_free(&c);
    return st;
}

/* ---- all of it ---- */

status put_network(cJSON *o, report *r, const report_run *run)
{
    status st = OK;
    network w = { 0 };
    cJSON *part;
    TRY(open_network(r, run, &w));
    TRY(json_put_object(o, "net", &part));
    TRY(put_net(part, &w, &run->cfg->net));
    TRY(put_filters(o, &w));
    TRY(put_decisions(o, r, run, w.net));
    if (w.n_picks) {
        TRY(json_put_object(o, "activations", &part));
        TRY(put_activations(part, &w, run));
    } else {
        TRY(json_put(o, "activations", cJSON_CreateNull()));
    }
out:
    close_network(&w);
    return st;
}
