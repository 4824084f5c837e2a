/* graph/analysis_write.c -- an analysis as files: JSON for programs, CSV for spreadsheets, edges as raw
 * numbers. */
#include "../core/base/file.h"
#include "../core/base/log.h"
#include "../core/base/json.h"
#include "analysis.h"
#include "histogram.h"
#include "plots.h"
#include "ring.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>


/* ---- JSON ---- */

static cJSON *number(double x)
{
    return isfinite(x) ? cJSON_CreateNumber(x) : cJSON_CreateNull();
}

static bool add(cJSON *object, const char *key, cJSON *item)
{
    if (item && cJSON_AddItemToObject(object, key, item)) return true;
    cJSON_Delete(item);
    return false;
}

static cJSON *numbers(const double *x, int n)
{
    cJSON *array = cJSON_CreateArray();
    for (int i = 0; array && i < n; i++) {
        cJSON *item = number(x[i]);
        if (item && cJSON_AddItemToArray(array, item)) continue;
        cJSON_Delete(item);
        cJSON_Delete(array);
        array = NULL;
    }
    return array;
}

static cJSON *histogram_json(const layer_analysis *l)
{
    double bin[HISTOGRAM_BINS];
    for (int b = 0; b < HISTOGRAM_BINS; b++) bin[b] = (double)l->histogram[b];
    return numbers(bin, HISTOGRAM_BINS);
}

static cJSON *yang_json(const yang_result *y)
{
    cJSON *o = cJSON_CreateObject();
    bool ok = add(o, "r", number(y->r)) && add(o, "AQ", number(y->AQ)) && add(o, "EQ", number(y->EQ)) &&
              add(o, "M", number(y->M)) && add(o, "correct", number((double)y->correct)) &&
              add(o, "min_sim", number(y->min_sim)) && add(o, "isolated", number(y->isolated)) &&
              add(o, "class_share", numbers(y->class_share, y->n_classes));
    if (ok) return o;
    cJSON_Delete(o);
    return NULL;
}

static cJSON *lu_json(const lu_result *u)
{
    cJSON *o = cJSON_CreateObject();
    bool ok =
        add(o, "Q", numbers(u->Q, u->n)) && add(o, "mean", number(u->mean)) && add(o, "sd", number(u->sd));
    if (ok) return o;
    cJSON_Delete(o);
    return NULL;
}

static cJSON *layer_json(const layer_analysis *l)
{
    cJSON *o = cJSON_CreateObject();
    bool ok = add(o, "name", cJSON_CreateString(l->name)) && add(o, "dim", number((double)l->dim)) &&
              add(o, "histogram", histogram_json(l)) && add(o, "negative", number((double)l->negative)) &&
              add(o, "yang", yang_json(&l->yang)) && add(o, "lu", lu_json(&l->lu));
    if (ok) return o;
    cJSON_Delete(o);
    return NULL;
}

const char *analysis_norm_name(norm_kind norm)
{
    return norm == NORM_NEWMAN ? "newman" : "literal";
}

const char *analysis_hooks_name(hook_set hooks)
{
    return hooks == HOOKS_BLOCK ? "block" : hooks == HOOKS_CONV ? "conv" : "lu2022";
}

const char *analysis_precision_name(precision_kind precision)
{
    return precision == PRECISION_INT8 ? "int8" : precision == PRECISION_BF16 ? "bf16" : "f32";
}

void analysis_images_name(const analysis *a, char out[17])
{
    snprintf(out, 17, "%016llx", (unsigned long long)a->images);
}

/* What else the numbers depend on, so that a reader can tell whether they are the ones it wants. */
static bool add_settings(cJSON *o, const analysis *a)
{
    char images[17];
    analysis_images_name(a, images);
    return add(o, "k", number(a->k)) && add(o, "lu_batches", number(a->lu_batches)) &&
           add(o, "lu_batch", number(a->lu_batch)) &&
           add(o, "hooks", cJSON_CreateString(analysis_hooks_name(a->hooks))) &&
           add(o, "balanced", cJSON_CreateBool(a->balanced)) && add(o, "seed", number((double)a->seed)) &&
           add(o, "precision", cJSON_CreateString(analysis_precision_name(a->precision))) &&
           add(o, "images", cJSON_CreateString(images));
}

/* {samples, matrix: [[..]]}, rows in the order of `layers`; null for a layer without differences. */
static bool add_cka(cJSON *o, const analysis *a)
{
    if (!a->cka) return true;
    cJSON *cka = cJSON_AddObjectToObject(o, "cka"), *matrix = NULL;
    if (add(cka, "samples", number(a->cka_samples))) matrix = cJSON_AddArrayToObject(cka, "matrix");
    for (int l = 0; matrix && l < a->n_layers; l++) {
        cJSON *row = numbers(a->cka + l * a->n_layers, a->n_layers);
        if (row && cJSON_AddItemToArray(matrix, row)) continue;
        cJSON_Delete(row);
        matrix = NULL;
    }
    return matrix != NULL;
}

cJSON *analysis_json(const analysis *a)
{
    cJSON *o = cJSON_CreateObject(), *layers = NULL;
    bool ok = add(o, "arch", cJSON_CreateString(a->arch)) &&
              add(o, "checkpoint", cJSON_CreateString(a->checkpoint)) &&
              add(o, "samples", number(a->samples)) && add(o, "edges", number((double)a->edges)) &&
              add(o, "histogram_samples", number(a->histogram_samples)) &&
              add(o, "norm", cJSON_CreateString(analysis_norm_name(a->norm))) && add_settings(o, a) &&
              add_cka(o, a);
    if (ok) layers = cJSON_AddArrayToObject(o, "layers");
    for (int l = 0; layers && l < a->n_layers; l++) {
        cJSON *item = layer_json(&a->layer[l]);
        if (item && cJSON_AddItemToArray(layers, item)) continue;
        cJSON_Delete(item);
        layers = NULL;
    }
    if (layers) return o;
    cJSON_Delete(o);
    return NULL;
}

static status write_json(const analysis *a, const char *dir)
{
    status st = OK;
    char path[PATH_BYTES];
    cJSON *o = NULL;
    TRY(text_format(path, sizeof path, "%s/analysis.json", dir));
    TRY_ALLOC(o, analysis_json(a));
    TRY(json_write(path, o));
out:
    cJSON_Delete(o);
    return st;
}

/* ---- CSV: text is collected in memory, so that a file is whole or not there ---- */

typedef struct text {
    FILE *f;
    char *data;
    size_t bytes;
} text;

static status text_open(text *t)
{
    *t = (text){ 0 };
    t->f = open_memstream(&t->data, &t->bytes);
    return t->f ? OK : status_set(ERR_RUNTIME, __FILE__, __LINE__, "out of memory");
}

/* Writes the text to DIR/NAME unless something failed before. */
static status text_close(text *t, status st, const char *dir, const char *name)
{
    char path[PATH_BYTES];
    if (!t->f) goto out;
    bool failed = ferror(t->f);
    if (fclose(t->f) != 0 || failed) st = status_set(ERR_RUNTIME, __FILE__, __LINE__, "out of memory");
    if (st != OK) goto out;
    TRY(text_format(path, sizeof path, "%s/%s", dir, name));
    TRY(file_replace(path, t->data, t->bytes));
out:
    free(t->data);
    return st;
}

static status write_modularity(const analysis *a, const char *dir)
{
    text t;
    status st = text_open(&t);
    if (st != OK) return st;
    fprintf(t.f, "layer,dim,norm,edges,r,AQ,EQ,M,correct,min_sim,isolated,Q,Q_sd\n");
    for (int l = 0; l < a->n_layers; l++) {
        const layer_analysis *x = &a->layer[l];
        const yang_result *y = &x->yang;
        fprintf(t.f, "%s,%lld,%s,%lld,%.9g,%.9g,%.9g,%.9g,%lld,%.9g,%d,%.9g,%.9g\n", x->name,
                (long long)x->dim, analysis_norm_name(a->norm), (long long)x->edges.n, y->r, y->AQ, y->EQ,
                y->M, (long long)y->correct, y->min_sim, y->isolated, x->lu.mean, x->lu.sd);
    }
    return text_close(&t, st, dir, "modularity.csv");
}

static status write_histogram(const analysis *a, const char *dir)
{
    text t;
    status st = text_open(&t);
    if (st != OK) return st;
    fprintf(t.f, "layer,negative");
    for (int b = 0; b < HISTOGRAM_BINS; b++) fprintf(t.f, ",%.1f", b / 10.0);
    fprintf(t.f, "\n");
    for (int l = 0; l < a->n_layers; l++) {
        fprintf(t.f, "%s,%lld", a->layer[l].name, (long long)a->layer[l].negative);
        for (int b = 0; b < HISTOGRAM_BINS; b++) fprintf(t.f, ",%lld", (long long)a->layer[l].histogram[b]);
        fprintf(t.f, "\n");
    }
    return text_close(&t, st, dir, "histogram.csv");
}

static status write_cka(const analysis *a, const char *dir)
{
    text t;
    status st = text_open(&t);
    if (st != OK) return st;
    fprintf(t.f, "layer");
    for (int l = 0; l < a->n_layers; l++) fprintf(t.f, ",%s", a->layer[l].name);
    fprintf(t.f, "\n");
    for (int l = 0; l < a->n_layers; l++) {
        fprintf(t.f, "%s", a->layer[l].name);
        for (int m = 0; m < a->n_layers; m++) fprintf(t.f, ",%.9g", a->cka[l * a->n_layers + m]);
        fprintf(t.f, "\n");
    }
    return text_close(&t, st, dir, "cka.csv");
}

static status write_samples(const analysis *a, const char *dir)
{
    text t;
    status st = text_open(&t);
    if (st != OK) return st;
    fprintf(t.f, "vertex,image,label\n");
    for (int i = 0; i < a->samples; i++) fprintf(t.f, "%d,%d,%d\n", i, a->sample[i], a->label[i]);
    return text_close(&t, st, dir, "samples.csv");
}

/* ---- edges and pictures ---- */

/* struct edge in memory is the record in the file: int32, int32, float32, little-endian as on every machine
 * that oneDNN runs on. */
_Static_assert(sizeof(edge) == 12 && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "edges/LAYER.bin");

static status write_edges(const layer_analysis *l, const char *dir)
{
    status st = OK;
    char path[PATH_BYTES];
    TRY(text_format(path, sizeof path, "%s/edges/%s.bin", dir, l->name));
    TRY(file_replace(path, l->edges.edge, (size_t)l->edges.n * sizeof(edge)));
out:
    return st;
}

/* Rings are independent of each other. A failure's message belongs to the thread: it is carried over. */
static status write_rings(const analysis *a, const char *dir)
{
    status st = OK;
    char message[1024] = "";
#pragma omp parallel for schedule(dynamic, 1)
    for (int l = 0; l < a->n_layers; l++) {
        status one = ring_write(a, l, dir);
        if (one == OK) continue;
#pragma omp critical(ring_failed)
        {
            st = one;
            snprintf(message, sizeof message, "%s", status_message());
        }
    }
    return st == OK ? OK : status_set(st, __FILE__, __LINE__, "%s", message);
}

static status write_pictures(const analysis *a, const char *dir)
{
    status st = OK;
    TRY(write_rings(a, dir));
    TRY(ring_write_all(a, dir));
    TRY(plots_write(a, dir));
out:
    return st;
}

/* What an earlier analysis left here would pass for a part of this one where this one does not write it again.
 * analysis.json goes first: without it a folder is no analysis. */
static status remove_earlier(const char *dir)
{
    static const char *const patterns[] = { "analysis.json", "cka.csv", "tsne.csv",
                                            "@(rings|ring-*|curves|histograms|difference|tsne).@(png|svg)" };
    status st = OK;
    char edges[PATH_BYTES];
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++)
        TRY(file_remove_matching(dir, patterns[i]));
    TRY(text_format(edges, sizeof edges, "%s/edges", dir));
    TRY(file_remove_matching(edges, "*.bin"));
out:
    return st;
}

status analysis_write(const analysis *a, const char *dir, bool pictures)
{
    status st = OK;
    char path[PATH_BYTES];
    TRY(text_format(path, sizeof path, "%s/edges", dir));
    TRY(file_make_dirs(path));
    TRY(remove_earlier(dir));
    TRY(write_modularity(a, dir));
    TRY(write_histogram(a, dir));
    TRY(write_samples(a, dir));
    if (a->cka) TRY(write_cka(a, dir));
    for (int l = 0; l < a->n_layers; l++) TRY(write_edges(&a->layer[l], dir));
    if (pictures) TRY(write_pictures(a, dir));
    TRY(write_json(a, dir)); /* last: when it is there, so is the rest */
out:
    return st;
}
