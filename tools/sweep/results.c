/* tools/sweep/results.c -- see results.h. */
#include "results.h"

#include "../../core/base/file.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* "test_accuracy" of the last line of metrics.jsonl. */
static double last_accuracy(const sweep_plan *p, int task)
{
    char path[4096], *text = NULL;
    double value = NAN;
    if (task_run_path(p, task, "metrics.jsonl", path, sizeof path) != OK || !file_exists(path) ||
        file_read(path, &text, NULL) != OK)
        return NAN;
    size_t n = strlen(text);
    while (n > 0 && text[n - 1] == '\n') text[--n] = '\0';
    char *line = strrchr(text, '\n');
    cJSON *j = cJSON_Parse(line ? line + 1 : text);
    value = json_number(j, "test_accuracy", NAN);
    cJSON_Delete(j);
    free(text);
    return value;
}

void results_read(const sweep_plan *p, unsigned i, case_results *out)
{
    const int *task = p->cases[i].task;
    char path[4096];
    task_info info;
    *out = (case_results){ .best = NAN, .last = NAN };
    out->done = task_done(p, task[p->last]);
    out->trained = task_done(p, task[STAGE_TRAIN]);
    if (out->trained) {
        task_look(p, task[STAGE_TRAIN], &info);
        out->best = info.accuracy;
        out->last = last_accuracy(p, task[STAGE_TRAIN]);
    }
    if (task[STAGE_ANALYZE] >= 0 && task_done(p, task[STAGE_ANALYZE]) &&
        task_analysis_path(p, task[STAGE_ANALYZE], "analysis.json", path, sizeof path) == OK)
        out->analysis = json_read_if_any(path);
    if (task[STAGE_PRUNE] >= 0) out->prune = task_result(p, task[STAGE_PRUNE]);
}

void results_free(case_results *r)
{
    cJSON_Delete(r->analysis);
    cJSON_Delete(r->prune);
    *r = (case_results){ 0 };
}

/* M or Q of a layer of analysis.json. */
static double curve_point(const cJSON *layer, bool yang)
{
    return json_number(cJSON_GetObjectItem(layer, yang ? "yang" : "lu"), yang ? "M" : "mean", NAN);
}

static double curve_value(const cJSON *analysis, bool yang, bool max)
{
    const cJSON *layer;
    double value = NAN;
    cJSON_ArrayForEach(layer, cJSON_GetObjectItem(analysis, "layers"))
    {
        double v = curve_point(layer, yang);
        value = max ? fmax(value, v) : v;
    }
    return value;
}

/* The numbers that prune writes, so that a misspelt column is known to be one before anything is done. */
static bool is_prune_number(const char *name)
{
    static const char *const names[] = { "params_before",    "params_after",        "saving_percent",
                                         "macs_before",      "macs_after",          "latency_ms_before",
                                         "latency_ms_after", "images_per_s_before", "images_per_s_after",
                                         "accuracy_before",  "accuracy_cut",        "accuracy_after",
                                         "accuracy_last" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(name, names[i]) == 0) return true;
    return false;
}

bool results_value(const case_results *r, const char *name, double *out)
{
    *out = NAN;
    if (strcmp(name, "accuracy") == 0)
        *out = r->best;
    else if (strcmp(name, "last_accuracy") == 0)
        *out = r->last;
    else if (strcmp(name, "M") == 0 || strcmp(name, "M_max") == 0)
        *out = curve_value(r->analysis, true, name[1] == '_');
    else if (strcmp(name, "Q") == 0 || strcmp(name, "Q_max") == 0)
        *out = curve_value(r->analysis, false, name[1] == '_');
    else if (strcmp(name, "removed") == 0)
        *out = r->prune ? cJSON_GetArraySize(cJSON_GetObjectItem(r->prune, "removed")) : NAN;
    else if (is_prune_number(name))
        *out = json_number(r->prune, name, NAN);
    else
        return false;
    return true;
}

static bool is_accuracy(const char *name)
{
    return strstr(name, "accuracy") != NULL;
}

double results_scale(const char *name)
{
    return is_accuracy(name) ? 100 : 1;
}

int results_digits(const char *name)
{
    if (is_accuracy(name) || strstr(name, "percent") || strstr(name, "latency")) return 2;
    if (strncmp(name, "params", 6) == 0 || strncmp(name, "macs", 4) == 0 || strncmp(name, "images", 6) == 0)
        return 0;
    return strcmp(name, "removed") == 0 ? 1 : 4;
}
