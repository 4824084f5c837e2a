/* prune/result.c -- see result.h. */
#include "result.h"

#include "../core/base/json.h"
#include "../core/base/log.h"

#include <math.h>

static double percent_saved(const prune_result *r)
{
    return 100.0 * (double)(r->before.params - r->after.params) / (double)r->before.params;
}

static status put_removed(cJSON *j, const choice *c)
{
    status st = OK;
    cJSON *list;
    TRY(json_put_list(j, "removed", &list));
    for (unsigned i = 0; i < c->n_cut; i++) TRY(json_append(list, cJSON_CreateString(c->cut[i])));
out:
    return st;
}

static status put_units(cJSON *j, const choice *c)
{
    status st = OK;
    cJSON *list, *o;
    TRY(json_put_list(j, "units", &list));
    for (int i = 0; i < c->n_units; i++) {
        const choice_unit *u = &c->unit[i];
        TRY(json_append_object(list, &o));
        TRY(json_put_text(o, "name", u->name));
        TRY(json_put_number(o, "value", u->value));
        TRY(json_put_bool(o, "removable", u->removable));
        TRY(json_put_bool(o, "cut", u->decision.cut));
        TRY(json_put_text(o, "rule", criterion_rule_name(u->decision.rule)));
        TRY(json_put_text(o, "reason", u->decision.reason));
    }
out:
    return st;
}

/* How the units were picked, where Criterion I did not decide. */
static status put_pick(cJSON *j, const choice *c)
{
    status st = OK;
    if (c->count == 0) goto out;
    const metric *m = metric_of(c->kind);
    TRY(json_put_number(j, "count", c->count));
    if (m->criterion) TRY(json_put_text(j, "pick", config_choice("prune.pick", (int)c->pick)));
    if (m->drawn) TRY(json_put_uint64(j, "prune_seed", c->seed));
out:
    return st;
}

static status put_costs(cJSON *j, const prune_result *r)
{
    status st = OK;
    const cost *a = &r->before, *b = &r->after;
    TRY(json_put_number(j, "params_before", (double)a->params));
    TRY(json_put_number(j, "params_after", (double)b->params));
    TRY(json_put_number(j, "saving_percent", percent_saved(r)));
    TRY(json_put_number(j, "macs_before", (double)a->macs));
    TRY(json_put_number(j, "macs_after", (double)b->macs));
    TRY(json_put_number(j, "latency_ms_before", a->latency_ms));
    TRY(json_put_number(j, "latency_ms_after", b->latency_ms));
    TRY(json_put_number(j, "images_per_s_before", a->images_per_s));
    TRY(json_put_number(j, "images_per_s_after", b->images_per_s));
out:
    return st;
}

static status put_accuracy(cJSON *j, const char *key, double value)
{
    return isnan(value) ? OK : json_put_number(j, key, value);
}

status prune_result_json(const prune_result *r, cJSON **out)
{
    status st = OK;
    cJSON *j;
    TRY_ALLOC(j, cJSON_CreateObject());
    TRY(json_put_text(j, "arch", r->arch));
    TRY(json_put_text(j, "metric", r->choice->metric));
    TRY(json_put_text(j, "parent", r->parent));
    if (r->run) TRY(json_put_text(j, "run", r->run));
    TRY(put_removed(j, r->choice));
    TRY(put_pick(j, r->choice));
    TRY(put_units(j, r->choice));
    TRY(put_costs(j, r));
    TRY(put_accuracy(j, "accuracy_before", r->accuracy_before));
    TRY(put_accuracy(j, "accuracy_cut", r->accuracy_cut));
    TRY(put_accuracy(j, "accuracy_after", r->accuracy_after));
    TRY(put_accuracy(j, "accuracy_last", r->accuracy_last));
    *out = j;
    j = NULL;
out:
    cJSON_Delete(j);
    return st;
}

static void log_accuracy(const char *what, double value)
{
    if (!isnan(value)) log_info("accuracy %s %.2f %%", what, 100 * value);
}

void prune_result_log(const prune_result *r)
{
    const cost *a = &r->before, *b = &r->after;
    for (int i = 0; i < r->choice->n_units; i++)
        if (r->choice->unit[i].decision.cut) log_info("cut        %s", r->choice->unit[i].name);
    log_info("parameters %lld -> %lld: %.2f %% saved", (long long)a->params, (long long)b->params,
             percent_saved(r));
    log_info("MACs       %.1f M -> %.1f M", 1e-6 * (double)a->macs, 1e-6 * (double)b->macs);
    log_info("latency    %.2f ms -> %.2f ms; throughput %.0f -> %.0f images/s", a->latency_ms, b->latency_ms,
             a->images_per_s, b->images_per_s);
    log_accuracy("before the cut  ", r->accuracy_before);
    log_accuracy("after the cut   ", r->accuracy_cut);
    log_accuracy("fine-tuned, best", r->accuracy_after);
    log_accuracy("fine-tuned, last", r->accuracy_last);
}
