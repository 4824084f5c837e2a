/* prune/curve.c -- an analysis takes as long as an evaluation or more, so one that is there is used; but
 * only if it is of these weights and these settings, as far as the file tells. */
#include "curve.h"
#include "../core/file.h"
#include "../core/lock.h"
#include "../core/log.h"
#include "../graph/analysis.h"
#include "../nets/fit.h"
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

static bool has_units(const cJSON *a, const net *n, metric_kind metric)
{
    int count;
    double value;
    const net_unit *unit = net_units(n, &count);
    for (int i = 0; i < count; i++)
        if (!choose_value(a, unit[i].name, metric, &value)) return false;
    return true;
}

static bool fits(const cJSON *a, const config *cfg, const char *checkpoint, const net *n, const dataset *test)
{
    const config_analysis *c = &cfg->analysis;
    int64_t samples = c->samples < test->n ? c->samples : test->n, pairs = samples * (samples - 1) / 2;
    return is_text(a, "arch", cfg->net.arch) && is_text(a, "checkpoint", checkpoint) &&
           is_text(a, "norm", c->norm == NORM_NEWMAN ? "newman" : "literal") &&
           is_number(a, "samples", samples) && is_number(a, "edges", c->edges < pairs ? c->edges : pairs) &&
           has_units(a, n, cfg->prune.metric);
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

static status analyse(const config *cfg, const char *checkpoint, const char *dir, const dataset *test,
                      cJSON **out)
{
    status st = OK;
    backend *b = NULL;
    net *n = NULL;
    analyser *a = NULL;
    analysis result = { 0 };
    dir_lock lock = { 0 };
    st_file f = { 0 };
    TRY(st_open(checkpoint, &f));
    TRY(lock_take(dir, true, &lock));
    TRY(net_create(cfg->net.arch, cfg->net.classes, cfg->net.remove, cfg->net.remove_count, &n));
    TRY(backend_open(cfg->device, cfg->threads, &b, NULL, 0));
    log_info("analysing %s on %s", checkpoint, b->description);
    TRY(analyser_create(n, cfg, &a));
    TRY(fit_compile(cfg, NULL, n, b));
    TRY(surgery_inherit(n, &f, checkpoint));
    TRY(analysis_run(a, FIT_CASE_EVAL, cfg->train.batch, test, checkpoint, &result));
    TRY(analysis_write(&result, dir, false));
    TRY_ALLOC(*out, analysis_json(&result));
out:
    analysis_free(&result);
    analyser_free(a);
    net_free(n);
    backend_close(b);
    st_close(&f);
    lock_release(&lock);
    return st;
}

status curve_analysis(const config *cfg, const char *checkpoint, const char *dir, bool anew,
                      const dataset *test, cJSON **out)
{
    status st = OK;
    cJSON *found = NULL;
    net *n = NULL;
    char path[4096];
    TRY(path_format(path, sizeof path, "%s/analysis.json", dir));
    TRY(net_create(cfg->net.arch, cfg->net.classes, cfg->net.remove, cfg->net.remove_count, &n));
    if (!anew && is_newer(path, checkpoint)) TRY(read_json(path, &found));
    if (found && fits(found, cfg, checkpoint, n, test)) {
        log_info("using %s", path);
        *out = found;
        found = NULL;
    } else {
        TRY(analyse(cfg, checkpoint, dir, test, out));
    }
out:
    cJSON_Delete(found);
    net_free(n);
    return st;
}

status curve_read(const config *cfg, const char *dir, cJSON **out)
{
    status st = OK;
    cJSON *found = NULL;
    net *n = NULL;
    char path[4096];
    TRY(path_format(path, sizeof path, "%s/analysis.json", dir));
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
