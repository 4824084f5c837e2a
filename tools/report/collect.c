/* tools/report/collect.c -- collects all runs. Which analyses there are comes first: the edges of all of
 * them must stay within what a browser can take. Then come the analyses and nets, which mark the images
 * that they show, and then those images. */
#include "collect.h"

#include "../../core/base/clock.h"
#include "../../core/base/file.h"
#include "../../core/base/log.h"
#include "../../nets/rundir.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* An edge takes about 6 bytes of the page: 75 layers of 40,000 edges are 18 MB. */
enum { MAX_EDGES = 3000000, MIN_EPOCH_EDGES = MAX_EDGES / 4, MIN_EDGES_A_LAYER = 200 };

status report_note(report *r, const char *format, ...)
{
    char text[1200];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    log_warn("%s", text);
    return json_append(r->notes, cJSON_CreateString(text));
}

/* ---- images ---- */

static bool same_images(const config_data *a, const config_data *b)
{
    return a->format == b->format && !strcmp(a->path, b->path) && a->test_limit == b->test_limit;
}

static bool share_images(report *r, report_run *run)
{
    for (int i = 0; i < r->n_images; i++)
        if (same_images(r->images[i].data, &run->cfg->data) &&
            r->images[i].test.classes == run->cfg->net.classes)
            run->images = &r->images[i];
    return run->images != NULL;
}

/* If the images cannot be opened, a note says so, and the page shows none. */
static status open_images(report *r, report_run *run)
{
    status st = OK;
    report_images *images = &r->images[r->n_images];
    if (share_images(r, run)) return OK;
    *images = (report_images){ .data = &run->cfg->data };
    if (dataset_open(images->data, run->cfg->net.classes, NULL, &images->test) != OK) {
        TRY(report_note(r, "%s: no images, no activations: %s", run->name, status_message()));
        goto out;
    }
    TRY_ALLOC(images->wanted, calloc((size_t)images->test.n, sizeof *images->wanted));
    r->n_images++;
    run->images = images;
out:
    return st;
}

/* ---- what training and pruning left in the run, as it is ---- */

/* A JSON file of the run; null if it does not exist. */
static status put_file(cJSON *o, const char *key, const report_run *r, const char *name)
{
    status st = OK;
    file_path path;
    cJSON *item = NULL;
    TRY(path_set(&path, "%s/%s", r->path, name));
    if (file_exists(path.s)) TRY(json_read(path.s, &item));
    TRY(json_put(o, key, item ? item : cJSON_CreateNull()));
out:
    return st;
}

/* metrics.jsonl has an object on each line. A last line without an end was left by a crash and does not
 * count. */
static status put_metrics(cJSON *o, const report_run *r)
{
    status st = OK;
    file_path path;
    char *text = NULL;
    size_t bytes;
    cJSON *list;
    TRY(json_put_list(o, "metrics", &list));
    TRY(path_set(&path, "%s/metrics.jsonl", r->path));
    if (!file_exists(path.s)) goto out;
    TRY(file_read(path.s, &text, &bytes));
    for (char *line = text, *end; (end = memchr(line, '\n', bytes - (size_t)(line - text))); line = end + 1) {
        cJSON *epoch;
        TRY(json_parse(line, (size_t)(end - line), NULL, &epoch));
        if (!cJSON_IsObject(epoch)) {
            cJSON_Delete(epoch);
            FAIL(ERR_DATA, "%s, line %d: not a JSON object", path.s, cJSON_GetArraySize(list) + 1);
        }
        TRY(json_append(list, epoch));
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
    TRY(json_put_text(o, "config", yaml));
out:
    free(yaml);
    return st;
}

status put_history(cJSON *o, const report_run *r)
{
    status st = OK;
    cJSON *state;
    TRY(put_config(o, r));
    TRY(put_metrics(o, r));
    TRY(rundir_status_read(r->path, &state));
    TRY(json_put(o, "status", state ? state : cJSON_CreateNull()));
    TRY(put_file(o, "environment", r, "env.json"));
    TRY(put_file(o, "prune", r, "prune.json"));
out:
    return st;
}

/* ---- all runs ---- */

/* What a file says beyond this is not so: converting it to a whole number would be undefined. */
static const int64_t MOST_EDGES = (int64_t)1 << 52;

/* How many layers and edges the analyses have: [0] of best checkpoints, [1] of epochs. */
static void count_edges(const report *r, int64_t layers[2], double edges[2])
{
    for (int i = 0; i < r->n_runs; i++)
        for (int k = 0; k < r->run[i].n_analyses; k++) {
            const report_analysis *a = &r->run[i].analysis[k];
            const int n = cJSON_GetArraySize(cJSON_GetObjectItem(a->json, "layers"));
            layers[a->epoch > 0] += n;
            edges[a->epoch > 0] += n * (double)json_whole(a->json, "edges", 0, MOST_EDGES, 0);
        }
}

/* Edges per layer. */
static int64_t share(double edges, int64_t layers)
{
    const int64_t each = layers ? (int64_t)(edges / (double)layers) : 0;
    return each < MIN_EDGES_A_LAYER ? MIN_EDGES_A_LAYER : each;
}

/* The epochs share what the best checkpoints leave, but at least a quarter. */
void share_edges(report *r)
{
    int64_t layers[2] = { 0 };
    double edges[2] = { 0 };
    count_edges(r, layers, edges);
    r->max_edges[0] = share(MAX_EDGES, layers[0]);
    r->max_edges[1] = share(fmax(MIN_EPOCH_EDGES, MAX_EDGES - edges[0]), layers[1]);
}

static status open_runs(report *r)
{
    status st = OK;
    for (int i = 0; i < r->n_runs; i++) {
        r->run[i].name = path_name(r->run[i].path);
        TRY(open_images(r, &r->run[i]));
        TRY(analyses_open(&r->run[i]));
    }
    share_edges(r);
out:
    return st;
}

static int index_of(const report *r, const report_images *images)
{
    return images ? (int)(images - r->images) : -1;
}

static status put_run(cJSON *o, report *r, const report_run *run)
{
    status st = OK;
    cJSON *part;
    log_info("%s", run->name);
    TRY(json_put_text(o, "name", run->name));
    TRY(json_put_text(o, "path", run->path));
    TRY(json_put_number(o, "classes", run->cfg->net.classes));
    TRY(json_put_number(o, "images", index_of(r, run->images)));
    TRY(json_put_object(o, "history", &part));
    TRY(put_history(part, run));
    TRY(json_put_list(o, "graphs", &part));
    TRY(append_analyses(part, r, run));
    TRY(json_put_object(o, "network", &part));
    TRY(put_network(part, r, run));
out:
    return st;
}

static status collect(cJSON *o, report *r)
{
    status st = OK;
    cJSON *list, *item;
    TRY(json_put_text(o, "made", time_stamp_of(time(NULL), "%Y-%m-%d %H:%M UTC").s));
    TRY(json_put_list(o, "runs", &list));
    for (int i = 0; i < r->n_runs; i++) {
        TRY(json_append_object(list, &item));
        TRY(put_run(item, r, &r->run[i]));
    }
    TRY(json_put_list(o, "images", &list));
    for (int i = 0; i < r->n_images; i++) {
        TRY(json_append_object(list, &item));
        TRY(put_images(item, &r->images[i]));
    }
    TRY(json_put(o, "notes", cJSON_Duplicate(r->notes, true)));
out:
    return st;
}

status report_collect(report *r, cJSON **out)
{
    status st = OK;
    cJSON *o = NULL;
    TRY_ALLOC(r->images, calloc((size_t)r->n_runs + 1, sizeof *r->images));
    TRY_ALLOC(r->notes, cJSON_CreateArray());
    TRY_ALLOC(o, cJSON_CreateObject());
    TRY(open_runs(r));
    TRY(collect(o, r));
    *out = o;
    o = NULL;
out:
    cJSON_Delete(o);
    return st;
}

void report_close(report *r)
{
    for (int i = 0; i < r->n_runs; i++) analyses_close(&r->run[i]);
    for (int i = 0; i < r->n_images; i++) {
        dataset_free(&r->images[i].test);
        free(r->images[i].wanted);
    }
    free(r->images);
    cJSON_Delete(r->notes);
    r->images = NULL;
    r->notes = NULL;
}
