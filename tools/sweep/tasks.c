/* tools/sweep/tasks.c -- makes the tasks of all cases, and keeps them in DIR/sweep.json. The name of a
 * task depends on everything that its result depends on, so tasks with the same name are the same task. */
#include "tasks.h"

#include "../../core/base/claim.h"
#include "../../core/base/file.h"
#include "../../core/base/json.h"
#include "../../core/base/threads.h"
#include "../../nets/rundir.h"
#include "list.h"

#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

int sweep_plan_find(const sweep_plan *p, const char *task_id)
{
    return text_map_get(&p->by_id, task_id);
}

/* ---- paths ---- */

status task_path(const sweep_plan *p, int task, const char *name, file_path *out)
{
    return path_set(out, "%s/tasks/%s%s%s", p->dir, p->task[task].id, *name ? "/" : "", name);
}

status task_run_path(const sweep_plan *p, int task, const char *name, file_path *out)
{
    return path_set(out, "%s/%s%s%s", p->dir, p->task[task].run, *name ? "/" : "", name);
}

status task_analysis_path(const sweep_plan *p, int task, const char *name, file_path *out)
{
    const sweep_task *t = &p->task[task];
    return path_set(out, "%s/%s/%s%s%s", p->dir, t->run, t->analysis, *name ? "/" : "", name);
}

/* ---- building tasks ---- */

/* An analysis does not depend on how much memory it may use, nor on how often train makes one of its own. */
static bool decides_analysis(const char *key)
{
    return strncmp(key, "analysis.", 9) == 0 && strcmp(key, "analysis.memory") != 0 &&
           strcmp(key, "analysis.every") != 0;
}

static bool decides_prune(const char *key)
{
    return strncmp(key, "prune.", 6) == 0;
}

static void add_to_hash(uint64_t *hash, const char *setting)
{
    *hash = *hash * 31 + file_hash(setting, strlen(setting));
}

/* What all cases are compared with. */
typedef struct standards {
    char **preset; /* [n_presets] the default of each config key, in standard spelling */
    unsigned n_presets;
    uint64_t analysis; /* the hash of the analysis settings of base and `set` */
} standards;

/* Appends KEY=VALUE for each wanted key. Only those that are not at their defaults go into *hash, so that
 * a key that a later version adds does not change the names of tasks. */
static status add_keys(const config *cfg, const standards *standard, bool (*wanted)(const char *),
                       char ***list, unsigned *n, uint64_t *hash)
{
    status st = OK;
    char *text = NULL;
    config_key_info key;
    for (int i = 0; config_key_describe(i, &key); i++) {
        if (!wanted(key.name)) continue;
        TRY(config_get(cfg, key.name, &text));
        TRY(sweep_add_override(list, n, key.name, text));
        if (strcmp(text, standard->preset[i]) != 0) add_to_hash(hash, (*list)[*n - 1]);
        free(text);
        text = NULL;
    }
out:
    free(text);
    return st;
}

static void free_standards(standards *s)
{
    list_free_texts(s->preset, s->n_presets);
    *s = (standards){ 0 };
}

static status make_standards(const config *base, standards *out)
{
    status st = OK;
    config *defaults = NULL;
    char **settings = NULL, *text = NULL;
    unsigned n = 0;
    config_key_info key;
    TRY(config_load(NULL, NULL, 0, &defaults));
    for (int i = 0; config_key_describe(i, &key); i++) {
        TRY(config_get(defaults, key.name, &text));
        TRY(list_add_text(&out->preset, &out->n_presets, text));
        free(text);
        text = NULL;
    }
    TRY(add_keys(base, out, decides_analysis, &settings, &n, &out->analysis));
out:
    list_free_texts(settings, n);
    free(text);
    config_free(defaults);
    return st;
}

static uint32_t fold(uint64_t hash)
{
    return (uint32_t)(hash ^ hash >> 32);
}

/* The index of the task of this id; *known: it was there already, else it is new. Takes id over. */
static status find_or_add(sweep_plan *p, char *id, sweep_stage stage, int *index, bool *known)
{
    status st = OK;
    *index = sweep_plan_find(p, id);
    *known = *index >= 0;
    if (*known) {
        free(id);
        goto out;
    }
    st = list_grow(&p->task, p->n_tasks, sizeof *p->task);
    if (st == OK) st = text_map_put(&p->by_id, id, (int)p->n_tasks);
    if (st != OK) {
        free(id);
        goto out;
    }
    *index = (int)p->n_tasks++;
    p->task[*index].id = id;
    p->task[*index].stage = stage;
    p->task[*index].parent = -1;
out:
    return st;
}

static status set_common(sweep_task *t, const config *cfg, const char *run, int parent)
{
    status st = OK;
    t->parent = parent;
    t->threads = cfg->threads;
    TRY_ALLOC(t->device, strdup(cfg->device));
    TRY_ALLOC(t->run, strdup(run));
    TRY(list_add_text(&t->command, &t->n_command, stage_name[t->stage]));
out:
    return st;
}

static status add_path(sweep_task *t, const char *format, const char *a, const char *b, const char *c)
{
    status st = OK;
    file_path path;
    TRY(path_set(&path, format, a, b, c));
    TRY(list_add_text(&t->command, &t->n_command, path.s));
out:
    return st;
}

static status plan_train(sweep_plan *p, const config *cfg, int *index)
{
    status st = OK;
    rundir run;
    char *id = NULL;
    bool known;
    TRY(rundir_path(cfg, &run));
    TRY(text_make(&id, "%s", path_name(run.path)));
    TRY(find_or_add(p, id, STAGE_TRAIN, index, &known));
    if (known) goto out;
    sweep_task *t = &p->task[*index];
    TRY(set_common(t, cfg, path_name(run.path), -1));
    t->epochs = cfg->train.epochs;
    TRY(config_yaml(cfg, &t->yaml));
    TRY(add_path(t, "%s/tasks/%s%s", p->dir, t->id, "/config.yaml"));
    TRY(list_add_text(&t->command, &t->n_command, "--resume=auto"));
    TRY(list_add_text(&t->command, &t->n_command, "--wait"));
out:
    return st;
}

/* The analysis with the settings of the base goes to RUN/analysis, where other tools look for it; every
 * other one gets a folder of its own beside it. */
static status plan_analyze(sweep_plan *p, const config *cfg, const standards *standard, int train, int *index)
{
    status st = OK;
    char **settings = NULL, *id = NULL, suffix[16] = "";
    unsigned n = 0;
    uint64_t hash = 0;
    bool known;
    TRY(add_keys(cfg, standard, decides_analysis, &settings, &n, &hash));
    if (hash != standard->analysis) snprintf(suffix, sizeof suffix, "-%08" PRIx32, fold(hash));
    TRY(text_make(&id, "%s.analysis%s", p->task[train].id, suffix));
    TRY(find_or_add(p, id, STAGE_ANALYZE, index, &known));
    if (known) goto out;
    sweep_task *t = &p->task[*index];
    TRY(set_common(t, cfg, p->task[train].run, train));
    TRY(text_make(&t->analysis, "analysis%s", suffix));
    TRY(add_path(t, "%s/%s%s", p->dir, t->run, ""));
    for (unsigned i = 0; i < n; i++) TRY(list_add_text(&t->command, &t->n_command, settings[i]));
    TRY(list_add_text(&t->command, &t->n_command, "--into"));
    TRY(add_path(t, "%s/%s/%s", p->dir, t->run, t->analysis));
    TRY(list_add_text(&t->command, &t->n_command, "--wait"));
    if (!p->pictures) TRY(list_add_text(&t->command, &t->n_command, "--no-pictures"));
out:
    list_free_texts(settings, n);
    return st;
}

static status plan_prune(sweep_plan *p, const sweep_case *c, const standards *standard, int analyze,
                         int *index)
{
    status st = OK;
    char **settings = NULL, *id = NULL;
    unsigned n = 0;
    uint64_t hash = 0;
    bool known;
    const config *cfg = c->cfg;
    if (cfg->prune.metric == METRIC_CKA && cfg->analysis.cka == 0)
        FAIL(ERR_USAGE, "%s:%d: prune.metric=cka needs analysis.cka, e.g. 1000", p->file, c->line);
    TRY(add_keys(cfg, standard, decides_prune, &settings, &n, &hash));
    for (unsigned i = 0; i < c->n_finetune; i++) {
        TRY(sweep_add_override(&settings, &n, c->finetune[i].key, c->finetune[i].text));
        add_to_hash(&hash, settings[n - 1]);
    }
    /* A pruning depends on its analysis too, so its name holds the run's name and the hash of the
     * analysis, if any. */
    const char *which = p->task[analyze].analysis + strlen("analysis");
    TRY(text_make(&id, "%s.prune%s-%08" PRIx32, p->task[analyze].run, which, fold(hash)));
    TRY(find_or_add(p, id, STAGE_PRUNE, index, &known));
    if (known) goto out;
    sweep_task *t = &p->task[*index], *a = &p->task[analyze];
    TRY(set_common(t, cfg, a->run, analyze));
    t->epochs = cfg->prune.epochs ? cfg->prune.epochs : cfg->train.epochs;
    TRY(text_make(&t->analysis, "%s", a->analysis));
    TRY(add_path(t, "%s/%s%s", p->dir, t->run, ""));
    for (unsigned i = 0; i < n; i++) TRY(list_add_text(&t->command, &t->n_command, settings[i]));
    TRY(list_add_text(&t->command, &t->n_command, "--analysis"));
    TRY(add_path(t, "%s/%s/%s", p->dir, t->run, t->analysis));
    TRY(list_add_text(&t->command, &t->n_command, "--wait"));
out:
    list_free_texts(settings, n);
    return st;
}

/* ---- the plan ---- */

/* The keys that do not have the same value in all cases, in the order of the file. */
static status find_keys(sweep_plan *p, const sweep_case *cases, unsigned n)
{
    status st = OK;
    char *first = NULL, *text = NULL, **looked_at = NULL;
    unsigned n_looked_at = 0;
    for (unsigned i = 0; i < n; i++)
        for (unsigned k = 0; k < cases[i].n_settings; k++) {
            const char *name = cases[i].setting[k].key;
            bool differs = false;
            if (list_has_text(looked_at, n_looked_at, name)) continue;
            TRY(list_add_text(&looked_at, &n_looked_at, name));
            TRY(sweep_case_get(&cases[0], name, &first));
            for (unsigned j = 1; j < n && !differs; j++) {
                TRY(sweep_case_get(&cases[j], name, &text));
                differs = strcmp(first, text) != 0;
                free(text);
                text = NULL;
            }
            if (differs) TRY(list_add_text(&p->key, &p->n_keys, name));
            free(first);
            first = NULL;
        }
out:
    list_free_texts(looked_at, n_looked_at);
    free(first);
    free(text);
    return st;
}

static status take_case(sweep_plan *p, sweep_case *from, const standards *standard)
{
    status st = OK;
    TRY(list_grow(&p->cases, p->n_cases, sizeof *p->cases));
    planned_case *c = &p->cases[p->n_cases++];
    c->task[STAGE_TRAIN] = c->task[STAGE_ANALYZE] = c->task[STAGE_PRUNE] = -1;
    TRY_ALLOC(c->setting, calloc(p->n_keys + 1, sizeof *c->setting));
    for (unsigned k = 0; k < p->n_keys; k++) {
        c->n_settings = k + 1;
        TRY_ALLOC(c->setting[k].key, strdup(p->key[k]));
        TRY(sweep_case_get(from, p->key[k], &c->setting[k].text));
    }
    TRY(plan_train(p, from->cfg, &c->task[STAGE_TRAIN]));
    if (p->last >= STAGE_ANALYZE)
        TRY(plan_analyze(p, from->cfg, standard, c->task[STAGE_TRAIN], &c->task[STAGE_ANALYZE]));
    if (p->last >= STAGE_PRUNE)
        TRY(plan_prune(p, from, standard, c->task[STAGE_ANALYZE], &c->task[STAGE_PRUNE]));
    c->cfg = from->cfg;
    c->finetune = from->finetune;
    c->n_finetune = from->n_finetune;
    from->cfg = NULL;
    from->finetune = NULL;
    from->n_finetune = 0;
out:
    return st;
}

/* For each case the first one that has the same task in this stage. The caller frees. */
static status find_first(const sweep_plan *p, sweep_stage stage, unsigned **out)
{
    status st = OK;
    unsigned *first = NULL, *of_task = NULL; /* of_task: 0 = none yet, else the case + 1 */
    TRY_ALLOC(first, calloc(p->n_cases + 1, sizeof *first));
    TRY_ALLOC(of_task, calloc(p->n_tasks + 1, sizeof *of_task));
    for (unsigned i = 0; i < p->n_cases; i++) {
        unsigned *known = &of_task[p->cases[i].task[stage]];
        if (!*known) *known = i + 1;
        first[i] = *known - 1;
    }
    *out = first;
    first = NULL;
out:
    free(first);
    free(of_task);
    return st;
}

/* Two cases with the same last task would be the same run. */
static status check_distinct(const sweep_plan *p, const sweep_case *cases)
{
    status st = OK;
    unsigned *first = NULL;
    TRY(find_first(p, p->last, &first));
    for (unsigned i = 0; i < p->n_cases; i++) {
        const planned_case *a = &p->cases[first[i]], *b = &p->cases[i];
        for (unsigned k = 0; k < p->n_keys; k++)
            if (strcmp(a->setting[k].text, b->setting[k].text) != 0)
                FAIL(ERR_USAGE,
                     "%s:%d: cases that differ only in %s (%.40s, %.40s): the last stage, %s, does not "
                     "depend on it, so they would be the same run",
                     p->file, cases[i].line, p->key[k], a->setting[k].text, b->setting[k].text,
                     stage_name[p->last]);
    }
out:
    free(first);
    return st;
}

/* With analysis.every, train writes analyses too, and a training can write them with one setting only. */
static status check_every(const sweep_plan *p)
{
    status st = OK;
    unsigned *first = NULL;
    TRY(find_first(p, STAGE_TRAIN, &first));
    for (unsigned i = 0; i < p->n_cases; i++) {
        const planned_case *a = &p->cases[first[i]], *b = &p->cases[i];
        int every = a->cfg->analysis.every;
        if (every != b->cfg->analysis.every ||
            (every > 0 && a->task[STAGE_ANALYZE] != b->task[STAGE_ANALYZE]))
            FAIL(ERR_USAGE,
                 "%s: analysis.every=%d: cases that share the training %s ask it for different analyses; "
                 "give one setting, or analysis.every=0",
                 p->file, every > b->cfg->analysis.every ? every : b->cfg->analysis.every,
                 p->task[a->task[STAGE_TRAIN]].id);
    }
out:
    free(first);
    return st;
}

/* The base with the analysis settings of `set` and of the command line. */
static status load_base(const sweep_spec *spec, char *const *overrides, int n_overrides, config **out)
{
    status st = OK;
    char **list = NULL;
    unsigned n = 0;
    for (unsigned i = 0; i < spec->set.n; i++) {
        const sweep_axis *axis = &spec->set.axis[i];
        if (strncmp(axis->key, "analysis.", 9) == 0)
            TRY(sweep_add_override(&list, &n, axis->key, axis->text[0]));
    }
    for (int i = 0; i < n_overrides; i++)
        if (strncmp(overrides[i], "analysis.", 9) == 0) TRY(list_add_text(&list, &n, overrides[i]));
    TRY(config_load(spec->base, list, (int)n, out));
out:
    list_free_texts(list, n);
    return st;
}

status sweep_plan_make(const sweep_spec *spec, char *const *overrides, int n_overrides, sweep_case *cases,
                       unsigned n, sweep_plan *out)
{
    status st = OK;
    config *base = NULL;
    standards standard = { 0 };
    *out = (sweep_plan){ .last = spec->last, .pictures = spec->pictures };
    TRY(load_base(spec, overrides, n_overrides, &base));
    TRY(make_standards(base, &standard));
    TRY_ALLOC(out->name, strdup(spec->name));
    TRY_ALLOC(out->dir, strdup(spec->out));
    TRY_ALLOC(out->file, strdup(spec->path));
    TRY(find_keys(out, cases, n));
    for (unsigned i = 0; i < n; i++) TRY(take_case(out, &cases[i], &standard));
    TRY(check_every(out));
    TRY(check_distinct(out, cases));
out:
    free_standards(&standard);
    config_free(base);
    if (st != OK) sweep_plan_free(out);
    return st;
}

static void free_case(planned_case *c)
{
    sweep_settings_free(c->setting, c->n_settings);
    sweep_settings_free(c->finetune, c->n_finetune);
    config_free(c->cfg);
}

void sweep_plan_free(sweep_plan *p)
{
    for (unsigned i = 0; i < p->n_cases; i++) free_case(&p->cases[i]);
    for (unsigned i = 0; i < p->n_tasks; i++) {
        sweep_task *t = &p->task[i];
        list_free_texts(t->command, t->n_command);
        free(t->id);
        free(t->run);
        free(t->analysis);
        free(t->yaml);
        free(t->device);
    }
    free(p->cases);
    free(p->task);
    text_map_free(&p->by_id);
    list_free_texts(p->key, p->n_keys);
    free(p->name);
    free(p->dir);
    free(p->file);
    *p = (sweep_plan){ 0 };
}

void planned_case_label(const sweep_plan *p, unsigned i, char *out, size_t bytes)
{
    size_t n = 0;
    snprintf(out, bytes, "the only case");
    for (unsigned k = 0; k < p->n_keys && n < bytes; k++)
        n += (size_t)snprintf(out + n, bytes - n, "%s%s=%s", k ? " " : "", p->key[k],
                              p->cases[i].setting[k].text);
}

status planned_case_get(const sweep_plan *p, unsigned i, const char *key, char **out)
{
    const planned_case *c = &p->cases[i];
    const sweep_case plain = { .cfg = c->cfg, .finetune = c->finetune, .n_finetune = c->n_finetune };
    return sweep_case_get(&plain, key, out);
}

/* ---- DIR/sweep.json ----
 *
 *   {"sweep", "file", "last": "prune", "keys": [..],
 *    "cases": [{"settings": {KEY: TEXT}, "finetune": {KEY: TEXT}, "config": YAML,
 *               "tasks": {"train": ID, ..}}, ..],
 *    "tasks": [{"id", "stage", "parent": ID, "run", "analysis", "epochs", "threads", "device", "command"}]}
 *
 * A training has no parent and no analysis. */

static status put_settings(cJSON *object, const char *name, const sweep_setting *s, unsigned n)
{
    status st = OK;
    cJSON *o;
    TRY(json_put_object(object, name, &o));
    for (unsigned i = 0; i < n; i++) TRY(json_put_text(o, s[i].key, s[i].text));
out:
    return st;
}

static status put_texts(cJSON *object, const char *name, char *const *text, unsigned n)
{
    status st = OK;
    cJSON *list;
    TRY(json_put_list(object, name, &list));
    for (unsigned i = 0; i < n; i++) TRY(json_append(list, cJSON_CreateString(text[i])));
out:
    return st;
}

static status put_case(const sweep_plan *p, const planned_case *c, cJSON *j)
{
    status st = OK;
    char *yaml = NULL;
    cJSON *tasks;
    TRY(json_put_object(j, "tasks", &tasks));
    for (int s = 0; s < STAGES; s++)
        if (c->task[s] >= 0) TRY(json_put_text(tasks, stage_name[s], p->task[c->task[s]].id));
    TRY(put_settings(j, "settings", c->setting, c->n_settings));
    TRY(put_settings(j, "finetune", c->finetune, c->n_finetune));
    TRY(config_yaml(c->cfg, &yaml));
    TRY(json_put_text(j, "config", yaml));
out:
    free(yaml);
    return st;
}

static status put_task(const sweep_plan *p, const sweep_task *t, cJSON *j)
{
    status st = OK;
    TRY(json_put_text(j, "id", t->id));
    TRY(json_put_text(j, "stage", stage_name[t->stage]));
    TRY(json_put_text(j, "run", t->run));
    TRY(json_put_number(j, "epochs", t->epochs));
    TRY(json_put_number(j, "threads", t->threads));
    TRY(json_put_text(j, "device", t->device));
    TRY(put_texts(j, "command", t->command, t->n_command));
    if (t->parent >= 0) TRY(json_put_text(j, "parent", p->task[t->parent].id));
    if (t->analysis) TRY(json_put_text(j, "analysis", t->analysis));
out:
    return st;
}

static status to_json(const sweep_plan *p, cJSON *j)
{
    status st = OK;
    cJSON *cases, *tasks, *item;
    TRY(json_put_text(j, "sweep", p->name));
    TRY(json_put_text(j, "file", p->file));
    TRY(json_put_text(j, "last", stage_name[p->last]));
    TRY(put_texts(j, "keys", p->key, p->n_keys));
    TRY(json_put_list(j, "cases", &cases));
    for (unsigned i = 0; i < p->n_cases; i++) {
        TRY(json_append_object(cases, &item));
        TRY(put_case(p, &p->cases[i], item));
    }
    TRY(json_put_list(j, "tasks", &tasks));
    for (unsigned i = 0; i < p->n_tasks; i++) {
        TRY(json_append_object(tasks, &item));
        TRY(put_task(p, &p->task[i], item));
    }
out:
    return st;
}

/* train reads the configuration from the task's folder, and people can repeat the training by hand. */
static status write_config(const sweep_plan *p, int task)
{
    status st = OK;
    file_path path;
    char *old = NULL;
    const char *yaml = p->task[task].yaml;
    if (!yaml) goto out;
    TRY(task_path(p, task, "", &path));
    TRY(file_make_dirs(path.s));
    TRY(task_path(p, task, "config.yaml", &path));
    if (file_exists(path.s) && file_read(path.s, &old, NULL) == OK && strcmp(old, yaml) == 0) goto out;
    TRY(file_replace(path.s, yaml, strlen(yaml)));
out:
    free(old);
    return st;
}

/* Runs may stand in the folder already. */
static const claim own = { "sweep.json", "tasks", "@(tasks|slurm)" };

status sweep_plan_may_write(const sweep_plan *p)
{
    return claim_check(&own, p->dir);
}

status sweep_plan_write(const sweep_plan *p)
{
    status st = OK;
    file_path path;
    cJSON *j = NULL;
    TRY(sweep_plan_may_write(p));
    TRY(file_make_dirs(p->dir));
    TRY(claim_begin(&own, p->dir));
    for (unsigned i = 0; i < p->n_tasks; i++) TRY(write_config(p, (int)i));
    TRY_ALLOC(j, cJSON_CreateObject());
    TRY(to_json(p, j));
    TRY(path_set(&path, "%s/sweep.json", p->dir));
    TRY(json_write(path.s, j));
    claim_end(&own, p->dir);
out:
    cJSON_Delete(j);
    return st;
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

/* The name of a folder in a sweep's folder, and nothing that leads out of it. */
static bool is_folder_name(const char *name)
{
    return *name && *name != '.' && !strchr(name, '/');
}

/* What sweep itself writes: sweep.json may come from somebody else, and its commands are run. So the program is the
 * stage's own tool beside this one, and results stay in the sweep's folder. */
static bool is_own_task(const sweep_task *t)
{
    const bool train = t->stage == STAGE_TRAIN;
    return t->stage != STAGES && is_folder_name(t->id) && is_folder_name(t->run) && t->n_command >= 2 &&
           strcmp(t->command[0], stage_name[t->stage]) == 0 && (t->parent < 0) == train &&
           !t->analysis == train && (!t->analysis || is_folder_name(t->analysis)) && t->epochs >= 0 &&
           t->threads >= 0;
}

static status read_task(sweep_plan *p, const cJSON *j, const char *path)
{
    status st = OK;
    const char *parent = json_text(j, "parent"), *analysis = json_text(j, "analysis");
    int stage = sweep_stage_of(json_text(j, "stage"));
    TRY(list_grow(&p->task, p->n_tasks, sizeof *p->task));
    sweep_task *t = &p->task[p->n_tasks];
    *t = (sweep_task){ .stage = (sweep_stage)stage, .parent = -1 };
    t->epochs = (int)json_whole(j, "epochs", 0, INT_MAX, -1);
    t->threads = (int)json_whole(j, "threads", 0, THREADS_MAX, -1);
    TRY_ALLOC(t->id, strdup(json_text(j, "id")));
    TRY_ALLOC(t->run, strdup(json_text(j, "run")));
    TRY_ALLOC(t->device, strdup(json_text(j, "device")));
    if (*analysis) TRY_ALLOC(t->analysis, strdup(analysis));
    if (*parent) t->parent = sweep_plan_find(p, parent);
    p->n_tasks++;
    TRY(read_texts(cJSON_GetObjectItem(j, "command"), &t->command, &t->n_command));
    if (!is_own_task(t) || sweep_plan_find(p, t->id) >= 0)
        FAIL(ERR_DATA, "%s: task %u is not one that sweep writes", path, p->n_tasks);
    TRY(text_map_put(&p->by_id, t->id, (int)p->n_tasks - 1));
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
    st = config_parse(path, json_text(j, "config"), NULL, 0, &c->cfg);
    if (st == ERR_USAGE) st = ERR_DATA;
out:
    return st;
}

static status from_json(sweep_plan *p, const cJSON *j, const char *path)
{
    status st = OK;
    const cJSON *item;
    int last = sweep_stage_of(json_text(j, "last"));
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
    file_path path;
    size_t n = strlen(dir);
    while (n > 1 && dir[n - 1] == '/') n--;
    *out = (sweep_plan){ 0 };
    TRY(text_make(&out->dir, "%.*s", (int)n, dir));
    TRY(path_set(&path, "%s/sweep.json", out->dir));
    if (!file_exists(path.s)) FAIL(ERR_DATA, "%s: not the folder of a sweep: it has no sweep.json", out->dir);
    TRY(json_read(path.s, &j));
    TRY(from_json(out, j, path.s));
out:
    cJSON_Delete(j);
    if (st != OK) sweep_plan_free(out);
    return st;
}
