/* graph/similarity.h -- the similarity matrix, sim_ij = h_i . h_j / (|h_i| |h_j|) [Yang23 eq. 6], tile by tile. Only the
 * tiles of the upper triangle are computed, and none is kept: all consumers (histogram.h, edges.h, cka.h) get a tile
 * while it is in the cache, so one sweep over the features serves them all. */
#ifndef CLEAVE_SIMILARITY_H
#define CLEAVE_SIMILARITY_H

#include "../core/device/products.h"

enum {
    SIMILARITY_TILE = 512,
    SIMILARITY_INT8_DIM = 462400 /* the longest row that similarity_round takes */
};

/* sim[r * SIMILARITY_TILE + c] is the similarity of the images at positions row0 + r and col0 + c; row0 <= col0. Only
 * pairs with row0 + r < col0 + c count: a tile on the diagonal is complete, and consumers use its upper half. A sweep
 * has every pair exactly once. */
typedef struct similarity_tile {
    int row0, col0, rows, cols;
    const float *sim;
} similarity_tile;

/* The first column of row r whose pair counts. */
static inline int similarity_tile_from(const similarity_tile *t, int r)
{
    int c = t->row0 + r + 1 - t->col0;
    return c > 0 ? c : 0;
}

typedef struct similarity_consumer {
    status (*take)(void *ctx, const similarity_tile *);
    void *ctx;
    bool on_device; /* take gets a tile whose sim is in the device's memory */
    /* Whether take is called with this tile, whose sim is not set yet. NULL: always. */
    bool (*wants)(void *ctx, const similarity_tile *);
} similarity_consumer;

typedef struct similarity_sweep {
    backend *device;
    float *tile; /* in the device's memory */
    float *host; /* a copy in host memory, or `tile` itself */
    const similarity_consumer *consumer;
    int n_consumers;
} similarity_sweep;

/* `consumers` must outlive the sweep. */
status similarity_open(similarity_sweep *, backend *, const similarity_consumer *consumers, int n_consumers);
void similarity_close(similarity_sweep *); /* a zeroed one is harmless */

/* The divisor of a row x with |x| = norm, for the denominator of [Yang23] eq. 6. */
static inline double similarity_divisor(double norm)
{
    return norm > 1e-8 ? norm : 1e-8;
}

/* Rows [rows, dim] -> unit length, x / max(|x|, 1e-8), the norm summed in double; host memory. norm: [rows],
 * receives |x|; may be NULL. Returns the first row with a value that is not finite, else -1. */
int similarity_normalise(float *x, int rows, int64_t dim, double *norm);

/* Rows [rows, dim] -> int8: x * s rounded to nearest, s = min(127 / max |x_k|, 46000 / |x|). A row fills the range, and
 * sums of products stay below 2^31. dim <= SIMILARITY_INT8_DIM; host memory. scale: [rows], such that scale * row has
 * the length that similarity_normalise gives it: 1, or 0 for a row of zeros. norm and result are as there. */
int similarity_round(const float *x, int rows, int64_t dim, int8_t *to, i8_scale *scale, double *norm);

/* Normalised rows [rows, dim] of `type` in the device's memory, which has space for `room` >= rows. Values behind the
 * rows may take part in products, and no consumer gets the result. So, for a device whose products round alike only if
 * they have one shape (backend_products.one_shape), partial tiles are computed with the shape of whole ones. */
typedef struct similarity_rows {
    const void *x;
    int rows, room;
    int first; /* position of row 0 */
    dtype type;
    const i8_scale *scale; /* [room] of I8 */
} similarity_rows;

/* Gives all pairs among the rows to the consumers. */
status similarity_triangle(similarity_sweep *, similarity_rows, int64_t dim);

/* The same for all pairs of a row of a with a row of b; a.first + a.rows <= b.first. */
status similarity_rectangle(similarity_sweep *, similarity_rows a, similarity_rows b, int64_t dim);

#endif
