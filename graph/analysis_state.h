/* graph/analysis_state.h -- inside an analysis: what its steps hand on. Private to graph/analysis*.c.
 *
 *   analysis_run (analysis.c) -> analysis_choose (analysis_setup.c) -> analysis_measure (analysis_measure.c), which,
 *   once a first batch has gone through the net, asks analysis_plan (analysis_setup.c) */
#ifndef CLEAVE_ANALYSIS_STATE_H
#define CLEAVE_ANALYSIS_STATE_H

#include "../core/base/progress.h"
#include "analysis.h"
#include "cka.h"
#include "export.h"
#include "features.h"
#include "gram.h"
#include "histogram.h"
#include "plan.h"
#include "resident.h"

enum { CONSUMERS = 5 };

/* One analysis_run while it runs. */
typedef struct analysis_state {
    /* analysis_run's, which also closes and frees what the others have made */
    features *features;
    feature_source source;
    analysis *out;
    const int32_t *lu_label; /* of the first images */
    dtype type;              /* of the values of feature matrices */

    /* analysis_choose's: the images, and what is collected from each layer */
    int *image;      /* [n] images needed, ascending; row r of every feature matrix is image[r] */
    int32_t *vertex; /* [n] place in the sample, or -1 */
    int n;
    histogram histogram;
    edge_top top;
    nearest nearest;
    cka cka;
    row_export export;

    /* analysis_plan's */
    layer_plan *plan;       /* [layers] */
    feature_matrix *matrix; /* [layers], open while its group is at work */

    /* analysis_measure's */
    progress bar;
    int64_t pair_cost; /* multiply-accumulates: the layer's dim */
    resident resident;
    gram_consumer consumer[CONSUMERS];
    gram gram;
} analysis_state;

/* Sets the shapes in *out, draws the sample, and opens the consumers of tiles and rows that need no device. With
 * export_dir NULL no activations are written. ERR_USAGE where balance leaves no sample. */
status analysis_choose(const config *, const char *export_dir, const dataset *test, analysis_state *);

/* Groups the layers by what is left of analysis.memory, so one batch of `batch_size` must have gone through the net
 * before. ERR_USAGE for a type that the device or a layer does not have, and for too little memory. */
status analysis_plan(const config *, analysis_state *, int batch_size, int *n_groups);

/* Fills out->layer and out->cka. STOPPED when a signal asked for it. */
status analysis_measure(const config *, analysis_state *, int batch_size);

#endif
