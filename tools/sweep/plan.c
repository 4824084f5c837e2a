/* tools/sweep/plan.c -- cases -> tasks. What a task depends on is in its name, so equal names are one task.
 */
#include "plan.h"

#include "../../core/base/file.h"
#include "../../nets/rundir.h"
#include "list.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

int sweep_plan_find(const sweep_plan *p, const char *task_id)
{
    for (unsigned i = 0; i < p->n_tasks; i++)
        if (strcmp(p->task[i].id, task_id) == 0) return (int)i;
    return -1;
}

/* ---- paths ---- */

status task_path(const sweep_plan *p, int task, const char *name, char *out, size_t bytes)
{
    return text_format(out, bytes, "%s/tasks/%s%s%s", p->dir, p->task[task].id, *name ? "/" : "", name);
}

status task_run_path(const sweep_plan *p, int task, const char *name, char *out, size_t bytes)
{
    return text_format(out, bytes, "%s/%s%s%s", p->dir, p->task[task].run, *name ? "/" : "", name);
}

status task_analysis_path(const sweep_plan *p, int task, const char *name, char *out, size_t bytes)
{
    const sweep_task *t = &p->task[task];
    return text_format(out, bytes, "%s/%s/%s%s%s", p->dir, t->run, t->analysis, *name ? "/" : "", name);
}

/* ---- building tasks ---- */

/* Of analysis.*: all that the result depends on, not how much memory it takes and how often train does it. */
static bool decides_analysis(const char *key)
{
    return strncmp(key, "analysis.", 9) == 0 && strcmp(key, "analysis.memory") != 0 &&
           strcmp(key, "analysis.every") != 0;
}

static bool decides_prune(const char *key)
{
    return strncmp(key, "prune.", 6) == 0;
}

/* KEY=VALUE for each key that is wanted. *hash stands for those that are not at their defaults, so that a key
 * that a later version adds changes no name. */
static status add_keys(const config *cfg, bool (*wanted)(const char *), char ***list, unsigned *n,
                       uint64_t *hash)
{
    status st = OK;
    char *text = NULL, *preset = NULL, *setting = NULL;
    config_key_info key;
    for (int i = 0; config_key_describe(i, &key); i++) {
        if (!wanted(key.name)) continue;
        TRY(config_get(cfg, key.name, &text));
        TRY(sweep_value_check(key.name, key.preset, &preset));
        TRY(sweep_override(key.name, text, &setting));
        TRY(list_add_text(list, n, setting));
        if (strcmp(text, preset) != 0) *hash = *hash * 31 + file_hash(setting, strlen(setting));
        free(text);
        free(preset);
        free(setting);
        text = preset = setting = NULL;
    }
out:
    free(text);
    free(preset);
    free(setting);
    return st;
}

static uint32_t fold(uint64_t hash)
{
    return (uint32_t)(hash ^ hash >> 32);
}

/* The task of this id, new or there already (*known). */
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
    char path[4096];
    TRY(text_format(path, sizeof path, format, a, b, c));
    TRY(list_add_text(&t->command, &t->n_command, path));
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
    TRY(list_add_text(&t->command, &t->n_command, "--resume"));
    TRY(list_add_text(&t->command, &t->n_command, "--wait"));
out:
    return st;
}

/* The analysis with the base's settings is RUN/analysis, where other tools look for it; the others stand
 * beside. */
static status plan_analyze(sweep_plan *p, const config *cfg, const config *base, int train, int *index)
{
    status st = OK;
    char **settings = NULL, **standard = NULL, *id = NULL, suffix[16] = "";
    unsigned n = 0, n_standard = 0;
    uint64_t hash = 0, standard_hash = 0;
    bool known;
    TRY(add_keys(cfg, decides_analysis, &settings, &n, &hash));
    TRY(add_keys(base, decides_analysis, &standard, &n_standard, &standard_hash));
    if (hash != standard_hash) snprintf(suffix, sizeof suffix, "-%08" PRIx32, fold(hash));
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
    list_free_texts(standard, n_standard);
    return st;
}

static status plan_prune(sweep_plan *p, const sweep_case *c, int analyze, int *index)
{
    status st = OK;
    char **settings = NULL, *id = NULL, *one = NULL;
    unsigned n = 0;
    uint64_t hash = 0;
    bool known;
    const config *cfg = c->cfg;
    if (cfg->prune.metric == METRIC_CKA && cfg->analysis.cka == 0)
        FAIL(ERR_USAGE, "%s:%d: prune.metric=cka needs analysis.cka, e.g. 1000", p->file, c->line);
    TRY(add_keys(cfg, decides_prune, &settings, &n, &hash));
    for (unsigned i = 0; i < c->n_finetune; i++) {
        TRY(sweep_override(c->finetune[i].key, c->finetune[i].text, &one));
        TRY(list_add_text(&settings, &n, one));
        hash = hash * 31 + file_hash(one, strlen(one));
        free(one);
        one = NULL;
    }
    /* The analysis counts too: its name begins with the run's, and may end with a hash of its own. */
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
    free(one);
    list_free_texts(settings, n);
    return st;
}

/* ---- the plan ---- */

/* Keys of any case, in the order of the file, that have more than one value. */
static status find_keys(sweep_plan *p, const sweep_case *cases, unsigned n)
{
    status st = OK;
    char *first = NULL, *text = NULL, *key = NULL;
    for (unsigned i = 0; i < n; i++)
        for (unsigned k = 0; k < cases[i].n_settings; k++) {
            const char *name = cases[i].setting[k].key;
            bool differs = false;
            if (list_has_text(p->key, p->n_keys, name)) continue;
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
    free(first);
    free(text);
    free(key);
    return st;
}

static status take_case(sweep_plan *p, sweep_case *from, const config *base)
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
        TRY(plan_analyze(p, from->cfg, base, c->task[STAGE_TRAIN], &c->task[STAGE_ANALYZE]));
    if (p->last >= STAGE_PRUNE) TRY(plan_prune(p, from, c->task[STAGE_ANALYZE], &c->task[STAGE_PRUNE]));
    c->cfg = from->cfg;
    c->finetune = from->finetune;
    c->n_finetune = from->n_finetune;
    from->cfg = NULL;
    from->finetune = NULL;
    from->n_finetune = 0;
out:
    return st;
}

/* Two cases with the same last task would be one run under two names. */
static status check_distinct(const sweep_plan *p, const sweep_case *cases)
{
    status st = OK;
    for (unsigned i = 0; i < p->n_cases; i++)
        for (unsigned j = 0; j < i; j++) {
            const planned_case *a = &p->cases[j], *b = &p->cases[i];
            if (a->task[p->last] != b->task[p->last]) continue;
            for (unsigned k = 0; k < p->n_keys; k++)
                if (strcmp(a->setting[k].text, b->setting[k].text) != 0)
                    FAIL(ERR_USAGE,
                         "%s:%d: cases that differ only in %s (%.40s, %.40s): the last stage, %s, does not "
                         "depend on it, "
                         "they would be the same run",
                         p->file, cases[i].line, p->key[k], a->setting[k].text, b->setting[k].text,
                         stage_name[p->last]);
        }
out:
    return st;
}

/* `every` makes train write analyses too: one training, one setting. */
static status check_every(const sweep_plan *p)
{
    status st = OK;
    for (unsigned i = 0; i < p->n_cases; i++)
        for (unsigned j = 0; j < i; j++) {
            const planned_case *a = &p->cases[j], *b = &p->cases[i];
            int every = a->cfg->analysis.every;
            if (a->task[STAGE_TRAIN] != b->task[STAGE_TRAIN]) continue;
            if (every != b->cfg->analysis.every ||
                (every > 0 && a->task[STAGE_ANALYZE] != b->task[STAGE_ANALYZE]))
                FAIL(ERR_USAGE,
                     "%s: analysis.every=%d: cases that share the training %s ask it for different analyses; "
                     "give one "
                     "setting, or analysis.every=0",
                     p->file, every > b->cfg->analysis.every ? every : b->cfg->analysis.every,
                     p->task[a->task[STAGE_TRAIN]].id);
        }
out:
    return st;
}

/* The base with what `set` and the command line say of the analysis: that one goes to RUN/analysis. */
static status load_base(const sweep_spec *spec, char *const *overrides, int n_overrides, config **out)
{
    status st = OK;
    char **list = NULL, *one = NULL;
    unsigned n = 0;
    for (unsigned i = 0; i < spec->set.n; i++) {
        const sweep_axis *axis = &spec->set.axis[i];
        if (strncmp(axis->key, "analysis.", 9) != 0) continue;
        TRY(sweep_override(axis->key, axis->text[0], &one));
        TRY(list_add_text(&list, &n, one));
        free(one);
        one = NULL;
    }
    for (int i = 0; i < n_overrides; i++)
        if (strncmp(overrides[i], "analysis.", 9) == 0) TRY(list_add_text(&list, &n, overrides[i]));
    TRY(config_load(spec->base, list, (int)n, out));
out:
    free(one);
    list_free_texts(list, n);
    return st;
}

status sweep_plan_make(const sweep_spec *spec, char *const *overrides, int n_overrides, sweep_case *cases,
                       unsigned n, sweep_plan *out)
{
    status st = OK;
    config *base = NULL;
    *out = (sweep_plan){ .last = spec->last, .pictures = spec->pictures };
    TRY(load_base(spec, overrides, n_overrides, &base));
    TRY_ALLOC(out->name, strdup(spec->name));
    TRY_ALLOC(out->dir, strdup(spec->out));
    TRY_ALLOC(out->file, strdup(spec->path));
    TRY(find_keys(out, cases, n));
    for (unsigned i = 0; i < n; i++) TRY(take_case(out, &cases[i], base));
    TRY(check_every(out));
    TRY(check_distinct(out, cases));
out:
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
