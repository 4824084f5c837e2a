/* tools/sweep/clean.c -- see clean.h. First a list, then a look whether all of it is free, then the removal.
 */
#include "clean.h"

#include "../../core/base/file.h"
#include "../../core/base/lock.h"
#include "../../core/base/log.h"
#include "list.h"
#include "state.h"

#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct cleaner {
    const sweep_plan *plan;
    clean_what what;
    char **path; /* to be removed */
    unsigned n;
    char **kept; /* names of pruned runs that results point to */
    unsigned n_kept;
    bool prune_unfinished; /* whose pruned run is not known by name */
} cleaner;

/* A run directory, as rundir_create makes it: config.yaml in a folder called ...-sSEED. */
static bool is_run(const char *path)
{
    char config_path[4096];
    const char *seed = strrchr(path_name(path), '-');
    return seed && seed[1] == 's' && seed[2] && seed[2 + strspn(seed + 2, "0123456789")] == '\0' &&
           text_format(config_path, sizeof config_path, "%s/config.yaml", path) == OK &&
           file_exists(config_path);
}

static const sweep_task *task_of_run(const sweep_plan *p, const char *name, int *index)
{
    for (unsigned i = 0; i < p->n_tasks; i++)
        if (p->task[i].stage == STAGE_TRAIN && strcmp(p->task[i].run, name) == 0) {
            *index = (int)i;
            return &p->task[i];
        }
    return NULL;
}

static bool failed(const sweep_plan *p, int task)
{
    task_info info;
    task_look(p, task, &info);
    return info.state == TASK_FAILED;
}

static bool run_is_wanted(const cleaner *c, const char *path)
{
    const char *name = path_name(path);
    int task;
    if (c->what == CLEAN_ALL) return false;
    if (task_of_run(c->plan, name, &task)) return c->what != CLEAN_FAILED || !failed(c->plan, task);
    if (list_has_text(c->kept, c->n_kept, name)) return true;
    return strstr(name, "-pruned") && c->prune_unfinished; /* may be the one of a pruning that goes on */
}

static bool task_is_wanted(const cleaner *c, const char *path)
{
    int task = sweep_plan_find(c->plan, path_name(path));
    if (c->what == CLEAN_ALL || task < 0) return false;
    return c->what != CLEAN_FAILED || !failed(c->plan, task);
}

/* "NAME.tmp-PID" of file_begin: nobody's, if the process is gone; the lock says whether one works here. */
static bool is_temporary(const char *path)
{
    const char *tmp = strstr(path_name(path), ".tmp-");
    return tmp && tmp[5] && tmp[5 + strspn(tmp + 5, "0123456789")] == '\0';
}

static status list_folder(cleaner *c, const char *dir, bool tasks)
{
    status st = OK;
    char path[4096];
    DIR *d = opendir(dir);
    for (struct dirent *e; d && (e = readdir(d));) {
        if (e->d_name[0] == '.') continue;
        TRY(text_format(path, sizeof path, "%s/%s", dir, e->d_name));
        bool goes = tasks ? !task_is_wanted(c, path) : is_run(path) && !run_is_wanted(c, path);
        if (goes || is_temporary(path)) TRY(list_add_text(&c->path, &c->n, path));
    }
out:
    if (d) closedir(d);
    return st;
}

static status find_pruned(cleaner *c)
{
    status st = OK;
    cJSON *result = NULL;
    for (unsigned i = 0; i < c->plan->n_tasks; i++) {
        if (c->plan->task[i].stage != STAGE_PRUNE) continue;
        if (!(result = task_result(c->plan, (int)i)))
            c->prune_unfinished = true;
        else if (*task_pruned_run(result))
            TRY(list_add_text(&c->kept, &c->n_kept, task_pruned_run(result)));
        cJSON_Delete(result);
        result = NULL;
    }
out:
    cJSON_Delete(result);
    return st;
}

static status add_rest(cleaner *c)
{
    status st = OK;
    char path[4096];
    static const char *const rest[] = { "tasks", "slurm", "sweep.json" };
    for (size_t i = 0; i < sizeof rest / sizeof *rest; i++) {
        TRY(text_format(path, sizeof path, "%s/%s", c->plan->dir, rest[i]));
        if (file_exists(path)) TRY(list_add_text(&c->path, &c->n, path));
    }
out:
    return st;
}

static status check_free(const cleaner *c)
{
    status st = OK;
    char path[4096];
    lock_holder who = { 0 };
    for (unsigned i = 0; i < c->plan->n_tasks; i++) {
        TRY(task_path(c->plan, (int)i, "", path, sizeof path));
        if (c->what != CLEAN_LEFTOVERS && lock_is_held(path, &who))
            FAIL(ERR_RUNTIME, "%s: process %ld on %s works here", c->plan->task[i].id, who.pid, who.host);
    }
    for (unsigned i = 0; i < c->n; i++)
        if (lock_is_held(c->path[i], &who))
            FAIL(ERR_RUNTIME, "%s: process %ld on %s works here", c->path[i], who.pid, who.host);
out:
    return st;
}

static int remove_one(const char *path, const struct stat *s, int type, struct FTW *ftw)
{
    (void)s, (void)type, (void)ftw;
    return remove(path);
}

static status remove_all(const cleaner *c, bool dry)
{
    status st = OK;
    for (unsigned i = 0; i < c->n; i++) {
        log_info("%s %s", dry ? "would remove" : "remove", c->path[i]);
        if (!dry && nftw(c->path[i], remove_one, 16, FTW_DEPTH | FTW_PHYS) != 0)
            FAIL(ERR_RUNTIME, "cannot remove %s: %s", c->path[i], strerror(errno));
    }
out:
    return st;
}

status sweep_clean(const sweep_plan *p, clean_what what, bool dry, int *n)
{
    status st = OK;
    char tasks[4096];
    cleaner c = { .plan = p, .what = what };
    TRY(find_pruned(&c));
    TRY(list_folder(&c, p->dir, false));
    TRY(text_format(tasks, sizeof tasks, "%s/tasks", p->dir));
    if (what != CLEAN_ALL) TRY(list_folder(&c, tasks, true));
    if (what == CLEAN_ALL) TRY(add_rest(&c));
    TRY(check_free(&c));
    TRY(remove_all(&c, dry));
    *n = (int)c.n;
out:
    list_free_texts(c.path, c.n);
    list_free_texts(c.kept, c.n_kept);
    return st;
}
