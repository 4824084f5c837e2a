/* tools/sweep/report_status.c -- sweep status: a case a line. */
#include "../../core/base/log.h"
#include "report.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* All tasks looked at once. */
static status look_at_all(const sweep_plan *p, const bool *queued, task_info **out)
{
    status st = OK;
    TRY_ALLOC(*out, calloc(p->n_tasks + 1, sizeof **out));
    for (unsigned i = 0; i < p->n_tasks; i++) {
        task_look(p, (int)i, &(*out)[i]);
        task_state *s = &(*out)[i].state;
        if (queued && queued[i] && (*s == TASK_WAITING || *s == TASK_STOPPED)) *s = TASK_QUEUED;
    }
out:
    return st;
}

static void duration(double seconds, char *out, size_t bytes)
{
    long s = (long)(seconds + 0.5);
    if (!isfinite(seconds))
        snprintf(out, bytes, "-");
    else
        snprintf(out, bytes, "%ld:%02ld:%02ld", s / 3600, s / 60 % 60, s % 60);
}

/* The stage to tell about: the one that runs, else the last that has begun. */
static const task_info *current(const planned_case *c, const task_info *info)
{
    const task_info *last = &info[c->task[STAGE_TRAIN]];
    for (int s = 0; s < STAGES; s++) {
        if (c->task[s] < 0) continue;
        const task_info *i = &info[c->task[s]];
        if (i->state == TASK_RUNNING) return i;
        if (s != STAGE_ANALYZE && i->state != TASK_WAITING && i->state != TASK_QUEUED) last = i;
    }
    return last;
}

static void print_case(const sweep_plan *p, unsigned i, const task_info *info, int width)
{
    const planned_case *c = &p->cases[i];
    const task_info *now = current(c, info);
    char label[512], epoch[32] = "-", accuracy[32] = "-", left[32], stages[STAGES * 10 + 1] = "";
    planned_case_label(p, i, label, sizeof label);
    if (now->epoch > 0) snprintf(epoch, sizeof epoch, "%d/%d", now->epoch, now->epochs);
    if (isfinite(now->accuracy)) snprintf(accuracy, sizeof accuracy, "%.2f %%", 100 * now->accuracy);
    duration(now->seconds_left, left, sizeof left);
    for (int s = 0, n = 0; s <= (int)p->last; s++)
        n +=
            snprintf(stages + n, sizeof stages - (size_t)n, "%-9s ", task_state_name[info[c->task[s]].state]);
    log_info("%-*s  %s%9s %9s %8s  %s", width, label, stages, epoch, accuracy, left,
             now->host[0] ? now->host : "-");
}

static void print_header(const sweep_plan *p, int width)
{
    char stages[STAGES * 10 + 1] = "";
    for (int s = 0, n = 0; s <= (int)p->last; s++)
        n += snprintf(stages + n, sizeof stages - (size_t)n, "%-9s ", stage_name[s]);
    log_info("%-*s  %s%9s %9s %8s  %s", width, "case", stages, "epoch", "accuracy", "left", "host");
}

static int label_width(const sweep_plan *p)
{
    int width = 4;
    for (unsigned i = 0; i < p->n_cases; i++) {
        char label[512];
        planned_case_label(p, i, label, sizeof label);
        if ((int)strlen(label) > width) width = (int)strlen(label);
    }
    return width;
}

status report_status(const sweep_plan *p, const bool *queued, sweep_counts *out)
{
    status st = OK;
    task_info *info = NULL;
    int width = label_width(p), n;
    char line[256];
    *out = (sweep_counts){ .tasks = (int)p->n_tasks };
    TRY(look_at_all(p, queued, &info));
    print_header(p, width);
    for (unsigned i = 0; i < p->n_cases; i++) print_case(p, i, info, width);
    for (unsigned i = 0; i < p->n_tasks; i++) {
        out->of[info[i].state]++;
        if (info[i].state == TASK_FAILED || info[i].state == TASK_STOPPED)
            log_info("%s %s: %s", task_state_name[info[i].state], p->task[i].id, info[i].reason);
    }
    n = snprintf(line, sizeof line, "%u cases, %u tasks:", p->n_cases, p->n_tasks);
    for (int s = TASK_DONE, first = 1; s >= 0; s--)
        if (out->of[s]) {
            n += snprintf(line + n, sizeof line - (size_t)n, "%s %d %s", first ? "" : ",", out->of[s],
                          task_state_name[s]);
            first = 0;
        }
    log_info("%s", line);
out:
    free(info);
    return st;
}

/* ---- JSON ---- */

static bool add_task(cJSON *stages, const sweep_plan *p, int task, const task_info *i)
{
    cJSON *j = cJSON_AddObjectToObject(stages, stage_name[p->task[task].stage]);
    bool good = j && json_put_text(j, "task", p->task[task].id) == OK &&
                json_put_text(j, "state", task_state_name[i->state]) == OK;
    if (p->task[task].stage != STAGE_ANALYZE)
        good = good && json_put_number(j, "epoch", i->epoch) == OK && json_put_number(j, "epochs", i->epochs) == OK &&
               json_put_number(j, "accuracy", i->accuracy) == OK;
    return good && json_put_number(j, "seconds_left", i->seconds_left) == OK && json_put_text(j, "host", i->host) == OK &&
           json_put_text(j, "reason", i->reason) == OK;
}

static bool add_case(cJSON *list, const sweep_plan *p, const planned_case *c, const task_info *info)
{
    cJSON *j = cJSON_CreateObject();
    if (!cJSON_AddItemToArray(list, j)) {
        cJSON_Delete(j);
        return false;
    }
    cJSON *settings = cJSON_AddObjectToObject(j, "settings"), *stages = cJSON_AddObjectToObject(j, "stages");
    bool good = settings && stages;
    for (unsigned k = 0; good && k < p->n_keys; k++)
        good = json_put_text(settings, p->key[k], c->setting[k].text) == OK;
    for (int s = 0; good && s <= (int)p->last; s++) good = add_task(stages, p, c->task[s], &info[c->task[s]]);
    return good;
}

status report_status_json(const sweep_plan *p, const bool *queued, cJSON **out)
{
    status st = OK;
    task_info *info = NULL;
    int of[TASK_DONE + 1] = { 0 };
    cJSON *j = cJSON_CreateObject();
    TRY(look_at_all(p, queued, &info));
    for (unsigned i = 0; i < p->n_tasks; i++) of[info[i].state]++;
    bool good = json_put_text(j, "sweep", p->name) == OK && json_put_text(j, "dir", p->dir) == OK;
    cJSON *counts = cJSON_AddObjectToObject(j, "counts"), *cases = cJSON_AddArrayToObject(j, "cases");
    for (int s = 0; good && s <= TASK_DONE; s++) good = json_put_number(counts, task_state_name[s], of[s]) == OK;
    for (unsigned i = 0; good && i < p->n_cases; i++) good = add_case(cases, p, &p->cases[i], info);
    if (!good) FAIL(ERR_RUNTIME, "out of memory");
    *out = j;
    j = NULL;
out:
    cJSON_Delete(j);
    free(info);
    return st;
}
