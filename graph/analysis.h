/* graph/analysis.h -- how far the classes have come apart at each layer: similarity histogram [Yang23
 * sec. 4.1], Yang's modularity M [Yang23 eq. 3-5], Lu's modularity Q [Lu22]. Reads a net only through taps.
 */
#ifndef CLEAVE_ANALYSIS_H
#define CLEAVE_ANALYSIS_H

#include "../core/config.h"
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
    int classes;
    int *sample;       /* [samples] positions in the test set, ascending */
    int32_t *label;    /* [samples] */
    char **class_name; /* [classes], copied */
    int n_layers;
    layer_analysis *layer;
} analysis;

/* What analysis_run needs: call before net_compile. Registers taps on every hook of cfg->analysis.hooks.
 * The net and the config must outlive it. */
typedef struct analyser analyser;
status analyser_create(net *, const config *, analyser **out);
void analyser_free(analyser *); /* NULL is harmless */

/* Runs forward passes of the compiled net (evaluation case `eval_case`, batch size `batch`) over the test
 * images, layer groups within analysis.memory (of the whole process). Lu's batches are whole ones of
 * analysis.lu_batch images, as many as there are up to analysis.lu_batches; with fewer images than one batch,
 * all of them are one. May be called again, e.g. while the net trains; leaves its parameters and statistics
 * as they are. The caller frees with analysis_free. */
status analysis_run(analyser *, int eval_case, int batch, const dataset *test, const char *checkpoint,
                    analysis *out);
void analysis_free(analysis *); /* a zeroed one is harmless */

/* analysis.json's content. NaN is null. The caller deletes. */
struct cJSON *analysis_json(const analysis *);

/* Writes analysis.json, modularity.csv, histogram.csv, samples.csv, edges/LAYER.bin and, with `pictures`, the
 * rings and plots into `dir` (made if missing). An edge is int32 i, int32 j, float32 sim, little-endian; i
 * and j count the lines of samples.csv. */
status analysis_write(const analysis *, const char *dir, bool pictures);

#endif
