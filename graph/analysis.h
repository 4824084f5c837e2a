/* graph/analysis.h -- how far the classes have come apart at each layer: similarity histogram [Yang23
 * sec. 4.1], Yang's modularity M [Yang23 eq. 3-5], Lu's modularity Q [Lu22]. Reads a net only through taps.
 */
#ifndef CLEAVE_ANALYSIS_H
#define CLEAVE_ANALYSIS_H

#include "../core/config/config.h"
#include "../data/dataset.h"
#include "../nets/net.h"
#include "modularity.h"

typedef struct layer_analysis {
    char name[64];
    int64_t dim;
    int64_t histogram[10], negative;
    yang_result yang;
    lu_result lu;
    edge_list edges; /* the top-|E| pairs, by descending similarity; vertices numbered in the sample */
} layer_analysis;

typedef struct analysis {
    char *arch, *checkpoint;
    int samples;   /* vertices of the graph: min(analysis.samples, images), or what balance allows */
    int64_t edges; /* min(analysis.edges, pairs) */
    int histogram_samples;
    norm_kind norm;
    int k, lu_batches, lu_batch; /* the last two: what there are images for */
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
    int cka_samples; /* 0: no CKA was asked for */
    double *cka;     /* [n_layers, n_layers], graph/cka.h; NULL without */
} analysis;

/* What analysis_run makes of analysis.lu_batch and lu_batches where there are n > 0 images: whole batches, as
 * many as there are up to lu_batches; with fewer images than one batch, all of them are one. */
void analysis_lu_shape(const config_analysis *, int n, int *size, int *batches);

/* What analysis_run needs: call before net_compile. Registers taps on every hook of cfg->analysis.hooks.
 * The net and the config must outlive it. */
typedef struct analyser analyser;
status analyser_create(net *, const config *, analyser **out);
void analyser_free(analyser *); /* NULL is harmless */

/* Where the activations of the first analysis.features images go (graph/export.h); without it, nowhere. `dir`
 * must outlive the analyser. */
void analyser_export(analyser *, const char *dir);

/* The batch size to compile the analysed net for: train.batch, but small, because what the net needs for it
 * is missing for activations that are kept; and the same in any memory, because the kernels may round
 * otherwise for another one. */
int analysis_batch(const config *, const dataset *test);

/* Runs forward passes of the compiled net (evaluation case `eval_case`, batch size `batch`) over the test
 * images, layer groups within analysis.memory (of the whole process): with less memory there are more passes,
 * and the same numbers to the last bit. May be called again, e.g. while the net trains; leaves its parameters
 * and statistics as they are. The caller frees with analysis_free. */
status analysis_run(analyser *, int eval_case, int batch, const dataset *test, const char *checkpoint,
                    analysis *out);
void analysis_free(analysis *); /* a zeroed one is harmless */

/* analysis.json's content. NaN is null. The caller deletes. */
struct cJSON *analysis_json(const analysis *);

/* As the configuration and analysis.json spell them. */
const char *analysis_norm_name(norm_kind);
const char *analysis_hooks_name(hook_set);
const char *analysis_precision_name(precision_kind);
void analysis_images_name(const analysis *, char out[17]); /* the hash in hexadecimal */

/* Writes analysis.json, modularity.csv, histogram.csv, samples.csv, edges/LAYER.bin and, with `pictures`, the
 * rings and plots into `dir` (made if missing); with CKA also cka.csv and difference.{png,svg}. An edge is
 * int32 i, int32 j, float32 sim, little-endian; i and j count the lines of samples.csv. What an earlier analysis
 * left in `dir`, pictures and edges, is removed. */
status analysis_write(const analysis *, const char *dir, bool pictures);

#endif
