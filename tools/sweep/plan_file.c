/* tools/sweep/plan_file.c -- DIR/sweep.json: the plan as the last `sweep` of that folder made it.
 *
 *   {"sweep", "file", "last": "prune", "keys": [..],
 *    "cases": [{"settings": {KEY: TEXT}, "finetune": {KEY: TEXT}, "config": YAML, "tasks": {"train": ID,
 * ...}}], "tasks": [{"id", "stage", "parent": ID or null, "run", "analysis", "epochs", "threads", "device",
 * "command"}]} */
#include "../../core/base/file.h"
#include "../../nets/rundir.h"
#include "../../core/base/json.h"
#include "list.h"
#include "plan.h"

#include <stdlib.h>
#include <string.h>

/* ---- writing ---- */

static bool add_settings(cJSON *object, const char *name, const sweep_setting *s, unsigned n)
{
    cJSON *o = cJSON_AddObjectToObject(object, name);
    bool good = o != NULL;
    for (unsigned i = 0; good && i < n; i++) good = json_put_text(o, s[i].key, s[i].text) == OK;
    return good;
}

static bool add_item(cJSON *list, cJSON *item, bool good)
{
    if (good && cJSON_AddItemToArray(list, item)) return true;
    cJSON_Delete(item);
    return false;
}

static bool add_texts(cJSON *object, const char *name, char *const *text, unsigned n)
{
    cJSON *list = cJSON_AddArrayToObject(object, name);
    bool good = list != NULL;
    for (unsigned i = 0; good && i < n; i++) {
        cJSON *item = cJSON_CreateString(text[i]);
        good = add_item(list, item, item != NULL);
    }
    return good;
}

static bool add_case(const sweep_plan *p, const planned_case *c, cJSON *list)
{
    char *yaml = NULL;
    cJSON *j = cJSON_CreateObject(), *tasks = cJSON_AddObjectToObject(j, "tasks");
    bool good = config_yaml(c->cfg, &yaml) == OK && tasks &&
                add_settings(j, "settings", c->setting, c->n_settings) &&
                add_settings(j, "finetune", c->finetune, c->n_finetune) && json_put_text(j, "config", yaml) == OK;
    for (int s = 0; good && s < STAGES; s++)
        if (c->task[s] >= 0) good = json_put_text(tasks, stage_name[s], p->task[c->task[s]].id) == OK;
    free(yaml);
    return add_item(list, j, good);
}

static bool add_task(const sweep_plan *p, const sweep_task *t, cJSON *list)
{
    cJSON *j = cJSON_CreateObject();
    bool good = j && json_put_text(j, "id", t->id) == OK && json_put_text(j, "stage", stage_name[t->stage]) == OK &&
                json_put_text(j, "run", t->run) == OK && json_put_number(j, "epochs", t->epochs) == OK &&
                json_put_number(j, "threads", t->threads) == OK && json_put_text(j, "device", t->device) == OK &&
                add_texts(j, "command", t->command, t->n_command);
    if (good && t->parent >= 0) good = json_put_text(j, "parent", p->task[t->parent].id) == OK;
    if (good && t->analysis) good = json_put_text(j, "analysis", t->analysis) == OK;
    return add_item(list, j, good);
}

static status to_json(const sweep_plan *p, cJSON *j)
{
    status st = OK;
    bool good = json_put_text(j, "sweep", p->name) == OK && json_put_text(j, "file", p->file) == OK &&
                json_put_text(j, "last", stage_name[p->last]) == OK && add_texts(j, "keys", p->key, p->n_keys);
    cJSON *cases = cJSON_AddArrayToObject(j, "cases"), *tasks = cJSON_AddArrayToObject(j, "tasks");
    good = good && cases && tasks;
    for (unsigned i = 0; good && i < p->n_cases; i++) good = add_case(p, &p->cases[i], cases);
    for (unsigned i = 0; good && i < p->n_tasks; i++) good = add_task(p, &p->task[i], tasks);
    if (!good) FAIL(ERR_RUNTIME, "out of memory");
out:
    return st;
}

/* The configuration of a training stands in the task's folder: for train, and for people to repeat it by
 * hand. */
static status write_config(const sweep_plan *p, int task)
{
    status st = OK;
    char path[4096], *old = NULL;
    const char *yaml = p->task[task].yaml;
    if (!yaml) goto out;
    TRY(task_path(p, task, "", path, sizeof path));
    TRY(file_make_dirs(path));
    TRY(task_path(p, task, "config.yaml", path, sizeof path));
    if (file_exists(path) && file_read(path, &old, NULL) == OK && strcmp(old, yaml) == 0) goto out;
    TRY(file_replace(path, yaml, strlen(yaml)));
out:
    free(old);
    return st;
}

status sweep_plan_write(const sweep_plan *p)
{
    status st = OK;
    char path[4096];
    cJSON *j = NULL;
    for (unsigned i = 0; i < p->n_tasks; i++) TRY(write_config(p, (int)i));
    TRY_ALLOC(j, cJSON_CreateObject());
    TRY(to_json(p, j));
    TRY(text_format(path, sizeof path, "%s/sweep.json", p->dir));
    TRY(json_write(path, j));
out:
    cJSON_Delete(j);
    return st;
}

/* ---- reading ---- */

static int stage_of(const char *text)
{
    int s = 0;
    while (s < STAGES && strcmp(text, stage_name[s]) != 0) s++;
    return s;
}

static status read_texts(const cJSON *list, char ***out, unsigned *n)
{
    status st = OK;
    const cJSON *item;
    cJSON_ArrayForEach(item, list)
    {
        const char *text = cJSON_GetStringValue(item);
        TRY(list_add_text(out, n, text ? text : ""));
    }
out:
    return st;
}

static status read_settings(const cJSON *object, sweep_setting **out, unsigned *n)
{
    status st = OK;
    const cJSON *item;
    cJSON_ArrayForEach(item, object)
    {
        const char *text = cJSON_GetStringValue(item);
        TRY(list_grow(out, *n, sizeof **out));
        sweep_setting *s = &(*out)[(*n)++];
        TRY_ALLOC(s->key, strdup(item->string));
        TRY_ALLOC(s->text, strdup(text ? text : ""));
    }
out:
    return st;
}

static status read_task(sweep_plan *p, const cJSON *j, const char *path)
{
    status st = OK;
    const char *parent = json_text(j, "parent"), *analysis = json_text(j, "analysis");
    int stage = stage_of(json_text(j, "stage"));
    TRY(list_grow(&p->task, p->n_tasks, sizeof *p->task));
    sweep_task *t = &p->task[p->n_tasks];
    *t = (sweep_task){ .stage = (sweep_stage)stage, .parent = -1 };
    t->epochs = (int)json_number(j, "epochs", 0);
    t->threads = (int)json_number(j, "threads", 0);
    TRY_ALLOC(t->id, strdup(json_text(j, "id")));
    TRY_ALLOC(t->run, strdup(json_text(j, "run")));
    TRY_ALLOC(t->device, strdup(json_text(j, "device")));
    if (*analysis) TRY_ALLOC(t->analysis, strdup(analysis));
    if (*parent) t->parent = sweep_plan_find(p, parent);
    p->n_tasks++;
    TRY(read_texts(cJSON_GetObjectItem(j, "command"), &t->command, &t->n_command));
    if (stage == STAGES || !*t->id || strchr(t->id, '/') || strchr(t->run, '/') || t->n_command < 2 ||
        (t->parent < 0) != (stage == STAGE_TRAIN) || !t->analysis != (stage == STAGE_TRAIN))
        FAIL(ERR_DATA, "%s: task %u is not one that sweep writes", path, p->n_tasks);
out:
    return st;
}

static status read_case(sweep_plan *p, const cJSON *j, const char *path)
{
    status st = OK;
    TRY(list_grow(&p->cases, p->n_cases, sizeof *p->cases));
    planned_case *c = &p->cases[p->n_cases++];
    const cJSON *tasks = cJSON_GetObjectItem(j, "tasks");
    bool good = true;
    for (int s = 0; s < STAGES; s++) {
        c->task[s] = s <= (int)p->last ? sweep_plan_find(p, json_text(tasks, stage_name[s])) : -1;
        good &= s > (int)p->last || (c->task[s] >= 0 && p->task[c->task[s]].stage == (sweep_stage)s);
    }
    TRY(read_settings(cJSON_GetObjectItem(j, "settings"), &c->setting, &c->n_settings));
    TRY(read_settings(cJSON_GetObjectItem(j, "finetune"), &c->finetune, &c->n_finetune));
    if (c->n_settings != p->n_keys || !good)
        FAIL(ERR_DATA, "%s: case %u is not one that sweep writes", path, p->n_cases);
    if (config_parse(path, json_text(j, "config"), NULL, 0, &c->cfg) != OK) st = ERR_DATA;
out:
    return st;
}

static status from_json(sweep_plan *p, const cJSON *j, const char *path)
{
    status st = OK;
    const cJSON *item;
    int last = stage_of(json_text(j, "last"));
    if (last == STAGES) FAIL(ERR_DATA, "%s: not the plan of a sweep", path);
    p->last = (sweep_stage)last;
    TRY_ALLOC(p->name, strdup(json_text(j, "sweep")));
    TRY_ALLOC(p->file, strdup(json_text(j, "file")));
    TRY(read_texts(cJSON_GetObjectItem(j, "keys"), &p->key, &p->n_keys));
    cJSON_ArrayForEach(item, cJSON_GetObjectItem(j, "tasks")) TRY(read_task(p, item, path));
    cJSON_ArrayForEach(item, cJSON_GetObjectItem(j, "cases")) TRY(read_case(p, item, path));
out:
    return st;
}

status sweep_plan_read(const char *dir, sweep_plan *out)
{
    status st = OK;
    cJSON *j = NULL;
    char path[4096];
    size_t n = strlen(dir);
    while (n > 1 && dir[n - 1] == '/') n--;
    *out = (sweep_plan){ 0 };
    TRY(text_make(&out->dir, "%.*s", (int)n, dir));
    TRY(text_format(path, sizeof path, "%s/sweep.json", out->dir));
    if (!file_exists(path)) FAIL(ERR_DATA, "%s: not the folder of a sweep: it has no sweep.json", out->dir);
    TRY(json_read(path, &j));
    TRY(from_json(out, j, path));
out:
    cJSON_Delete(j);
    if (st != OK) sweep_plan_free(out);
    return st;
}
