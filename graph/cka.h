/* graph/cka.h -- how similar the representations of two layers are: linear centred kernel alignment,
 * [Kornblith19] "Similarity of Neural Network Representations Revisited", eq. 1-3:
 *
 *     CKA(X, Y) = <K', L'> / (|K'| |L'|),   K = X X^T, L = Y Y^T of the same n images,
 *     K' = H K H with H = 1 - 1/n (each row and column then sums to 0), < , > and | | of Frobenius
 *
 * in [0, 1]; 1: equal up to rotation and scale. The n x n matrices of all layers are kept at the same time, so CKA is
 * computed only on request. */
#ifndef CLEAVE_CKA_H
#define CLEAVE_CKA_H

#include "similarity.h"

typedef struct cka {
    int n, layers;
    int layer;    /* the layer that the next tiles belong to; set by the caller */
    double *norm; /* [n] |h_i| of that layer, set by the caller before cka_layer_end; then [n] work space */
    float *k;     /* [layers][n (n + 1) / 2] upper triangles, row after row */
    bool *flat;   /* [layers] the activations of all images are equal: no CKA */
} cka;

/* n = 0: no CKA, and all calls are harmless. */
status cka_open(cka *, int n, int layers);
void cka_close(cka *); /* a zeroed one is harmless */
size_t cka_bytes(int n, int layers);

bool cka_wants(void *ctx, const similarity_tile *);  /* whether the tile has a pair of the first n images */
status cka_take(void *ctx, const similarity_tile *); /* a similarity_consumer; ctx is a cka */
void cka_layer_end(cka *);                           /* after all tiles and norms of the layer */
/* out: [layers, layers], symmetric; NaN for a flat layer. */
void cka_matrix(const cka *, double *out);

#endif
