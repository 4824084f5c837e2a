/* graph/modularity.h -- how well a similarity graph splits into the classes: Yang's M and Lu's Q. */
#ifndef CLEAVE_MODULARITY_H
#define CLEAVE_MODULARITY_H

#include "../core/config/config.h"
#include "edges.h"

typedef struct yang_result {
    double r, AQ, EQ, M; /* [Yang23] eq. 3-5 */
    int64_t correct;     /* edges within a class */
    double min_sim;      /* of the selected edges; NaN without edges */
    int isolated;        /* vertices without an edge */
    int n_classes;
    double *
        class_share; /* [n_classes], owned: the share of this class in the ends of the edges; sums to 1, all 0
                            without edges */
} yang_result;

typedef struct lu_result {
    int n;
    double *Q; /* [n] one per batch, owned; NaN where the graph has no weight */
    double mean,
        sd; /* over the batches; sample standard deviation, 0 for one batch; NaN if a Q is, or n is 0 */
} lu_result;

/* Edges among n vertices with labels in [0, classes). norm as in docs/definitions.md: newman (2S = sum s_i, each edge
 * counts in both directions) or literal (2S = 2 sum s_i, each edge counts once). Without edges r = AQ = EQ = M = NaN.
 * If all edges have weight 0 (all activations are 0), 2S = 0 and AQ = EQ = M = NaN. The caller frees class_share. */
status yang_modularity(const edge_list *, int n, const int32_t *label, int classes, norm_kind,
                       yang_result *out);

/* [Lu22]: one batch of n images and the k kept entries of each row (edges.h).
 * NaN: the graph has no weight. */
status lu_modularity(const neighbour_list *, int n, const int32_t *label, int classes, double *Q);

/* Mean and standard deviation of out->Q[0 .. out->n - 1]. */
void lu_summary(lu_result *out);

#endif
