/* tools/report/analyses.c -- the analyses of a run: the numbers as analyze wrote them, and the edges of
 * each layer's graph in three columns.
 *
 * An edge is two vertices (u16, or u32 if there are more than 65536) and a similarity. Similarities are
 * quantised to 1/65535 of the layer's range. Edges are sorted by descending similarity, so the third
 * column holds the differences to the edge before, which are small numbers and compress well. */
#include "collect.h"

#include "../../core/base/file.h"
#include "../../graph/edges.h"

#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- reading an analysis ---- */

/* A layer's name becomes part of a path, so it must not contain a slash. */
static status check_analysis(const report_analysis *a, const char *path)
{
    status st = OK;
    const cJSON *layer, *layers = cJSON_GetObjectItem(a->json, "layers");
    if (!cJSON_IsArray(layers)) FAIL(ERR_DATA, "%s: no layers; analyze writes it again", path);
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
static status read_samples(report_analysis *a, int classes)
{
    status st = OK;
    file_path path;
    char *text = NULL;
    size_t bytes;
    TRY(path_set(&path, "%s/samples.csv", a->dir.s));
    TRY(file_read(path.s, &text, &bytes));
    if (strlen(text) != bytes) FAIL(ERR_DATA, "%s is damaged: it has a NUL byte", path.s);
    int lines = count_lines(text);
    TRY_ALLOC(a->image, malloc(((size_t)lines + 1) * sizeof *a->image));
    TRY_ALLOC(a->label, malloc(((size_t)lines + 1) * sizeof *a->label));
    char *line = strchr(text, '\n'); /* after the header */
    for (char *end; line && (end = strchr(line + 1, '\n')); line = end, a->n++) {
        int vertex, image, label;
        if (sscanf(line + 1, "%d,%d,%d", &vertex, &image, &label) != 3 || vertex != a->n || image < 0 ||
            label < 0 || label >= classes)
            FAIL(ERR_DATA, "%s, line %d: not vertex,image,label with labels below %d", path.s, a->n + 2,
                 classes);
        a->image[a->n] = (uint32_t)image;
        a->label[a->n] = (uint16_t)label;
    }
out:
    free(text);
    return st;
}

/* Appends the analysis in a folder, if it is finished. */
static status open_analysis(report_run *r, const char *dir, int epoch)
{
    status st = OK;
    file_path path;
    TRY(path_set(&path, "%s/analysis.json", dir));
    if (!file_exists(path.s)) goto out;
    report_analysis *more = realloc(r->analysis, ((size_t)r->n_analyses + 1) * sizeof *more);
    if (!more) FAIL(ERR_RUNTIME, "out of memory");
    r->analysis = more;
    report_analysis *a = &r->analysis[r->n_analyses++];
    *a = (report_analysis){ .epoch = epoch };
    TRY(path_set(&a->dir, "%s", dir));
    TRY(json_read(path.s, &a->json));
    TRY(check_analysis(a, path.s));
    TRY(read_samples(a, r->cfg->net.classes));
out:
    return st;
}

/* 7 for "epoch-007"; -1 for another name. */
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

static status open_epochs(report_run *r, const char *dir)
{
    status st = OK;
    struct dirent **entry = NULL;
    const int n = scandir(dir, &entry, is_epoch, by_epoch);
    if (n < 0 && errno != ENOENT) FAIL(status_of_errno(errno, ERR_DATA), "%s: %s", dir, strerror(errno));
    for (int i = 0; i < n; i++) {
        file_path sub;
        if (st == OK) st = path_set(&sub, "%s/%s", dir, entry[i]->d_name);
        if (st == OK) st = open_analysis(r, sub.s, epoch_of(entry[i]->d_name));
        free(entry[i]);
    }
out:
    free(entry);
    return st;
}

status analyses_open(report_run *r)
{
    status st = OK;
    file_path dir;
    TRY(path_set(&dir, "%s/analysis", r->path));
    TRY(open_epochs(r, dir.s));
    TRY(open_analysis(r, dir.s, 0));
out:
    return st;
}

void analyses_close(report_run *r)
{
    for (int i = 0; i < r->n_analyses; i++) {
        cJSON_Delete(r->analysis[i].json);
        free(r->analysis[i].image);
        free(r->analysis[i].label);
    }
    free(r->analysis);
    r->analysis = NULL;
    r->n_analyses = 0;
}

/* ---- edges ---- */

typedef struct edge_columns {
    int64_t n;
    bool wide;      /* vertices are u32, not u16 */
    void *i, *j;    /* [n] */
    uint16_t *drop; /* [n] similarity of the edge before, less that of this one */
} edge_columns;

static void free_columns(edge_columns *c)
{
    free(c->i);
    free(c->j);
    free(c->drop);
}

static status open_columns(edge_columns *c, int64_t n, bool wide)
{
    status st = OK;
    *c = (edge_columns){ .n = n, .wide = wide };
    TRY_ALLOC(c->i, malloc((size_t)n * 4 + 1));
    TRY_ALLOC(c->j, malloc((size_t)n * 4 + 1));
    TRY_ALLOC(c->drop, malloc((size_t)n * 2 + 1));
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
            FAIL(ERR_DATA, "%s: edge %lld joins %d and %d of %d vertices; analyze writes it again", path,
                 (long long)k, e[k].i, e[k].j, vertices);
out:
    return st;
}

/* Rounds to 0 to 65535; in a damaged file, the first edge may not be the most similar one, nor the last one the least. */
static unsigned quantised(float x)
{
    return x > 65535 ? 65535 : x >= 0 ? (unsigned)lroundf(x) : 0; /* NaN: 0 */
}

/* Takes c->n of the n edges, evenly spaced in the order of similarity: the k-th is edge k * n / c->n. */
static void fill_columns(edge_columns *c, const edge *e, int64_t n, float low, float high)
{
    unsigned last = 65535;
    for (int64_t k = 0; k < c->n; k++) {
        const edge *from = &e[(int64_t)((double)k * (double)n / (double)c->n)];
        unsigned q = high > low ? quantised(65535 * (from->sim - low) / (high - low)) : 65535;
        if (q > last) q = last; /* edges of a damaged file may not be sorted */
        store(c->i, c->wide, k, from->i);
        store(c->j, c->wide, k, from->j);
        c->drop[k] = (uint16_t)(last - q);
        last = q;
    }
}

static status put_columns(cJSON *o, const edge_columns *c)
{
    status st = OK;
    const char *type = c->wide ? "u32" : "u16";
    TRY(put_blob(o, "i", type, c->i, 1, &c->n));
    TRY(put_blob(o, "j", type, c->j, 1, &c->n));
    TRY(put_blob(o, "drop", "u16", c->drop, 1, &c->n));
out:
    return st;
}

/* The vertex that a column holds at k. */
static uint32_t vertex_at(const void *column, bool wide, int64_t k)
{
    return wide ? ((const uint32_t *)column)[k] : ((const uint16_t *)column)[k];
}

static void want_image(report_images *images, uint32_t position)
{
    if (position < (uint32_t)images->test.n) images->wanted[position] = true;
}

/* Marks the images at the ends of the edges. */
static void want_images(const report_analysis *a, const edge_columns *c, report_images *images)
{
    for (int64_t k = 0; k < c->n && images; k++) {
        want_image(images, a->image[vertex_at(c->i, c->wide, k)]);
        want_image(images, a->image[vertex_at(c->j, c->wide, k)]);
    }
}

/* Adds to a layer graph: {total, low, high, i, j, drop}; null if there is no file of edges. */
static status put_edges(cJSON *layer, const report *r, const report_run *run, const report_analysis *a)
{
    status st = OK;
    file_path path;
    char *bytes = NULL;
    size_t size;
    cJSON *o;
    edge_columns c = { 0 };
    const int64_t most = r->max_edges[a->epoch > 0];
    TRY(path_set(&path, "%s/edges/%s.bin", a->dir.s, json_text(layer, "name")));
    if (!file_exists(path.s)) {
        TRY(json_put(layer, "graph", cJSON_CreateNull()));
        goto out;
    }
    TRY(file_read(path.s, &bytes, &size));
    if (size % sizeof(edge)) FAIL(ERR_DATA, "%s: %zu bytes are not a whole number of edges", path.s, size);
    const edge *e = (const edge *)bytes;
    const int64_t n = (int64_t)(size / sizeof(edge));
    TRY(check_edges(e, n, a->n, path.s));
    TRY(open_columns(&c, n < most ? n : most, a->n > 65536));
    float high = n ? e[0].sim : 1, low = n ? e[n - 1].sim : 0;
    fill_columns(&c, e, n, low, high);
    want_images(a, &c, run->images);
    TRY(json_put_object(layer, "graph", &o));
    TRY(json_put_number(o, "total", (double)n));
    TRY(json_put_number(o, "low", low));
    TRY(json_put_number(o, "high", high));
    TRY(put_columns(o, &c));
out:
    free_columns(&c);
    free(bytes);
    return st;
}

/* ---- JSON ---- */

/* The analysis as it is, with its images, their labels, and the edges of each layer. */
static status append_analysis(cJSON *list, const report *r, const report_run *run, const report_analysis *a)
{
    status st = OK;
    const int64_t n = a->n;
    cJSON *layer, *o = cJSON_Duplicate(a->json, true);
    TRY(json_append(list, o));
    TRY(json_put_number(o, "epoch", a->epoch ? a->epoch : NAN));
    TRY(put_blob(o, "image", "u32", a->image, 1, &n));
    TRY(put_blob(o, "label", "u16", a->label, 1, &n));
    cJSON_ArrayForEach(layer, cJSON_GetObjectItem(o, "layers"))
    {
        cJSON_DeleteItemFromObject(layer, "graph");
        TRY(put_edges(layer, r, run, a));
    }
out:
    return st;
}

status append_analyses(cJSON *list, report *r, const report_run *run)
{
    status st = OK;
    for (int i = 0; i < run->n_analyses; i++) TRY(append_analysis(list, r, run, &run->analysis[i]));
    if (!run->n_analyses)
        TRY(report_note(r, "%s: not analyzed: no graphs, no curves; analyze %s", run->name, run->path));
out:
    return st;
}
