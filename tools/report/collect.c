/* tools/report/collect.c -- everything of all runs, in an order that lets parts be shared: first which graphs there
 * are, so that the edges of all can be kept within what a browser takes; then the graphs and nets, which say
 * which images they show; then those images. */
#include "../../core/base/log.h"
#include "parts.h"
#include "report.h"
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* About 6 bytes an edge in the page: 75 layers of 40,000 edges are 18 MB. */
enum { MAX_EDGES = 3000000, MIN_EPOCH_EDGES = MAX_EDGES / 4, MIN_EDGES_A_LAYER = 200 };

status report_note(report *r, const char *format, ...)
{
    char text[1200];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    log_warn("%s", text);
    return append(r->notes, cJSON_CreateString(text));
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

/* The page does without images that have moved. */
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

/* ---- runs ---- */

static void name_run(report_run *run)
{
    size_t n = strlen(run->path);
    while (n > 1 && run->path[n - 1] == '/') n--;
    size_t from = n;
    while (from > 0 && run->path[from - 1] != '/') from--;
    snprintf(run->name, sizeof run->name, "%.*s", (int)(n - from), run->path + from);
}

/* Layers of best checkpoints (0) and of epochs (1), and their edges. */
static void count_edges(const report *r, int64_t layers[2], double edges[2])
{
    for (int i = 0; i < r->n_runs; i++)
        for (int g = 0; g < r->run[i].n_graphs; g++) {
            const report_graph *graph = &r->run[i].graph[g];
            const int n = cJSON_GetArraySize(cJSON_GetObjectItem(graph->analysis, "layers"));
            layers[graph->epoch > 0] += n;
            edges[graph->epoch > 0] +=
                n * cJSON_GetNumberValue(cJSON_GetObjectItem(graph->analysis, "edges"));
        }
}

static int64_t share(double edges, int64_t layers)
{
    const int64_t each = layers ? (int64_t)(edges / (double)layers) : 0;
    return each < MIN_EDGES_A_LAYER ? MIN_EDGES_A_LAYER : each;
}

/* Best checkpoints come first; epochs share what they leave, or a quarter. */
static void share_edges(report *r)
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
        name_run(&r->run[i]);
        TRY(open_images(r, &r->run[i]));
        TRY(graphs_open(&r->run[i]));
    }
    share_edges(r);
out:
    return st;
}

static int index_of(const report *r, const report_images *images)
{
    return images ? (int)(images - r->images) : -1;
}

static status run_json(report *r, report_run *run, cJSON **out)
{
    status st = OK;
    cJSON *o, *part = NULL;
    log_info("%s", run->name);
    TRY_ALLOC(o, cJSON_CreateObject());
    TRY(put_text(o, "name", run->name));
    TRY(put_text(o, "path", run->path));
    TRY(put_number(o, "classes", run->cfg->net.classes));
    TRY(put_number(o, "images", index_of(r, run->images)));
    TRY(history_json(run, &part));
    TRY(put(o, "history", part));
    TRY(graphs_json(r, run, &part));
    TRY(put(o, "graphs", part));
    TRY(network_json(r, run, &part));
    TRY(put(o, "network", part));
    *out = o;
    o = NULL;
out:
    cJSON_Delete(o);
    return st;
}

static status put_runs(report *r, cJSON *o)
{
    status st = OK;
    cJSON *list, *item = NULL;
    TRY_ALLOC(list, cJSON_AddArrayToObject(o, "runs"));
    for (int i = 0; i < r->n_runs; i++) {
        TRY(run_json(r, &r->run[i], &item));
        TRY(append(list, item));
    }
out:
    return st;
}

static status put_images(report *r, cJSON *o)
{
    status st = OK;
    cJSON *list, *item = NULL;
    TRY_ALLOC(list, cJSON_AddArrayToObject(o, "images"));
    for (int i = 0; i < r->n_images; i++) {
        TRY(images_json(&r->images[i], &item));
        TRY(append(list, item));
    }
out:
    return st;
}

static status put_time(cJSON *o)
{
    char text[32] = "";
    time_t now = time(NULL);
    struct tm tm;
    if (gmtime_r(&now, &tm)) strftime(text, sizeof text, "%Y-%m-%d %H:%M UTC", &tm);
    return put_text(o, "made", text);
}

status report_collect(report *r, cJSON **out)
{
    status st = OK;
    cJSON *o = NULL;
    TRY_ALLOC(r->images, calloc((size_t)r->n_runs + 1, sizeof *r->images));
    TRY_ALLOC(r->notes, cJSON_CreateArray());
    TRY_ALLOC(o, cJSON_CreateObject());
    TRY(put_time(o));
    TRY(open_runs(r));
    TRY(put_runs(r, o));
    TRY(put_images(r, o));
    TRY(put(o, "notes", cJSON_Duplicate(r->notes, true)));
    *out = o;
    o = NULL;
out:
    cJSON_Delete(o);
    return st;
}

void report_close(report *r)
{
    for (int i = 0; i < r->n_runs; i++) graphs_close(&r->run[i]);
    for (int i = 0; i < r->n_images; i++) {
        dataset_free(&r->images[i].test);
        free(r->images[i].wanted);
    }
    free(r->images);
    cJSON_Delete(r->notes);
    r->images = NULL;
    r->notes = NULL;
}
