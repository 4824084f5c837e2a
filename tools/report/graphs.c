/* tools/report/graphs.c -- the analyses of a run: numbers as analyze wrote them, edges in three columns.
 *
 * An edge is two vertices (u16, or u32 beyond 65536 vertices) and a similarity, quantised to 1/65535 of the
 * layer's range and stored as the difference to the edge before: edges come by descending similarity, so
 * these are small numbers. */
#include "../../core/base/file.h"
#include "../../graph/edges.h"
#include "parts.h"
#include "report.h"
#include <dirent.h>
#include <stdlib.h>
#include <string.h>

/* ---- reading an analysis ---- */

/* A layer's name is part of a path: it must not lead elsewhere. */
static status check_analysis(const report_graph *g, const char *path)
{
    status st = OK;
    const cJSON *layer, *layers = cJSON_GetObjectItem(g->analysis, "layers");
    if (!cJSON_IsArray(layers)) FAIL(ERR_DATA, "%s: no layers; analyze writes it anew", path);
    cJSON_ArrayForEach(layer, layers)
    {
        const char *name = cJSON_GetStringValue(cJSON_GetObjectItem(layer, "name"));
        if (!name || !*name || strchr(name, '/')) FAIL(ERR_DATA, "%s: a layer without a proper name", path);
    }
out:
    return st;
}

static int count_lines(const char *text)
{
    int n = 0;
    for (; (text = strchr(text, '\n')); text++) n++;
    return n;
}

/* samples.csv: vertex,image,label. */
static status read_samples(report_graph *g, int classes)
{
    status st = OK;
    char path[4096], *text = NULL;
    TRY(text_format(path, sizeof path, "%s/samples.csv", g->dir));
    TRY(file_read(path, &text, NULL));
    int lines = count_lines(text);
    TRY_ALLOC(g->image, malloc(((size_t)lines + 1) * sizeof *g->image));
    TRY_ALLOC(g->label, malloc(((size_t)lines + 1) * sizeof *g->label));
    char *line = strchr(text, '\n'); /* after the header */
    for (char *end; line && (end = strchr(line + 1, '\n')); line = end, g->n++) {
        int vertex, image, label;
        if (sscanf(line + 1, "%d,%d,%d", &vertex, &image, &label) != 3 || vertex != g->n || image < 0 ||
            label < 0 || label >= classes)
            FAIL(ERR_DATA, "%s, line %d: not vertex,image,label with labels below %d", path, g->n + 2,
                 classes);
        g->image[g->n] = (uint32_t)image;
        g->label[g->n] = (uint16_t)label;
    }
out:
    free(text);
    return st;
}

static status open_graph(report_run *r, const char *dir, int epoch)
{
    status st = OK;
    char path[4096], *text = NULL;
    size_t bytes;
    TRY(text_format(path, sizeof path, "%s/analysis.json", dir));
    if (!file_exists(path)) goto out; /* not finished, or never begun */
    report_graph *more = realloc(r->graph, ((size_t)r->n_graphs + 1) * sizeof *more);
    if (!more) FAIL(ERR_RUNTIME, "out of memory");
    r->graph = more;
    report_graph *g = &r->graph[r->n_graphs++];
    *g = (report_graph){ .epoch = epoch };
    TRY(text_format(g->dir, sizeof g->dir, "%s", dir));
    TRY(file_read(path, &text, &bytes));
    if (!(g->analysis = cJSON_ParseWithLength(text, bytes)))
        FAIL(ERR_DATA, "%s: not JSON; analyze writes it anew", path);
    TRY(check_analysis(g, path));
    TRY(read_samples(g, r->cfg->net.classes));
out:
    free(text);
    return st;
}

static int epoch_of(const char *name)
{
    int epoch, end = 0;
    return sscanf(name, "epoch-%d%n", &epoch, &end) == 1 && end > 0 && !name[end] ? epoch : -1;
}

static int is_epoch(const struct dirent *e)
{
    return epoch_of(e->d_name) > 0;
}

static int by_epoch(const struct dirent **a, const struct dirent **b)
{
    int x = epoch_of((*a)->d_name), y = epoch_of((*b)->d_name);
    return (x > y) - (x < y);
}

status graphs_open(report_run *r)
{
    status st = OK;
    char dir[4096], sub[8192];
    struct dirent **entry = NULL;
    TRY(text_format(dir, sizeof dir, "%s/analysis", r->path));
    int n = scandir(dir, &entry, is_epoch, by_epoch); /* -1: no such folder */
    for (int i = 0; i < n; i++) {
        if (st == OK) st = text_format(sub, sizeof sub, "%s/%s", dir, entry[i]->d_name);
        if (st == OK) st = open_graph(r, sub, epoch_of(entry[i]->d_name));
        free(entry[i]);
    }
    free(entry);
    TRY(st);
    TRY(open_graph(r, dir, 0));
out:
    return st;
}

void graphs_close(report_run *r)
{
    for (int i = 0; i < r->n_graphs; i++) {
        cJSON_Delete(r->graph[i].analysis);
        free(r->graph[i].image);
        free(r->graph[i].label);
    }
    free(r->graph);
    r->graph = NULL;
    r->n_graphs = 0;
}

/* ---- edges ---- */

typedef struct edge_columns {
    int64_t n;
    bool wide; /* u32 vertices */
    void *i, *j;
    uint16_t *sim; /* differences */
} edge_columns;

static void free_columns(edge_columns *c)
{
    free(c->i);
    free(c->j);
    free(c->sim);
}

static status open_columns(edge_columns *c, int64_t n, bool wide)
{
    status st = OK;
    *c = (edge_columns){ .n = n, .wide = wide };
    TRY_ALLOC(c->i, malloc((size_t)n * 4 + 1));
    TRY_ALLOC(c->j, malloc((size_t)n * 4 + 1));
    TRY_ALLOC(c->sim, malloc((size_t)n * 2 + 1));
out:
    return st;
}

static void store(void *column, bool wide, int64_t k, int32_t value)
{
    if (wide)
        ((uint32_t *)column)[k] = (uint32_t)value;
    else
        ((uint16_t *)column)[k] = (uint16_t)value;
}

static status check_edges(const edge *e, int64_t n, int vertices, const char *path)
{
    status st = OK;
    for (int64_t k = 0; k < n; k++)
        if (e[k].i < 0 || e[k].j < 0 || e[k].i >= vertices || e[k].j >= vertices || !isfinite(e[k].sim))
            FAIL(ERR_DATA, "%s: edge %lld joins %d and %d of %d vertices; analyze writes it anew", path,
                 (long long)k, e[k].i, e[k].j, vertices);
out:
    return st;
}

/* The k-th of c->n edges, evenly spaced in the order of similarity: k * n / c->n. */
static void fill_columns(edge_columns *c, const edge *e, int64_t n, float low, float high)
{
    unsigned last = 65535;
    for (int64_t k = 0; k < c->n; k++) {
        const edge *from = &e[(int64_t)((double)k * (double)n / (double)c->n)];
        unsigned q = high > low ? (unsigned)lroundf(65535 * (from->sim - low) / (high - low)) : 65535;
        if (q > last) q = last; /* the file's order is not to be trusted */
        store(c->i, c->wide, k, from->i);
        store(c->j, c->wide, k, from->j);
        c->sim[k] = (uint16_t)(last - q);
        last = q;
    }
}

static status columns_json(const edge_columns *c, cJSON *o)
{
    status st = OK;
    cJSON *blob = NULL;
    const int64_t n = c->n;
    const char *type = c->wide ? "u32" : "u16";
    TRY(blob_json(type, c->i, 1, &n, &blob));
    TRY(put(o, "i", blob));
    TRY(blob_json(type, c->j, 1, &n, &blob));
    TRY(put(o, "j", blob));
    TRY(blob_json("u16", c->sim, 1, &n, &blob));
    TRY(put(o, "drop", blob));
out:
    return st;
}

static void want_images(const report_graph *g, const edge_columns *c, report_images *images)
{
    if (!images) return;
    for (int64_t k = 0; k < c->n; k++) {
        uint32_t a = g->image[c->wide ? ((uint32_t *)c->i)[k] : ((uint16_t *)c->i)[k]];
        uint32_t b = g->image[c->wide ? ((uint32_t *)c->j)[k] : ((uint16_t *)c->j)[k]];
        if (a < (uint32_t)images->test.n) images->wanted[a] = true;
        if (b < (uint32_t)images->test.n) images->wanted[b] = true;
    }
}

/* {total, low, high, i, j, drop}; null where the file is gone. */
static status layer_edges(const report *r, const report_run *run, const report_graph *g, const char *layer,
                          cJSON **out)
{
    status st = OK;
    char path[4096], *bytes = NULL;
    size_t size;
    cJSON *o = NULL;
    edge_columns c = { 0 };
    const int64_t most = r->max_edges[g->epoch > 0];
    TRY(text_format(path, sizeof path, "%s/edges/%s.bin", g->dir, layer));
    if (!file_exists(path)) {
        TRY_ALLOC(*out, cJSON_CreateNull());
        goto out;
    }
    TRY(file_read(path, &bytes, &size));
    if (size % sizeof(edge)) FAIL(ERR_DATA, "%s: %zu bytes are not a whole number of edges", path, size);
    const edge *e = (const edge *)bytes;
    const int64_t n = (int64_t)(size / sizeof(edge));
    TRY(check_edges(e, n, g->n, path));
    TRY(open_columns(&c, n < most ? n : most, g->n > 65536));
    float high = n ? e[0].sim : 1, low = n ? e[n - 1].sim : 0;
    fill_columns(&c, e, n, low, high);
    want_images(g, &c, run->images);
    TRY_ALLOC(o, cJSON_CreateObject());
    TRY(put_number(o, "total", (double)n));
    TRY(put_number(o, "low", low));
    TRY(put_number(o, "high", high));
    TRY(columns_json(&c, o));
    *out = o;
    o = NULL;
out:
    cJSON_Delete(o);
    free_columns(&c);
    free(bytes);
    return st;
}

/* ---- JSON ---- */

/* The analysis as it is, each layer with its edges. */
static status put_layers(const report *r, const report_run *run, const report_graph *g, cJSON *analysis)
{
    status st = OK;
    cJSON *layer, *edges = NULL;
    cJSON_ArrayForEach(layer, cJSON_GetObjectItem(analysis, "layers"))
    {
        TRY(layer_edges(r, run, g, cJSON_GetStringValue(cJSON_GetObjectItem(layer, "name")), &edges));
        cJSON_DeleteItemFromObject(layer, "graph");
        TRY(put(layer, "graph", edges));
    }
out:
    return st;
}

static status graph_json(const report *r, const report_run *run, const report_graph *g, cJSON **out)
{
    status st = OK;
    const int64_t n = g->n;
    cJSON *o, *blob = NULL;
    TRY_ALLOC(o, cJSON_Duplicate(g->analysis, true));
    TRY(put(o, "epoch", g->epoch ? cJSON_CreateNumber(g->epoch) : cJSON_CreateNull()));
    TRY(blob_json("u32", g->image, 1, &n, &blob));
    TRY(put(o, "image", blob));
    TRY(blob_json("u16", g->label, 1, &n, &blob));
    TRY(put(o, "label", blob));
    TRY(put_layers(r, run, g, o));
    *out = o;
    o = NULL;
out:
    cJSON_Delete(o);
    return st;
}

status graphs_json(report *r, report_run *run, cJSON **out)
{
    status st = OK;
    cJSON *list, *graph = NULL;
    TRY_ALLOC(list, cJSON_CreateArray());
    for (int i = 0; i < run->n_graphs; i++) {
        TRY(graph_json(r, run, &run->graph[i], &graph));
        TRY(append(list, graph));
    }
    if (!run->n_graphs)
        TRY(report_note(r, "%s: not analyzed: no graphs, no curves; analyze %s", run->name, run->path));
    *out = list;
    list = NULL;
out:
    cJSON_Delete(list);
    return st;
}
