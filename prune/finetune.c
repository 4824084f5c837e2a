/* prune/finetune.c -- a pruned net is an ordinary run: its config says which units to leave out and where the weights come
 * from; its checkpoints say why. */
#include "finetune.h"
#include "../core/base/file.h"
#include "../core/base/json.h"
#include "../core/base/log.h"
#include "../graph/analysis.h"
#include "../nets/experiment.h"
#include "surgery.h"

#include <stdlib.h>
#include <string.h>

/* ---- the configuration ---- */

/* KEY=value with the value as JSON, which is YAML too: so any path is quoted correctly. */
static status override_json(const char *key, cJSON *value, char **out)
{
    status st = OK;
    char *text = NULL;
    TRY_ALLOC(text, cJSON_PrintUnformatted(value));
    size_t bytes = strlen(key) + strlen(text) + 2;
    TRY_ALLOC(*out, malloc(bytes));
    TRY(text_format(*out, bytes, "%s=%s", key, text));
out:
    cJSON_free(text);
    cJSON_Delete(value);
    return st;
}

static cJSON *json_names(char *const *names, unsigned n)
{
    cJSON *list = cJSON_CreateArray();
    for (unsigned i = 0; i < n; i++)
        if (!cJSON_AddItemToArray(list, cJSON_CreateString(names[i]))) {
            cJSON_Delete(list);
            return NULL; /* override_json takes it for out of memory */
        }
    return list;
}

enum { MAX_OVERRIDES = 4 };

static status override_all(const config *parent, const char *checkpoint, const choice *c,
                           char *list[MAX_OVERRIDES], int *n)
{
    status st = OK;
    char name[256], **removed = NULL;
    unsigned n_removed = 0;
    bool inherit = parent->prune.init == INIT_INHERIT;
    bool plain = !strcmp(c->metric, "yang");
    TRY(text_format(name, sizeof name, "%s-pruned%s%s", parent->name, plain ? "" : "-",
                    plain ? "" : c->metric));
    TRY(surgery_names(parent->net.remove, parent->net.remove_count, c->cut, c->n_cut, &removed, &n_removed));
    TRY(override_json("name", cJSON_CreateString(name), &list[(*n)++]));
    TRY(override_json("net.remove", json_names(removed, n_removed), &list[(*n)++]));
    TRY(override_json("net.weights", cJSON_CreateString(inherit ? checkpoint : ""), &list[(*n)++]));
    if (parent->prune.epochs > 0)
        TRY(override_json("train.epochs", cJSON_CreateNumber(parent->prune.epochs), &list[(*n)++]));
out:
    surgery_names_free(removed, n_removed);
    return st;
}

status finetune_config(const config *parent, const char *checkpoint, const choice *c, config **out)
{
    status st = OK;
    char *yaml = NULL, *override[MAX_OVERRIDES] = { 0 };
    int n = 0;
    TRY(config_yaml(parent, &yaml));
    TRY(override_all(parent, checkpoint, c, override, &n));
    TRY(config_parse("the parent's configuration", yaml, override, n, out));
out:
    for (int i = 0; i < MAX_OVERRIDES; i++) free(override[i]);
    free(yaml);
    return st;
}

/* ---- metadata: the parent, and why each unit was cut ---- */

/* The cuts of the parent, if it was pruned itself, then the new ones. */
static status cuts_text(const char *parent, const choice *c, char **out)
{
    status st = OK;
    st_file f = { 0 };
    cJSON *list = NULL, *cut;
    TRY(st_open(parent, &f));
    const char *before = st_meta(&f, "cuts");
    if (before) TRY(json_parse(before, strlen(before), NULL, &list));
    if (!cJSON_IsArray(list)) {
        cJSON_Delete(list);
        TRY_ALLOC(list, cJSON_CreateArray());
    }
    for (int i = 0; i < c->n_units; i++) {
        if (!c->unit[i].decision.cut) continue;
        TRY(json_append_object(list, &cut));
        TRY(json_put_text(cut, "name", c->unit[i].name));
        TRY(json_put_text(cut, "reason", c->unit[i].decision.reason));
    }
    TRY_ALLOC(*out, cJSON_PrintUnformatted(list));
out:
    cJSON_Delete(list);
    st_close(&f);
    return st;
}

/* ---- training ---- */

/* prune.init=scratch draws from ~seed: the seed itself would give the parent's own first values. */
static status start_values(const finetune_job *job, net *n)
{
    return *job->cfg->net.weights ? surgery_inherit(n, job->checkpoint) : net_init(n, ~job->cfg->seed);
}

status finetune(const finetune_job *job, rundir *run, fit_result *out)
{
    status st = OK;
    experiment e = { 0 };
    char *cuts = NULL;
    epoch_analysis every = { job->cfg, job->test, run, CASE_EVAL, NULL };
    TRY(cuts_text(job->checkpoint, job->choice, &cuts));
    TRY(experiment_open(job->cfg, 0, &e));
    TRY(epoch_analysis_open(&every, e.net));
    TRY(rundir_path(job->cfg, run));
    TRY(rundir_load_tuning(run, e.device));
    TRY(fit_compile(job->cfg, job->train, e.net, e.device));
    if (!fit_can_resume(run)) TRY(start_values(job, e.net));
    TRY(rundir_create(job->cfg, e.device, job->argc, job->argv, run));
    log_info("fine-tuning in %s on %s, units cut: %u", run->path, e.why, job->choice->n_cut);
    const st_pair meta[] = { { "parent", (char *)job->checkpoint }, { "cuts", cuts } };
    const fit_job work = { .cfg = job->cfg,
                           .net = e.net,
                           .train = job->train,
                           .test = job->test,
                           .run = run,
                           .meta = meta,
                           .n_meta = 2,
                           .resume = true,
                           .after_epoch = epoch_analysis_wanted(&every) ? epoch_analysis_run : NULL,
                           .ctx = &every };
    TRY(fit(&work, out));
out:
    free(cuts);
    epoch_analysis_close(&every);
    experiment_close(&e);
    return st;
}
