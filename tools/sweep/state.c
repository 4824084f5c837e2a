/* tools/sweep/state.c -- see state.h. */
#include "state.h"

#include "../../core/base/file.h"
#include "../../core/base/host.h"
#include "../../core/base/lock.h"
#include "../../core/base/log.h"
#include "../../nets/rundir.h"

#include <dirent.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

const char *const task_state_name[TASK_STATES] = { "waiting", "blocked", "queued", "running",
                                                   "stopped", "failed",  "done" };

static cJSON *read_record(const sweep_plan *p, int task)
{
    file_path path;
    return task_path(p, task, "state.json", &path) == OK ? json_read_if_any(path.s) : NULL;
}

static bool recorded_done(const sweep_plan *p, int task)
{
    cJSON *record = read_record(p, task);
    bool done = strcmp(json_text(record, "state"), "done") == 0;
    cJSON_Delete(record);
    return done;
}

/* ---- done ---- */

/* The run says so itself, whoever trained it: the name of a run directory depends on its configuration. */
static bool train_done(const sweep_plan *p, int task)
{
    file_path run;
    run_progress progress;
    return task_run_path(p, task, "", &run) == OK &&
           rundir_progress(run.s, p->task[task].epochs, &progress) == OK && progress.done;
}

/* analysis.json does not hold all of its settings, so it counts only if this task has recorded that it
 * wrote it. */
static bool analyze_done(const sweep_plan *p, int task)
{
    file_path best, analysis, record;
    return task_run_path(p, task, "best.safetensors", &best) == OK &&
           task_analysis_path(p, task, "analysis.json", &analysis) == OK &&
           task_path(p, task, "state.json", &record) == OK && file_is_newer(analysis.s, best.s) &&
           file_is_newer(record.s, analysis.s) && recorded_done(p, task);
}

const char *task_pruned_run(const cJSON *result)
{
    return path_name(json_text(result, "run"));
}

static bool prune_done(const sweep_plan *p, int task)
{
    file_path analysis, record, result, pruned;
    if (task_analysis_path(p, task, "analysis.json", &analysis) != OK ||
        task_path(p, task, "state.json", &record) != OK || task_path(p, task, "result.json", &result) != OK ||
        !file_is_newer(record.s, analysis.s) || !recorded_done(p, task))
        return false;
    cJSON *j = json_read_if_any(result.s);
    const char *run = task_pruned_run(j);
    bool done =
        j && path_set(&pruned, "%s/%s/prune.json", p->dir, run) == OK && (!*run || file_exists(pruned.s));
    cJSON_Delete(j);
    return done;
}

bool task_done(const sweep_plan *p, int task)
{
    const sweep_task *t = &p->task[task];
    if (t->parent >= 0 && !task_done(p, t->parent)) return false;
    switch (t->stage) {
    case STAGE_TRAIN: return train_done(p, task);
    case STAGE_ANALYZE: return analyze_done(p, task);
    case STAGE_PRUNE: return prune_done(p, task);
    default: return false;
    }
}

cJSON *task_result(const sweep_plan *p, int task)
{
    file_path path;
    if (!task_done(p, task) || task_path(p, task, "result.json", &path) != OK) return NULL;
    return json_read_if_any(path.s);
}

/* ---- not done yet ---- */

/* NaN if no epoch is finished. */
static double last_epoch_seconds(const char *run)
{
    file_path path;
    if (path_set(&path, "%s/metrics.jsonl", run) != OK) return NAN;
    cJSON *epoch = json_read_last_line(path.s);
    double seconds = json_number(epoch, "seconds", NAN);
    cJSON_Delete(epoch);
    return seconds;
}

static void look_at_run(const char *run, task_info *out)
{
    file_path path;
    if (path_set(&path, "%s/status.json", run) != OK) return;
    cJSON *j;
    if (rundir_status_read(run, &j) != OK || !j) return;
    out->epoch = (int)json_whole(j, "epoch", 0, INT_MAX, 0);
    out->epochs = (int)json_whole(j, "epochs", 0, INT_MAX, out->epochs);
    if (out->epoch > 0) out->accuracy = json_number(j, "best_accuracy", NAN);
    if (!out->host[0]) snprintf(out->host, sizeof out->host, "%s", json_text(j, "host"));
    out->seconds_left = (out->epochs - out->epoch) * last_epoch_seconds(run);
    struct stat s;
    double since = stat(path.s, &s) == 0 ? difftime(time(NULL), s.st_mtime) : 0;
    if (out->state == TASK_RUNNING && out->epoch < out->epochs && since > 0)
        out->seconds_left = out->seconds_left > since ? out->seconds_left - since : 0;
    cJSON_Delete(j);
}

/* The name of a pruned run is known only when the pruning is done. While it runs, its run is the one whose
 * status.json names the same process. */
static bool find_run_of(const sweep_plan *p, const task_info *who, file_path *run)
{
    bool found = false;
    DIR *d = opendir(p->dir);
    for (struct dirent *e; !found && d && (e = readdir(d));) {
        file_path path;
        if (!strstr(e->d_name, "-pruned") || path_set(run, "%s/%s", p->dir, e->d_name) != OK ||
            path_set(&path, "%s/status.json", run->s) != OK)
            continue;
        cJSON *j = json_read_if_any(path.s);
        found = j && json_number(j, "pid", -1) == (double)who->pid &&
                strcmp(json_text(j, "host"), who->host) == 0;
        cJSON_Delete(j);
    }
    if (d) closedir(d);
    return found;
}

static void look_at_progress(const sweep_plan *p, int task, task_info *out)
{
    file_path run;
    const sweep_task *t = &p->task[task];
    cJSON *result = NULL;
    if (t->stage == STAGE_TRAIN && task_run_path(p, task, "", &run) == OK) look_at_run(run.s, out);
    if (t->stage != STAGE_PRUNE) return;
    if (out->state == TASK_DONE && (result = task_result(p, task))) {
        const char *name = task_pruned_run(result);
        if (*name && path_set(&run, "%s/%s", p->dir, name) == OK) look_at_run(run.s, out);
        out->accuracy = json_number(result, "accuracy_after", json_number(result, "accuracy_before", NAN));
    } else if (out->state == TASK_RUNNING && find_run_of(p, out, &run)) {
        look_at_run(run.s, out);
    }
    cJSON_Delete(result);
}

/* A task runs if its folder is locked. Its record alone does not say so: that of a killed process says
 * "running" too. */
void task_look(const sweep_plan *p, int task, task_info *out)
{
    file_path dir;
    lock_holder who;
    *out = (task_info){ .epochs = p->task[task].epochs, .accuracy = NAN, .seconds_left = NAN };
    cJSON *record = read_record(p, task);
    const char *state = json_text(record, "state");
    if (record) {
        snprintf(out->host, sizeof out->host, "%s", json_text(record, "host"));
        out->pid = (long)json_whole(record, "pid", 0, INT_MAX, 0);
    }
    if (task_path(p, task, "", &dir) == OK && lock_is_held(dir.s, &who))
        out->state = TASK_RUNNING;
    else if (task_done(p, task))
        out->state = TASK_DONE;
    else if (strcmp(state, "failed") == 0)
        out->state = TASK_FAILED;
    else if (strcmp(state, "stopped") == 0 || strcmp(state, "running") == 0)
        out->state = TASK_STOPPED;
    if (out->state == TASK_FAILED || out->state == TASK_STOPPED)
        snprintf(out->reason, sizeof out->reason, "%s",
                 strcmp(state, "running") == 0 ? "the process was killed, or the machine went down"
                                               : json_text(record, "reason"));
    look_at_progress(p, task, out);
    if (out->state != TASK_RUNNING) out->seconds_left = NAN;
    cJSON_Delete(record);
}

/* ---- records ---- */

status task_record(const sweep_plan *p, int task, task_state state, long pid, int exit_code, double seconds,
                   const char *reason)
{
    status st = OK;
    file_path path;
    cJSON *j;
    TRY_ALLOC(j, cJSON_CreateObject());
    TRY(json_put_text(j, "state", task_state_name[state]));
    TRY(json_put_text(j, "host", host_name().s));
    TRY(json_put_number(j, "pid", (double)pid));
    TRY(json_put_number(j, "exit_code", exit_code));
    TRY(json_put_number(j, "seconds", seconds));
    TRY(json_put_text(j, "reason", reason));
    TRY(task_path(p, task, "state.json", &path));
    TRY(json_write(path.s, j));
out:
    cJSON_Delete(j);
    return st;
}

/* ---- sweep status ---- */

/* An array of all tasks' infos, which the caller frees. */
static status look_at_all(const sweep_plan *p, const bool *queued, task_info **out)
{
    status st = OK;
    TRY_ALLOC(*out, calloc(p->n_tasks + 1, sizeof **out));
    for (unsigned i = 0; i < p->n_tasks; i++) {
        task_look(p, (int)i, &(*out)[i]);
        task_state *s = &(*out)[i].state;
        if (queued && queued[i] && (*s == TASK_WAITING || *s == TASK_STOPPED)) *s = TASK_QUEUED;
        const int parent = p->task[i].parent; /* comes before its children */
        if (*s == TASK_WAITING && parent >= 0 &&
            ((*out)[parent].state == TASK_FAILED || (*out)[parent].state == TASK_BLOCKED))
            *s = TASK_BLOCKED;
    }
out:
    return st;
}

duration_text sweep_duration(double seconds)
{
    duration_text t = { "-" };
    if (!(seconds >= 0 && seconds < 1e12)) return t; /* nor NaN */
    const long s = (long)(seconds + 0.5);
    snprintf(t.s, sizeof t.s, "%ld:%02ld:%02ld", s / 3600, s / 60 % 60, s % 60);
    return t;
}

/* The stage whose progress a line shows: the one that runs, else the last training or pruning that has
 * begun. */
static const task_info *current(const planned_case *c, const task_info *info)
{
    const task_info *last = &info[c->task[STAGE_TRAIN]];
    for (int s = 0; s < STAGES; s++) {
        if (c->task[s] < 0) continue;
        const task_info *i = &info[c->task[s]];
        if (i->state == TASK_RUNNING) return i;
        if (s != STAGE_ANALYZE && i->state != TASK_WAITING && i->state != TASK_BLOCKED &&
            i->state != TASK_QUEUED)
            last = i;
    }
    return last;
}

typedef struct stage_cells { /* a column of 10 characters for each stage */
    char s[STAGES * 10 + 1];
} stage_cells;

static void add_cell(stage_cells *cells, const char *text)
{
    size_t n = strlen(cells->s);
    snprintf(cells->s + n, sizeof cells->s - n, "%-9s ", text);
}

static void print_case(const sweep_plan *p, unsigned i, const task_info *info, int width)
{
    const planned_case *c = &p->cases[i];
    const task_info *now = current(c, info);
    char label[512], epoch[32] = "-", accuracy[32] = "-";
    stage_cells stages = { "" };
    planned_case_label(p, i, label, sizeof label);
    if (now->epoch > 0) snprintf(epoch, sizeof epoch, "%d/%d", now->epoch, now->epochs);
    if (isfinite(now->accuracy)) snprintf(accuracy, sizeof accuracy, "%.2f %%", 100 * now->accuracy);
    for (int s = 0; s <= (int)p->last; s++) add_cell(&stages, task_state_name[info[c->task[s]].state]);
    log_info("%-*s  %s%9s %9s %8s  %s", width, label, stages.s, epoch, accuracy,
             sweep_duration(now->seconds_left).s, now->host[0] ? now->host : "-");
}

static void print_header(const sweep_plan *p, int width)
{
    stage_cells stages = { "" };
    for (int s = 0; s <= (int)p->last; s++) add_cell(&stages, stage_name[s]);
    log_info("%-*s  %s%9s %9s %8s  %s", width, "case", stages.s, "epoch", "accuracy", "left", "host");
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

static void count_states(const sweep_plan *p, const task_info *info, int n_in_state[TASK_STATES])
{
    memset(n_in_state, 0, TASK_STATES * sizeof *n_in_state);
    for (unsigned i = 0; i < p->n_tasks; i++) n_in_state[info[i].state]++;
}

/* "4 cases, 8 tasks: 6 done, 1 failed, 1 waiting" */
static void print_counts(const sweep_plan *p, const int n_in_state[TASK_STATES])
{
    char line[256];
    int n = snprintf(line, sizeof line, "%u cases, %u tasks:", p->n_cases, p->n_tasks);
    const char *between = "";
    for (int s = TASK_DONE; s >= 0; s--) {
        if (!n_in_state[s]) continue;
        n += snprintf(line + n, sizeof line - (size_t)n, "%s %d %s", between, n_in_state[s],
                      task_state_name[s]);
        between = ",";
    }
    log_info("%s", line);
}

status sweep_status_print(const sweep_plan *p, const bool *queued, int n_in_state[TASK_STATES])
{
    status st = OK;
    task_info *info = NULL;
    const int width = label_width(p);
    TRY(look_at_all(p, queued, &info));
    count_states(p, info, n_in_state);
    print_header(p, width);
    for (unsigned i = 0; i < p->n_cases; i++) print_case(p, i, info, width);
    for (unsigned i = 0; i < p->n_tasks; i++)
        if (info[i].state == TASK_FAILED || info[i].state == TASK_STOPPED)
            log_info("%s %s: %s", task_state_name[info[i].state], p->task[i].id, info[i].reason);
    print_counts(p, n_in_state);
out:
    free(info);
    return st;
}

static status put_stage(cJSON *stages, const sweep_plan *p, int task, const task_info *i)
{
    status st = OK;
    cJSON *j;
    TRY(json_put_object(stages, stage_name[p->task[task].stage], &j));
    TRY(json_put_text(j, "task", p->task[task].id));
    TRY(json_put_text(j, "state", task_state_name[i->state]));
    if (p->task[task].stage != STAGE_ANALYZE) {
        TRY(json_put_number(j, "epoch", i->epoch));
        TRY(json_put_number(j, "epochs", i->epochs));
        TRY(json_put_number(j, "accuracy", i->accuracy));
    }
    TRY(json_put_number(j, "seconds_left", i->seconds_left));
    TRY(json_put_text(j, "host", i->host));
    TRY(json_put_text(j, "reason", i->reason));
out:
    return st;
}

static status append_case(cJSON *list, const sweep_plan *p, const planned_case *c, const task_info *info)
{
    status st = OK;
    cJSON *j, *settings, *stages;
    TRY(json_append_object(list, &j));
    TRY(json_put_object(j, "settings", &settings));
    TRY(json_put_object(j, "stages", &stages));
    for (unsigned k = 0; k < p->n_keys; k++) TRY(json_put_text(settings, p->key[k], c->setting[k].text));
    for (int s = 0; s <= (int)p->last; s++) TRY(put_stage(stages, p, c->task[s], &info[c->task[s]]));
out:
    return st;
}

status sweep_status_json(const sweep_plan *p, const bool *queued, cJSON **out)
{
    status st = OK;
    task_info *info = NULL;
    int n_in_state[TASK_STATES];
    cJSON *j = NULL, *counts, *cases;
    TRY(look_at_all(p, queued, &info));
    count_states(p, info, n_in_state);
    TRY_ALLOC(j, cJSON_CreateObject());
    TRY(json_put_text(j, "sweep", p->name));
    TRY(json_put_text(j, "dir", p->dir));
    TRY(json_put_object(j, "counts", &counts));
    for (int s = 0; s < TASK_STATES; s++) TRY(json_put_number(counts, task_state_name[s], n_in_state[s]));
    TRY(json_put_list(j, "cases", &cases));
    for (unsigned i = 0; i < p->n_cases; i++) TRY(append_case(cases, p, &p->cases[i], info));
    *out = j;
    j = NULL;
out:
    cJSON_Delete(j);
    free(info);
    return st;
}
