/* prune/curve.c -- an analysis takes as long as an evaluation or more, so one that is there is used; but
 * only if it is of these weights and these settings, as far as the file tells. */
#include "curve.h"
#include "../core/base/file.h"
#include "../core/base/lock.h"
#include "../core/base/log.h"
#include "../graph/analysis.h"
#include "../nets/experiment.h"
#include "choose.h"
#include "surgery.h"
#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static bool is_newer(const char *path, const char *than)
{
    struct stat a, b;
    if (stat(path, &a) || stat(than, &b)) return false;
    if (a.st_mtim.tv_sec != b.st_mtim.tv_sec) return a.st_mtim.tv_sec > b.st_mtim.tv_sec;
    return a.st_mtim.tv_nsec >= b.st_mtim.tv_nsec;
}

static bool is_text(const cJSON *a, const char *key, const char *want)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItem(a, key));
    return text && !strcmp(text, want);
}

static bool is_number(const cJSON *a, const char *key, int64_t want)
{
    const cJSON *number = cJSON_GetObjectItem(a, key);
    return cJSON_IsNumber(number) && number->valuedouble == (double)want;
}

static bool is_bool(const cJSON *a, const char *key, bool want)
{
    const cJSON *item = cJSON_GetObjectItem(a, key);
    return want ? cJSON_IsTrue(item) : cJSON_IsFalse(item);
}

/* Analyses from before there was a choice do not say. */
static bool is_precision(const cJSON *a, precision_kind want)
{
    return cJSON_GetObjectItem(a, "precision")
               ? is_text(a, "precision", config_choice("analysis.precision", want))
               : want == PRECISION_F32;
}

static bool has_units(const cJSON *a, const net *n, metric_kind metric)
{
    int count;
    double value;
    const net_unit *unit = net_units(n, &count);
    for (int i = 0; i < count; i++)
        if (!choose_value(a, unit[i].name, metric, &value)) return false;
    return metric != METRIC_CKA || cJSON_GetObjectItem(a, "cka") != NULL;
}

static bool fits(const cJSON *a, const config *cfg, const char *checkpoint, const net *n,
                 const analysis *want)
{
    char images[17];
    analysis_images_name(want, images);
    return is_text(a, "arch", cfg->net.arch) && is_text(a, "checkpoint", checkpoint) &&
           is_text(a, "norm", config_choice("analysis.norm", want->norm)) &&
           is_text(a, "hooks", config_choice("analysis.hooks", want->hooks)) &&
           is_number(a, "samples", want->samples) && is_number(a, "edges", want->edges) &&
           is_number(a, "k", want->k) && is_number(a, "lu_batch", want->lu_batch) &&
           is_number(a, "lu_batches", want->lu_batches) && is_number(a, "seed", (int64_t)want->seed) &&
           is_bool(a, "balanced", want->balanced) && is_precision(a, want->precision) &&
           is_text(a, "images", images) && has_units(a, n, cfg->prune.metric);
}

static status read_json(const char *path, cJSON **out)
{
    status st = OK;
    char *text = NULL;
    size_t bytes;
    TRY(file_read(path, &text, &bytes));
    *out = cJSON_ParseWithLength(text, bytes); /* NULL: not JSON, so it does not fit */
out:
    free(text);
    return st;
}

/* Enough that the order of the layers does not hang on the choice of images. */
enum { CKA_IMAGES = 1000 };

static status analyse(const config *given, const char *checkpoint, const char *dir, const dataset *test,
                      cJSON **out)
{
    status st = OK;
    config asked = *given, *cfg = &asked; /* nothing in it is freed here */
    if (cfg->prune.metric == METRIC_CKA && cfg->analysis.cka == 0) cfg->analysis.cka = CKA_IMAGES;
    experiment e = { 0 };
    analyser *a = NULL;
    analysis result = { 0 };
    dir_lock lock = { 0 };
    TRY(lock_take(dir, true, &lock));
    TRY(experiment_open(cfg, 0, &e));
    log_info("analysing %s on %s", checkpoint, e.why);
    TRY(analyser_create(e.net, cfg, &a));
    const net_case evaluation = { .batch = analysis_batch(cfg, test) };
    TRY(experiment_compile(&e, &evaluation, 1));
    TRY(surgery_inherit(e.net, checkpoint));
    TRY(analysis_run(a, 0, evaluation.batch, test, checkpoint, &result));
    TRY(analysis_write(&result, dir, false));
    TRY_ALLOC(*out, analysis_json(&result));
out:
    analysis_free(&result);
    analyser_free(a);
    experiment_close(&e);
    lock_release(&lock);
    return st;
}

status curve_analysis(const config *cfg, const char *checkpoint, const char *dir, const dataset *test,
                      cJSON **out)
{
    status st = OK;
    cJSON *found = NULL;
    net *n = NULL;
    analysis want = { 0 };
    char path[4096];
    TRY(analysis_settings(cfg, test, &want));
    TRY(text_format(path, sizeof path, "%s/analysis.json", dir));
    TRY(net_create(cfg->net.arch, cfg->net.classes, cfg->net.remove, cfg->net.remove_count, &n));
    if (is_newer(path, checkpoint)) TRY(read_json(path, &found));
    if (found && fits(found, cfg, checkpoint, n, &want)) {
        log_info("using %s", path);
        *out = found;
        found = NULL;
    } else {
        TRY(analyse(cfg, checkpoint, dir, test, out));
    }
out:
    cJSON_Delete(found);
    net_free(n);
    analysis_free(&want);
    return st;
}

status curve_read(const config *cfg, const char *dir, cJSON **out)
{
    status st = OK;
    cJSON *found = NULL;
    net *n = NULL;
    char path[4096];
    TRY(text_format(path, sizeof path, "%s/analysis.json", dir));
    TRY(net_create(cfg->net.arch, cfg->net.classes, cfg->net.remove, cfg->net.remove_count, &n));
    TRY(read_json(path, &found));
    if (!found) FAIL(ERR_DATA, "%s: not JSON", path);
    if (!is_text(found, "arch", cfg->net.arch) || !has_units(found, n, cfg->prune.metric))
        FAIL(ERR_DATA, "%s: not an analysis of this %s: units are missing in it", path, cfg->net.arch);
    log_info("using %s", path);
    *out = found;
    found = NULL;
out:
    cJSON_Delete(found);
    net_free(n);
    return st;
}
