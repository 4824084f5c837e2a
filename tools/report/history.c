/* tools/report/history.c -- what a run wrote about itself, as it is: config, metrics, status, environment, prune.
 */
#include "../../core/base/file.h"
#include "parts.h"
#include "report.h"
#include <stdlib.h>
#include <string.h>

/* The parsed file, JSON null where it does not exist. */
static status read_json(const report_run *r, const char *name, cJSON **out)
{
    status st = OK;
    char path[4096], *text = NULL;
    size_t bytes;
    TRY(text_format(path, sizeof path, "%s/%s", r->path, name));
    if (!file_exists(path)) {
        TRY_ALLOC(*out, cJSON_CreateNull());
        goto out;
    }
    TRY(file_read(path, &text, &bytes));
    if (!(*out = cJSON_ParseWithLength(text, bytes))) FAIL(ERR_DATA, "%s: not JSON", path);
out:
    free(text);
    return st;
}

static status put_file(cJSON *o, const char *key, const report_run *r, const char *name)
{
    status st = OK;
    cJSON *item = NULL;
    TRY(read_json(r, name, &item));
    TRY(put(o, key, item));
out:
    return st;
}

/* metrics.jsonl: an object a line. A crash may have left half a last line: it is not there for the reader. */
static status put_metrics(cJSON *o, const report_run *r)
{
    status st = OK;
    char path[4096], *text = NULL;
    cJSON *list;
    TRY_ALLOC(list, cJSON_AddArrayToObject(o, "metrics"));
    TRY(text_format(path, sizeof path, "%s/metrics.jsonl", r->path));
    if (!file_exists(path)) goto out;
    TRY(file_read(path, &text, NULL));
    for (char *line = text, *end; (end = strchr(line, '\n')); line = end + 1) {
        cJSON *epoch = cJSON_ParseWithLength(line, (size_t)(end - line));
        if (!cJSON_IsObject(epoch)) {
            cJSON_Delete(epoch);
            FAIL(ERR_DATA, "%s, line %d: not a JSON object", path, cJSON_GetArraySize(list) + 1);
        }
        TRY(append(list, epoch));
    }
out:
    free(text);
    return st;
}

static status put_config(cJSON *o, const report_run *r)
{
    status st = OK;
    char *yaml = NULL;
    TRY(config_yaml(r->cfg, &yaml));
    TRY(put_text(o, "config", yaml));
out:
    free(yaml);
    return st;
}

status history_json(const report_run *r, cJSON **out)
{
    status st = OK;
    cJSON *o;
    TRY_ALLOC(o, cJSON_CreateObject());
    TRY(put_config(o, r));
    TRY(put_metrics(o, r));
    TRY(put_file(o, "status", r, "status.json"));
    TRY(put_file(o, "environment", r, "env.json"));
    TRY(put_file(o, "prune", r, "prune.json"));
    *out = o;
    o = NULL;
out:
    cJSON_Delete(o);
    return st;
}
