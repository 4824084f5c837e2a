/* graph/analysis_files.c -- what an analysis leaves on disk: JSON for programs, CSV for spreadsheets, edges as raw
 * numbers, pictures, and events for TensorBoard; and the analyses that a training leaves every n-th epoch. */
#include "../core/base/claim.h"
#include "../core/base/file.h"
#include "../core/base/json.h"
#include "analysis.h"
#include "histogram.h"
#include "pictures.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- analysis.json ---- */

void analysis_images_name(const analysis *a, char out[17])
{
    snprintf(out, 17, "%016llx", (unsigned long long)a->images);
}

static status put_histogram(cJSON *layer, const layer_analysis *l)
{
    double bin[HISTOGRAM_BINS];
    for (int b = 0; b < HISTOGRAM_BINS; b++) bin[b] = (double)l->histogram[b];
    return json_put_numbers(layer, "histogram", bin, HISTOGRAM_BINS);
}

static status put_yang(cJSON *layer, const yang_result *y)
{
    status st = OK;
    cJSON *o;
    TRY(json_put_object(layer, "yang", &o));
    TRY(json_put_number(o, "r", y->r));
    TRY(json_put_number(o, "AQ", y->AQ));
    TRY(json_put_number(o, "EQ", y->EQ));
    TRY(json_put_number(o, "M", y->M));
    TRY(json_put_number(o, "correct", (double)y->correct));
    TRY(json_put_number(o, "min_sim", y->min_sim));
    TRY(json_put_number(o, "isolated", y->isolated));
    TRY(json_put_numbers(o, "class_share", y->class_share, (size_t)y->n_classes));
out:
    return st;
}

static status put_lu(cJSON *layer, const lu_result *u)
{
    status st = OK;
    cJSON *o;
    TRY(json_put_object(layer, "lu", &o));
    TRY(json_put_numbers(o, "Q", u->Q, (size_t)u->n));
    TRY(json_put_number(o, "mean", u->mean));
    TRY(json_put_number(o, "sd", u->sd));
out:
    return st;
}

static status put_layer(cJSON *layers, const layer_analysis *l)
{
    status st = OK;
    cJSON *o = cJSON_CreateObject();
    TRY(json_append(layers, o));
    TRY(json_put_text(o, "name", l->name));
    TRY(json_put_number(o, "dim", (double)l->dim));
    TRY(put_histogram(o, l));
    TRY(json_put_number(o, "negative", (double)l->negative));
    TRY(put_yang(o, &l->yang));
    TRY(put_lu(o, &l->lu));
out:
    return st;
}

/* All that the numbers depend on: prune compares it with what it needs. */
static status put_settings(cJSON *o, const analysis *a)
{
    status st = OK;
    char images[17];
    analysis_images_name(a, images);
    TRY(json_put_text(o, "arch", a->arch));
    TRY(json_put_text(o, "checkpoint", a->checkpoint));
    TRY(json_put_number(o, "samples", a->samples));
    TRY(json_put_number(o, "edges", (double)a->edges));
    TRY(json_put_number(o, "histogram_samples", a->histogram_samples));
    TRY(json_put_text(o, "norm", config_choice("analysis.norm", a->norm)));
    TRY(json_put_number(o, "k", a->k));
    TRY(json_put_number(o, "lu_batches", a->lu_batches));
    TRY(json_put_number(o, "lu_batch", a->lu_batch));
    TRY(json_put_text(o, "hooks", config_choice("analysis.hooks", a->hooks)));
    TRY(json_put_bool(o, "balanced", a->balanced));
    TRY(json_put_uint64(o, "seed", a->seed));
    TRY(json_put_text(o, "precision", config_choice("analysis.precision", a->precision)));
    TRY(json_put_text(o, "images", images));
out:
    return st;
}

/* {samples, matrix: [[..]]}, rows in the order of `layers`; null for a layer whose activations do not differ. */
static status put_cka(cJSON *o, const analysis *a)
{
    status st = OK;
    cJSON *cka, *matrix;
    TRY(json_put_object(o, "cka", &cka));
    TRY(json_put_number(cka, "samples", a->cka_samples));
    TRY(json_put_list(cka, "matrix", &matrix));
    for (int l = 0; l < a->n_layers; l++)
        TRY(json_append(matrix, json_numbers(a->cka + l * a->n_layers, (size_t)a->n_layers)));
out:
    return st;
}

static status put_analysis(cJSON *o, const analysis *a)
{
    status st = OK;
    cJSON *layers;
    TRY(put_settings(o, a));
    if (a->cka) TRY(put_cka(o, a));
    TRY(json_put_list(o, "layers", &layers));
    for (int l = 0; l < a->n_layers; l++) TRY(put_layer(layers, &a->layer[l]));
out:
    return st;
}

cJSON *analysis_json(const analysis *a)
{
    cJSON *o = cJSON_CreateObject();
    if (o && put_analysis(o, a) == OK) return o;
    cJSON_Delete(o);
    return NULL;
}

static status write_json(const analysis *a, const char *dir)
{
    status st = OK;
    file_path path;
    cJSON *o = NULL;
    TRY(path_set(&path, "%s/analysis.json", dir));
    TRY_ALLOC(o, analysis_json(a));
    TRY(json_write(path.s, o));
out:
    cJSON_Delete(o);
    return st;
}

/* ---- CSV ---- */

static void print_modularity(FILE *f, const analysis *a)
{
    fprintf(f, "layer,dim,norm,edges,r,AQ,EQ,M,correct,min_sim,isolated,Q,Q_sd\n");
    for (int l = 0; l < a->n_layers; l++) {
        const layer_analysis *x = &a->layer[l];
        const yang_result *y = &x->yang;
        fprintf(f, "%s,%lld,%s,%lld,%.9g,%.9g,%.9g,%.9g,%lld,%.9g,%d,%.9g,%.9g\n", x->name, (long long)x->dim,
                config_choice("analysis.norm", a->norm), (long long)x->edges.n, y->r, y->AQ, y->EQ, y->M,
                (long long)y->correct, y->min_sim, y->isolated, x->lu.mean, x->lu.sd);
    }
}

static void print_histogram(FILE *f, const analysis *a)
{
    fprintf(f, "layer,negative");
    for (int b = 0; b < HISTOGRAM_BINS; b++) fprintf(f, ",%.1f", b / 10.0);
    fprintf(f, "\n");
    for (int l = 0; l < a->n_layers; l++) {
        fprintf(f, "%s,%lld", a->layer[l].name, (long long)a->layer[l].negative);
        for (int b = 0; b < HISTOGRAM_BINS; b++) fprintf(f, ",%lld", (long long)a->layer[l].histogram[b]);
        fprintf(f, "\n");
    }
}

static void print_cka(FILE *f, const analysis *a)
{
    fprintf(f, "layer");
    for (int l = 0; l < a->n_layers; l++) fprintf(f, ",%s", a->layer[l].name);
    fprintf(f, "\n");
    for (int l = 0; l < a->n_layers; l++) {
        fprintf(f, "%s", a->layer[l].name);
        for (int m = 0; m < a->n_layers; m++) fprintf(f, ",%.9g", a->cka[l * a->n_layers + m]);
        fprintf(f, "\n");
    }
}

static void print_samples(FILE *f, const analysis *a)
{
    fprintf(f, "vertex,image,label\n");
    for (int i = 0; i < a->samples; i++) fprintf(f, "%d,%d,%d\n", i, a->sample[i], a->label[i]);
}

/* The text is collected in memory first, so that the file is whole or not there. */
static status write_csv(const analysis *a, const char *dir, const char *name,
                        void (*print)(FILE *, const analysis *))
{
    status st = OK;
    file_path path;
    char *text = NULL;
    size_t bytes;
    FILE *f;
    TRY(path_set(&path, "%s/%s", dir, name));
    TRY_ALLOC(f, open_memstream(&text, &bytes));
    print(f, a);
    const bool failed = ferror(f);
    if (fclose(f) != 0 || failed) FAIL(ERR_RUNTIME, "out of memory");
    TRY(file_replace(path.s, text, bytes));
out:
    free(text);
    return st;
}

/* ---- edges and pictures ---- */

/* The record in the file is struct edge in memory: int32, int32, float32, little-endian like every machine that
 * oneDNN supports. */
_Static_assert(sizeof(edge) == 12 && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "edges/LAYER.bin");

static status write_edges(const layer_analysis *l, const char *dir)
{
    status st = OK;
    file_path path;
    TRY(path_set(&path, "%s/edges/%s.bin", dir, l->name));
    TRY(file_replace(path.s, l->edges.edge, (size_t)l->edges.n * sizeof(edge)));
out:
    return st;
}

/* The rings of different layers are drawn in parallel. Messages belong to threads: that of a failure is carried over
 * to this one. */
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

/* ---- all files ---- */

/* What may be there without an analysis: of a pruning that found nothing to cut, of analysis.every, and of tools/curves.py. */
static const claim whole = { "analysis.json", "layers", "!(prune.json|epoch-+([0-9])|epochs.@(png|svg))" };

status analysis_may_write(const char *dir)
{
    return claim_check(&whole, dir);
}

status analysis_begin(const char *dir)
{
    status st = OK;
    TRY(claim_check(&whole, dir));
    TRY(file_make_dirs(dir));
    TRY(claim_begin(&whole, dir));
out:
    return st;
}

/* Files that this analysis does not write again must not be taken for a part of it. analysis.json goes first: a
 * folder without it is no analysis. */
static status remove_earlier(const char *dir)
{
    static const char *const patterns[] = { "analysis.json", "cka.csv", "tsne.csv",
                                            "@(rings|ring-*|curves|histograms|difference|tsne).@(png|svg)" };
    status st = OK;
    file_path edges;
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++)
        TRY(file_remove_matching(dir, patterns[i]));
    TRY(path_set(&edges, "%s/edges", dir));
    TRY(file_remove_matching(edges.s, "*.bin"));
out:
    return st;
}

status analysis_write(const analysis *a, const char *dir, bool pictures)
{
    status st = OK;
    file_path edges;
    TRY(path_set(&edges, "%s/edges", dir));
    TRY(analysis_begin(dir));
    TRY(file_make_dirs(edges.s));
    TRY(remove_earlier(dir));
    TRY(write_csv(a, dir, "modularity.csv", print_modularity));
    TRY(write_csv(a, dir, "histogram.csv", print_histogram));
    TRY(write_csv(a, dir, "samples.csv", print_samples));
    if (a->cka) TRY(write_csv(a, dir, "cka.csv", print_cka));
    for (int l = 0; l < a->n_layers; l++) TRY(write_edges(&a->layer[l], dir));
    if (pictures) TRY(write_pictures(a, dir));
    TRY(write_json(a, dir)); /* last: if it exists, the others do */
    claim_end(&whole, dir);
out:
    return st;
}

/* ---- events ---- */

static status add_scalar(events *out, const char *kind, const char *layer, int64_t step, double value)
{
    status st = OK;
    char tag[128];
    if (!isfinite(value)) goto out;
    TRY(text_format(tag, sizeof tag, "%s/%s", kind, layer));
    TRY(events_scalar(out, tag, step, value));
out:
    return st;
}

/* DIR/NAME.png, if it exists. */
static status add_picture(events *out, const char *dir, const char *name, const char *tag, int64_t step)
{
    status st = OK;
    file_path path;
    char *png = NULL;
    size_t bytes;
    TRY(path_set(&path, "%s/%s.png", dir, name));
    if (!file_exists(path.s)) goto out;
    TRY(file_read(path.s, &png, &bytes));
    TRY(events_image(out, tag, step, png, bytes));
out:
    free(png);
    return st;
}

status analysis_events(const analysis *a, const char *dir, int64_t step, events *out)
{
    status st = OK;
    TRY(add_picture(out, dir, "rings", "rings", step));
    for (int l = 0; l < a->n_layers; l++) {
        const layer_analysis *x = &a->layer[l];
        char name[128], tag[128];
        TRY(text_format(name, sizeof name, "ring-%s", x->name));
        TRY(text_format(tag, sizeof tag, "ring/%s", x->name));
        TRY(add_scalar(out, "M", x->name, step, x->yang.M));
        TRY(add_scalar(out, "Q", x->name, step, x->lu.mean));
        TRY(add_picture(out, dir, name, tag, step));
    }
out:
    return st;
}

/* ---- while a net trains ---- */

status epoch_analysis_open(epoch_analysis *e, net *n)
{
    return e->cfg->analysis.every ? analyser_create(n, e->cfg, &e->analyser) : OK;
}

void epoch_analysis_close(epoch_analysis *e)
{
    analyser_free(e->analyser);
    e->analyser = NULL;
}

bool epoch_analysis_wanted(const epoch_analysis *e)
{
    return e->analyser != NULL;
}

static status add_to_training(const epoch_analysis *e, const analysis *a, const char *dir, int epoch)
{
    status st = OK;
    events list = { 0 };
    file_path path;
    TRY(rundir_file(e->run, EVENTS_TRAINING, &path));
    TRY(analysis_events(a, dir, epoch, &list));
    TRY(events_append(&list, path.s));
out:
    events_free(&list);
    return st;
}

status epoch_analysis_run(void *ctx, net *n, int epoch)
{
    status st = OK;
    const epoch_analysis *e = ctx;
    analysis a = { 0 };
    char name[64];
    file_path dir;
    (void)n;
    if ((epoch + 1) % e->cfg->analysis.every) goto out;
    TRY(text_format(name, sizeof name, "analysis/epoch-%03d", epoch + 1));
    TRY(rundir_file(e->run, name, &dir));
    TRY(analysis_run(e->analyser, e->eval_case, e->cfg->train.batch, e->test, "last.safetensors", &a));
    TRY(analysis_write(&a, dir.s, false));
    TRY(ring_write_all(&a, dir.s));
    TRY(add_to_training(e, &a, dir.s, epoch));
out:
    analysis_free(&a);
    return st;
}
