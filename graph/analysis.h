/* graph/analysis.h -- how far the classes have come apart at each layer of a net: the histogram of similarities
 * [Yang23 sec. 4.1], Yang's modularity M [Yang23 eq. 3-5] and Lu's modularity Q [Lu22]; what an analysis is, how to
 * run one, and the files that it leaves. An analysis reads a net only through taps. */
#ifndef CLEAVE_ANALYSIS_H
#define CLEAVE_ANALYSIS_H

#include "../core/config/config.h"
#include "../core/format/events.h"
#include "../data/dataset.h"
#include "../nets/net.h"
#include "../nets/rundir.h"
#include "modularity.h"

typedef struct layer_analysis {
    char name[64];
    int64_t dim;
    int64_t histogram[10], negative; /* graph/histogram.h */
    yang_result yang;
    lu_result lu;
    edge_list edges; /* the |E| most similar pairs; vertices are numbered as in `sample` */
} layer_analysis;

typedef struct analysis {
    char *arch, *checkpoint;
    int samples;   /* vertices of Yang's graph: analysis.samples, or fewer if there are not enough images */
    int64_t edges; /* min(analysis.edges, pairs of vertices) */
    int histogram_samples;
    norm_kind norm;
    int k;
    int lu_batches,
        lu_batch; /* at most lu_batches whole batches of lu_batch images; if there are fewer images than
                                 one batch, all of them form one */
    hook_set hooks;
    precision_kind precision; /* of the similarities */
    bool balanced;
    uint64_t seed;   /* of the sample */
    uint64_t images; /* dataset_hash of the test images */
    int classes;
    int *sample;       /* [samples] positions in the test set, ascending */
    int32_t *label;    /* [samples] */
    char **class_name; /* [classes], copied */
    int n_layers;
    layer_analysis *layer;
    int cka_samples; /* 0: without CKA */
    double *cka;     /* [n_layers, n_layers], graph/cka.h; NULL without */
} analysis;
void analysis_free(analysis *); /* a zeroed one is harmless */

/* ---- running ---- */

/* Registers taps on every hook of cfg->analysis.hooks: create it before net_compile. The net and the config must
 * outlive it. */
typedef struct analyser analyser;
status analyser_create(net *, const config *, analyser **out);
void analyser_free(analyser *); /* NULL is harmless */

/* Writes the activations of the first analysis.features images to `dir` (graph/feature_files.h); without this call
 * they are not written. `dir` must outlive the analyser. */
void analyser_export(analyser *, const char *dir);

/* The batch size to compile the analysed net for: train.batch, but at most 64, because activations need the memory
 * that a larger batch would take. It does not depend on the memory, because kernels may round differently for
 * another batch size. */
int analysis_batch(const config *, const dataset *test);

/* Runs forward passes of the compiled net (evaluation case `eval_case`, batch size `batch`) over the test images.
 * The process stays below analysis.memory: with less memory there are more passes, and the numbers are the same to
 * the last bit. May be called several times, also while the net trains: parameters and statistics stay as they are.
 * ERR_DATA: no images. ERR_USAGE: a setting does not suit the device, a layer, the classes or the memory.
 * ERR_DIVERGED: an activation is not finite. STOPPED after a signal. The caller frees with analysis_free. */
status analysis_run(analyser *, int eval_case, int batch, const dataset *test, const char *checkpoint,
                    analysis *out);

/* What an analysis with these settings says about itself: all of *out but arch, checkpoint, class names and
 * results. samples is 0 where no balanced sample can be drawn. The caller frees with analysis_free. */
status analysis_settings(const config *, const dataset *test, analysis *out);

/* ---- files (analysis_files.c) ---- */

/* The content of analysis.json; NaN is null. NULL: out of memory. The caller deletes. */
struct cJSON *analysis_json(const analysis *);

/* analysis.images as analysis.json spells it: in hexadecimal. */
void analysis_images_name(const analysis *, char out[17]);

/* May an analysis be written to this folder? ERR_USAGE: it holds something else, which could be lost. */
status analysis_may_write(const char *dir);
/* Marks the folder (made if missing) as that of an analysis which is not finished: before anything is written to it. */
status analysis_begin(const char *dir);
/* Writes analysis.json, modularity.csv, histogram.csv, samples.csv, edges/LAYER.bin and, with `pictures`, the
 * pictures of graph/pictures.h into `dir` (created if missing); with CKA also cka.csv. An edge is int32 i, int32 j,
 * float32 sim, little-endian; i and j count the lines of samples.csv. Removes the files of an earlier analysis. ERR_USAGE as of
 * analysis_may_write. */
status analysis_write(const analysis *, const char *dir, bool pictures);

/* For TensorBoard: adds M/LAYER and Q/LAYER where they are defined, and of ring-LAYER.png and rings.png those that
 * exist in `dir`, as ring/LAYER and rings. */
status analysis_events(const analysis *, const char *dir, int64_t step, events *out);

/* ---- analysis.every: the analysis of a net while it trains, after every n-th epoch ---- */

typedef struct epoch_analysis {
    const config *cfg;
    const dataset *test;
    const rundir *run;
    int eval_case; /* of the net, for batches of train.batch images */
    analyser *analyser;
} epoch_analysis;

/* Call it before net_compile. Does nothing if analysis.every is 0; epoch_analysis_wanted is then false. Config, data,
 * run and net must outlive it. */
status epoch_analysis_open(epoch_analysis *, net *);
void epoch_analysis_close(epoch_analysis *); /* a zeroed one is harmless */
bool epoch_analysis_wanted(const epoch_analysis *);

/* For fit_job.after_epoch; ctx is an epoch_analysis, epoch counts from 0. Writes the analysis to
 * RUN/analysis/epoch-NNN (NNN counts from 1), and adds M, Q and the rings to the events of the training. */
status epoch_analysis_run(void *ctx, net *, int epoch);

#endif
