/* tools/sweep/clean.c -- see clean.h. Lists what to remove, checks that no process works there, then
 * removes it. */
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
    char **path; /* [n] to be removed */
    unsigned n;
    char **kept; /* [n_kept] names of pruned runs that results point to */
    unsigned n_kept;
    bool prune_unfinished; /* a pruning is not done, so the name of its run is not known */
} cleaner;

/* rundir_create makes a folder called ...-sSEED with a config.yaml. */
static bool is_run(const char *path)
{
    file_path config_path;
    const char *seed = strrchr(path_name(path), '-');
    return seed && seed[1] == 's' && seed[2] && seed[2 + strspn(seed + 2, "0123456789")] == '\0' &&
           path_set(&config_path, "%s/config.yaml", path) == OK && file_exists(config_path.s);
}

/* The index of the training whose run has this name; -1: none. */
static int training_of(const sweep_plan *p, const char *run)
{
    const int i = sweep_plan_find(p, run); /* the name of a training is that of its run */
    return i >= 0 && p->task[i].stage == STAGE_TRAIN ? i : -1;
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
    const int task = training_of(c->plan, name);
    if (c->what == CLEAN_ALL) return false;
    if (task >= 0) return c->what != CLEAN_FAILED || !failed(c->plan, task);
    if (list_has_text(c->kept, c->n_kept, name)) return true;
    return strstr(name, "-pruned") && c->prune_unfinished; /* it may belong to that pruning */
}

static bool task_is_wanted(const cleaner *c, const char *path)
{
    int task = sweep_plan_find(c->plan, path_name(path));
    if (c->what == CLEAN_ALL || task < 0) return false;
    return c->what != CLEAN_FAILED || !failed(c->plan, task);
}

/* Lists what to remove in a folder of runs or of tasks. */
static status list_folder(cleaner *c, const char *dir, bool tasks)
{
    status st = OK;
    file_path path;
    DIR *d = opendir(dir);
    if (!d && errno != ENOENT) FAIL(ERR_RUNTIME, "%s: %s", dir, strerror(errno));
    for (struct dirent *e; d && (e = readdir(d));) {
        if (e->d_name[0] == '.') continue;
        TRY(path_set(&path, "%s/%s", dir, e->d_name));
        bool unwanted = tasks ? !task_is_wanted(c, path.s) : is_run(path.s) && !run_is_wanted(c, path.s);
        /* Nobody writes to a temporary file: check_free makes sure that no process works here. */
        if (unwanted || file_is_temporary(e->d_name)) TRY(list_add_text(&c->path, &c->n, path.s));
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
    file_path path;
    static const char *const rest[] = { "tasks", "slurm", "sweep.json" };
    for (size_t i = 0; i < sizeof rest / sizeof *rest; i++) {
        TRY(path_set(&path, "%s/%s", c->plan->dir, rest[i]));
        if (file_exists(path.s)) TRY(list_add_text(&c->path, &c->n, path.s));
    }
out:
    return st;
}

static status check_folder(const char *dir, const char *name)
{
    status st = OK;
    lock_holder who = { 0 };
    if (lock_is_held(dir, &who))
        FAIL(ERR_RUNTIME, "%s: process %ld on %s works here", name, who.pid, who.host);
out:
    return st;
}

static status check_free(const cleaner *c)
{
    status st = OK;
    file_path dir;
    for (unsigned i = 0; i < c->plan->n_tasks && c->what != CLEAN_LEFTOVERS; i++) {
        TRY(task_path(c->plan, (int)i, "", &dir));
        TRY(check_folder(dir.s, c->plan->task[i].id));
    }
    for (unsigned i = 0; i < c->n; i++) TRY(check_folder(c->path[i], c->path[i]));
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
    file_path tasks;
    cleaner c = { .plan = p, .what = what };
    TRY(find_pruned(&c));
    TRY(list_folder(&c, p->dir, false));
    TRY(path_set(&tasks, "%s/tasks", p->dir));
    if (what == CLEAN_ALL)
        TRY(add_rest(&c));
    else
        TRY(list_folder(&c, tasks.s, true));
    TRY(check_free(&c));
    TRY(remove_all(&c, dry));
    *n = (int)c.n;
out:
    list_free_texts(c.path, c.n);
    list_free_texts(c.kept, c.n_kept);
    return st;
}
