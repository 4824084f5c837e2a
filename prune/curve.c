/* prune/curve.c -- an analysis takes as long as an evaluation or longer, so one on disk is used, if it is of these weights
 * and these settings as far as the file says. */
#include "curve.h"
#include "../core/base/file.h"
#include "../core/base/json.h"
#include "../core/base/lock.h"
#include "../core/base/log.h"
#include "../graph/analysis.h"
#include "../nets/experiment.h"
#include "metric.h"
#include "surgery.h"
#include <math.h>
#include <string.h>

static bool is_text(const cJSON *a, const char *key, const char *want)
{
    return !strcmp(json_text(a, key), want);
}

static bool is_number(const cJSON *a, const char *key, int64_t want)
{
    return json_number(a, key, NAN) == (double)want;
}

static bool is_bool(const cJSON *a, const char *key, bool want)
{
    const cJSON *item = cJSON_GetObjectItem(a, key);
    return want ? cJSON_IsTrue(item) : cJSON_IsFalse(item);
}

/* Old analyses do not say; they are of f32. */
static bool is_precision(const cJSON *a, precision_kind want)
{
    return cJSON_GetObjectItem(a, "precision")
               ? is_text(a, "precision", config_choice("analysis.precision", want))
               : want == PRECISION_F32;
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
           is_number(a, "lu_batches", want->lu_batches) && json_is_uint64(a, "seed", want->seed) &&
           is_bool(a, "balanced", want->balanced) && is_precision(a, want->precision) &&
           is_text(a, "images", images) && metric_is_in(metric_of(cfg->prune.metric), a, n);
}

/* With this many images, the order of the layers does not depend on which images were drawn. */
enum { CKA_IMAGES = 1000 };

static status analyse(const config *given, const char *checkpoint, const char *dir, const dataset *test,
                      cJSON **out)
{
    status st = OK;
    config asked = *given, *cfg = &asked; /* nothing in it is freed here */
    if (metric_of(cfg->prune.metric)->cka && cfg->analysis.cka == 0) cfg->analysis.cka = CKA_IMAGES;
    experiment e = { 0 };
    analyser *a = NULL;
    analysis result = { 0 };
    dir_lock lock = { 0 };
    TRY(analysis_may_write(dir));
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
    file_path path;
    TRY(analysis_settings(cfg, test, &want));
    TRY(path_set(&path, "%s/analysis.json", dir));
    TRY(net_from_config(cfg, &n));
    if (file_is_newer(path.s, checkpoint)) found = json_read_if_any(path.s);
    if (found && fits(found, cfg, checkpoint, n, &want)) {
        log_info("using %s", path.s);
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
    file_path path;
    TRY(path_set(&path, "%s/analysis.json", dir));
    TRY(net_from_config(cfg, &n));
    TRY(json_read(path.s, &found));
    if (!is_text(found, "arch", cfg->net.arch) || !metric_is_in(metric_of(cfg->prune.metric), found, n))
        FAIL(ERR_DATA, "%s: not an analysis of this %s: units are missing in it", path.s, cfg->net.arch);
    log_info("using %s", path.s);
    *out = found;
    found = NULL;
out:
    cJSON_Delete(found);
    net_free(n);
    return st;
}
