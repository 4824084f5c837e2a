/* prune/report.c -- the result of a prune, for programs and for people. */
#include "report.h"
#include "../core/base/log.h"
#include <cjson/cJSON.h>
#include <math.h>
#include <string.h>

static double percent_saved(const prune_report *r)
{
    return 100.0 * (double)(r->before.params - r->after.params) / (double)r->before.params;
}

static bool add_number(cJSON *j, const char *key, double value)
{
    return isfinite(value) ? cJSON_AddNumberToObject(j, key, value) != NULL
                           : cJSON_AddNullToObject(j, key) != NULL;
}

static bool add_measured(cJSON *j, const char *key, double value)
{
    return isnan(value) || add_number(j, key, value);
}

static bool add_removed(cJSON *j, const choice *c)
{
    cJSON *list = cJSON_AddArrayToObject(j, "removed");
    bool ok = list != NULL;
    for (unsigned i = 0; ok && i < c->n_cut; i++)
        ok = cJSON_AddItemToArray(list, cJSON_CreateString(c->cut[i]));
    return ok;
}

static bool add_unit(cJSON *list, const choice_unit *u)
{
    cJSON *j = cJSON_CreateObject();
    if (!cJSON_AddItemToArray(list, j)) {
        cJSON_Delete(j);
        return false;
    }
    return cJSON_AddStringToObject(j, "name", u->name) && add_number(j, "value", u->value) &&
           cJSON_AddBoolToObject(j, "removable", u->removable) &&
           cJSON_AddBoolToObject(j, "cut", u->decision.cut) &&
           cJSON_AddStringToObject(j, "reason", u->decision.reason);
}

static bool add_units(cJSON *j, const choice *c)
{
    cJSON *list = cJSON_AddArrayToObject(j, "units");
    bool ok = list != NULL;
    for (int i = 0; ok && i < c->n_units; i++) ok = add_unit(list, &c->unit[i]);
    return ok;
}

/* How the units were picked, where Criterion I did not decide. */
static bool add_pick(cJSON *j, const choice *c)
{
    bool gain = !strcmp(c->metric, "yang") || !strcmp(c->metric, "lu"),
         by_chance = !strcmp(c->metric, "random");
    if (c->count == 0) return true;
    return add_number(j, "count", c->count) &&
           (!gain || cJSON_AddStringToObject(j, "pick", c->pick == PICK_MOST ? "most" : "least")) &&
           (!by_chance || add_number(j, "prune_seed", (double)c->seed));
}

static bool add_costs(cJSON *j, const prune_report *r)
{
    const cost *a = &r->before, *b = &r->after;
    return add_number(j, "params_before", (double)a->params) &&
           add_number(j, "params_after", (double)b->params) &&
           add_number(j, "saving_percent", percent_saved(r)) &&
           add_number(j, "macs_before", (double)a->macs) && add_number(j, "macs_after", (double)b->macs) &&
           add_number(j, "latency_ms_before", a->latency_ms) &&
           add_number(j, "latency_ms_after", b->latency_ms) &&
           add_number(j, "images_per_s_before", a->images_per_s) &&
           add_number(j, "images_per_s_after", b->images_per_s);
}

status prune_report_json(const prune_report *r, cJSON **out)
{
    status st = OK;
    cJSON *j = cJSON_CreateObject();
    bool ok = cJSON_AddStringToObject(j, "arch", r->arch) &&
              cJSON_AddStringToObject(j, "metric", r->choice->metric) &&
              cJSON_AddStringToObject(j, "parent", r->parent) &&
              (!r->run || cJSON_AddStringToObject(j, "run", r->run)) && add_removed(j, r->choice) &&
              add_pick(j, r->choice) && add_units(j, r->choice) && add_costs(j, r) &&
              add_measured(j, "accuracy_before", r->accuracy_before) &&
              add_measured(j, "accuracy_cut", r->accuracy_cut) &&
              add_measured(j, "accuracy_after", r->accuracy_after) &&
              add_measured(j, "accuracy_last", r->accuracy_last);
    if (!ok) FAIL(ERR_RUNTIME, "out of memory");
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

void prune_report_log(const prune_report *r)
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
