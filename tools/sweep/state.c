/* tools/sweep/state.c -- see state.h. */
#include "state.h"

#include "../../core/base/file.h"
#include "../../core/base/lock.h"
#include "../../nets/rundir.h"
#include "list.h"

#include <dirent.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

const char *const task_state_name[] = { "waiting", "queued", "running", "stopped", "failed", "done" };

/* Is there `path`, and not older than `than`? */
static bool is_as_new(const char *path, const char *than)
{
    struct stat a, b;
    if (stat(path, &a) || stat(than, &b)) return false;
    if (a.st_mtim.tv_sec != b.st_mtim.tv_sec) return a.st_mtim.tv_sec > b.st_mtim.tv_sec;
    return a.st_mtim.tv_nsec >= b.st_mtim.tv_nsec;
}

static cJSON *read_record(const sweep_plan *p, int task)
{
    char path[4096];
    return task_path(p, task, "state.json", path, sizeof path) == OK ? json_read_if_any(path) : NULL;
}

static bool recorded_done(const sweep_plan *p, int task)
{
    cJSON *record = read_record(p, task);
    bool done = strcmp(json_text(record, "state"), "done") == 0;
    cJSON_Delete(record);
    return done;
}

/* ---- done ---- */

/* The run says so itself, whoever trained it: its name stands for its configuration. */
static bool train_done(const sweep_plan *p, int task)
{
    char status_path[4096], best[4096];
    if (task_run_path(p, task, "status.json", status_path, sizeof status_path) != OK ||
        task_run_path(p, task, "best.safetensors", best, sizeof best) != OK)
        return false;
    cJSON *j = json_read_if_any(status_path);
    bool done = strcmp(json_text(j, "state"), "done") == 0 && file_exists(best);
    cJSON_Delete(j);
    return done;
}

/* analysis.json does not tell all its settings: it counts if it is the one that this task recorded. */
static bool analyze_done(const sweep_plan *p, int task)
{
    char best[4096], analysis[4096], record[4096];
    return task_run_path(p, task, "best.safetensors", best, sizeof best) == OK &&
           task_analysis_path(p, task, "analysis.json", analysis, sizeof analysis) == OK &&
           task_path(p, task, "state.json", record, sizeof record) == OK && is_as_new(analysis, best) &&
           is_as_new(record, analysis) && recorded_done(p, task);
}

const char *task_pruned_run(const cJSON *result)
{
    return path_name(json_text(result, "run"));
}

static bool prune_done(const sweep_plan *p, int task)
{
    char analysis[4096], record[4096], result[4096], pruned[4096];
    if (task_analysis_path(p, task, "analysis.json", analysis, sizeof analysis) != OK ||
        task_path(p, task, "state.json", record, sizeof record) != OK ||
        task_path(p, task, "result.json", result, sizeof result) != OK || !is_as_new(record, analysis) ||
        !recorded_done(p, task))
        return false;
    cJSON *j = json_read_if_any(result);
    const char *run = task_pruned_run(j);
    bool done = j && text_format(pruned, sizeof pruned, "%s/%s/prune.json", p->dir, run) == OK &&
                (!*run || file_exists(pruned));
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
    char path[4096];
    if (!task_done(p, task) || task_path(p, task, "result.json", path, sizeof path) != OK) return NULL;
    return json_read_if_any(path);
}

/* ---- on the way ---- */

/* "seconds" of the last line of RUN/metrics.jsonl; NaN if there is none. */
static double last_epoch_seconds(const char *run)
{
    char path[4096], *text = NULL;
    double seconds = NAN;
    if (text_format(path, sizeof path, "%s/metrics.jsonl", run) != OK || !file_exists(path) ||
        file_read(path, &text, NULL) != OK)
        return NAN;
    char *end = strrchr(text, '\n');
    if (end) {
        *end = '\0';
        char *start = strrchr(text, '\n');
        cJSON *j = cJSON_Parse(start ? start + 1 : text);
        seconds = json_number(j, "seconds", NAN);
        cJSON_Delete(j);
    }
    free(text);
    return seconds;
}

static void look_at_run(const char *run, task_info *out)
{
    char path[4096];
    if (text_format(path, sizeof path, "%s/status.json", run) != OK) return;
    cJSON *j = json_read_if_any(path);
    if (!j) return;
    out->epoch = (int)json_number(j, "epoch", 0);
    out->epochs = (int)json_number(j, "epochs", out->epochs);
    if (out->epoch > 0) out->accuracy = json_number(j, "best_accuracy", NAN);
    if (!out->host[0]) snprintf(out->host, sizeof out->host, "%s", json_text(j, "host"));
    out->seconds_left = (out->epochs - out->epoch) * last_epoch_seconds(run);
    struct stat s;
    double since = stat(path, &s) == 0 ? difftime(time(NULL), s.st_mtime) : 0;
    if (out->state == TASK_RUNNING && out->epoch < out->epochs && since > 0)
        out->seconds_left = out->seconds_left > since ? out->seconds_left - since : 0;
    cJSON_Delete(j);
}

/* A pruned run's name is known only when it is done. While it runs: the run whose status is by the same
 * process. */
static bool find_run_of(const sweep_plan *p, const task_info *who, char *out, size_t bytes)
{
    bool found = false;
    DIR *d = opendir(p->dir);
    for (struct dirent *e; !found && d && (e = readdir(d));) {
        char path[4096];
        if (!strstr(e->d_name, "-pruned") || text_format(out, bytes, "%s/%s", p->dir, e->d_name) != OK ||
            text_format(path, sizeof path, "%s/status.json", out) != OK)
            continue;
        cJSON *j = json_read_if_any(path);
        found = j && json_number(j, "pid", -1) == (double)who->pid &&
                strcmp(json_text(j, "host"), who->host) == 0;
        cJSON_Delete(j);
    }
    if (d) closedir(d);
    return found;
}

static void look_at_progress(const sweep_plan *p, int task, task_info *out)
{
    char run[4096];
    const sweep_task *t = &p->task[task];
    cJSON *result = NULL;
    if (t->stage == STAGE_TRAIN && task_run_path(p, task, "", run, sizeof run) == OK) look_at_run(run, out);
    if (t->stage != STAGE_PRUNE) return;
    if (out->state == TASK_DONE && (result = task_result(p, task))) {
        const char *name = task_pruned_run(result);
        if (*name && text_format(run, sizeof run, "%s/%s", p->dir, name) == OK) look_at_run(run, out);
        out->accuracy = json_number(result, "accuracy_after", json_number(result, "accuracy_before", NAN));
    } else if (out->state == TASK_RUNNING && find_run_of(p, out, run, sizeof run)) {
        look_at_run(run, out);
    }
    cJSON_Delete(result);
}

/* Who runs holds the lock; state.json may say "running" of one that was killed. */
void task_look(const sweep_plan *p, int task, task_info *out)
{
    char dir[4096];
    lock_holder who;
    *out = (task_info){ .epochs = p->task[task].epochs, .accuracy = NAN, .seconds_left = NAN };
    cJSON *record = read_record(p, task);
    const char *state = json_text(record, "state");
    if (record) {
        snprintf(out->host, sizeof out->host, "%s", json_text(record, "host"));
        out->pid = (long)json_number(record, "pid", 0);
    }
    if (task_path(p, task, "", dir, sizeof dir) == OK && lock_is_held(dir, &who))
        out->state = TASK_RUNNING;
    else if (task_done(p, task))
        out->state = TASK_DONE;
    else if (strcmp(state, "failed") == 0)
        out->state = TASK_FAILED;
    else if (strcmp(state, "stopped") == 0 || strcmp(state, "running") == 0)
        out->state = TASK_STOPPED;
    if (out->state == TASK_FAILED || out->state == TASK_STOPPED)
        snprintf(out->reason, sizeof out->reason, "%s",
                 strcmp(state, "running") == 0 ? "ended without a word: killed, or the machine went down"
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
    char path[4096], host[256] = "";
    if (gethostname(host, sizeof host - 1) != 0) host[0] = '\0';
    cJSON *j = cJSON_CreateObject();
    bool good = j && json_put_text(j, "state", task_state_name[state]) == OK && json_put_text(j, "host", host) == OK &&
                json_put_number(j, "pid", (double)pid) == OK && json_put_number(j, "exit_code", exit_code) == OK &&
                json_put_number(j, "seconds", seconds) == OK && json_put_text(j, "reason", reason) == OK;
    if (!good) FAIL(ERR_RUNTIME, "out of memory");
    TRY(task_path(p, task, "state.json", path, sizeof path));
    TRY(json_write(path, j));
out:
    cJSON_Delete(j);
    return st;
}
