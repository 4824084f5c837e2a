/* graph/analysis.h -- how far the classes have come apart at each layer: similarity histogram [Yang23 sec. 4.1],
 * Yang's modularity M [Yang23 eq. 3-5], Lu's modularity Q [Lu22]. Reads a net only through taps. */
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
    int samples;           /* vertices of the graph: min(analysis.samples, images) */
    int64_t edges;         /* min(analysis.edges, pairs) */
    int histogram_samples;
    norm_kind norm;
    int classes;
    int *sample;           /* [samples] positions in the test set, ascending */
    int32_t *label;        /* [samples] */
    char **class_name;     /* [classes], copied */
    int n_layers;
    layer_analysis *layer;
} analysis;

/* What analysis_run needs: call before net_compile. Registers taps on every hook of cfg->analysis.hooks. */
typedef struct analyser analyser;
status analyser_create(net *, const config *, analyser **out);
void analyser_free(analyser *);

/* Runs forward passes of the compiled net (evaluation case `eval_case`, batch size `batch`) over the test
 * images, layer groups within analysis.memory. The caller frees with analysis_free. */
status analysis_run(analyser *, int eval_case, int batch, const dataset *test, const char *checkpoint, analysis *out);
void analysis_free(analysis *);

/* analysis.json's content. The caller deletes. */
struct cJSON *analysis_json(const analysis *);

/* Writes analysis.json, modularity.csv, histogram.csv, edges/LAYER.bin and, with `pictures`, the rings and
 * plots into `dir` (made if missing). */
status analysis_write(const analysis *, const char *dir, bool pictures);

#endif
