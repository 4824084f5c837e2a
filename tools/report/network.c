/* tools/report/network.c -- a run's net, built and loaded once: what it is made of, what its first filters look
 * like, what the criterion says about its units. */
#include "network.h"
#include "../../core/base/log.h"
#include "../../nets/checkpoint.h"
#include "../../prune/choose.h"
#include "parts.h"
#include <stdlib.h>
#include <string.h>

enum { MAX_TIMING_BATCH = 128 };

static void close_network(network *w)
{
    activations_close(w);
    experiment_close(&w->experiment);
    free(w->pick);
}

/* Compiled for timing and, where there are images, for the picks; with the checkpoint's values. */
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

/* {name, weight: blob [K, 3, R, R]}; null for a net that does not begin with a convolution. */
static status filters_json(const network *w, cJSON **out)
{
    status st = OK;
    float *value = NULL;
    cJSON *blob, *o = NULL;
    const net_layer first = net_layer_at(w->net, 0);
    const net_param *p = find_param(w->net, first.name, "weight");
    if (!p || p->spec.rank != 4) {
        TRY_ALLOC(*out, cJSON_CreateNull());
        goto out;
    }
    TRY_ALLOC(value, malloc((size_t)p->count * sizeof *value));
    TRY(net_param_read(w->net, p, value));
    TRY_ALLOC(o, cJSON_CreateObject());
    TRY(put_text(o, "name", first.name));
    TRY(blob_json("f32", value, 4, p->spec.shape, &blob));
    TRY(put(o, "weight", blob));
    *out = o;
    o = NULL;
out:
    cJSON_Delete(o);
    free(value);
    return st;
}

/* ---- the criterion, with the settings of the run ---- */

static status unit_json(const choice_unit *u, cJSON **out)
{
    status st = OK;
    cJSON *o;
    TRY_ALLOC(o, cJSON_CreateObject());
    TRY(put_text(o, "name", u->name));
    TRY(put_number(o, "value", u->value));
    TRY(put_number(o, "gain", u->decision.gain));
    TRY(put_bool(o, "removable", u->removable));
    TRY(put_bool(o, "cut", u->decision.cut));
    TRY(put_text(o, "reason", u->decision.reason));
    *out = o;
    o = NULL;
out:
    cJSON_Delete(o);
    return st;
}

static status choice_json(const choice *c, const config_prune *p, cJSON **out)
{
    status st = OK;
    cJSON *o, *units, *unit = NULL;
    TRY_ALLOC(o, cJSON_CreateObject());
    TRY(put_text(o, "metric", c->metric));
    TRY(put_number(o, "eps", p->eps));
    TRY(put_number(o, "floor", p->floor));
    TRY(put_number(o, "smooth", p->smooth));
    TRY_ALLOC(units, cJSON_AddArrayToObject(o, "units"));
    for (int i = 0; i < c->n_units; i++) {
        TRY(unit_json(&c->unit[i], &unit));
        TRY(append(units, unit));
    }
    *out = o;
    o = NULL;
out:
    cJSON_Delete(o);
    return st;
}

/* null where there is no analysis, or one that has no points at the units. */
static status decisions_json(report *r, const report_run *run, const net *n, cJSON **out)
{
    status st = OK;
    choice c = { 0 };
    const report_graph *best = run->n_graphs ? &run->graph[run->n_graphs - 1] : NULL;
    if (best && choose_by_curve(n, best->analysis, run->cfg, &c) == OK) {
        TRY(choice_json(&c, &run->cfg->prune, out));
        goto out;
    }
    if (best) TRY(report_note(r, "%s: no decisions: %s", run->name, status_message()));
    TRY_ALLOC(*out, cJSON_CreateNull());
out:
    choice_free(&c);
    return st;
}

/* ---- all of it ---- */

static status collect(report *r, const report_run *run, network *w, cJSON *o)
{
    status st = OK;
    cJSON *part = NULL;
    TRY(layers_json(w, run, &part));
    TRY(put(o, "net", part));
    TRY(filters_json(w, &part));
    TRY(put(o, "filters", part));
    TRY(decisions_json(r, run, w->net, &part));
    TRY(put(o, "decisions", part));
    if (w->n_picks)
        TRY(activations_json(w, run, &part));
    else
        TRY_ALLOC(part, cJSON_CreateNull());
    TRY(put(o, "activations", part));
out:
    return st;
}

status network_json(report *r, report_run *run, cJSON **out)
{
    status st = OK;
    network w = { 0 };
    cJSON *o;
    TRY_ALLOC(o, cJSON_CreateObject());
    TRY(open_network(r, run, &w));
    TRY(collect(r, run, &w, o));
    *out = o;
    o = NULL;
out:
    cJSON_Delete(o);
    close_network(&w);
    return st;
}
