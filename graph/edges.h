/* graph/edges.h -- which pairs become edges: the |E| most similar of all, or each row's k nearest. */
#ifndef CLEAVE_EDGES_H
#define CLEAVE_EDGES_H

#include "../core/base/status.h"
#include "similarity.h"
#include <stdint.h>

typedef struct edge {
    int32_t i, j;
    float sim;
} edge; /* i < j */
typedef struct edge_list {
    int64_t n;
    edge *edge;
} edge_list; /* owned; by descending sim, then smaller i, then smaller j */

/* Row i keeps the entries neighbour[i*k .. i*k+k-1] by descending similarity, of equal ones the lower index first. The
 * diagonal is 0, competes like other entries and may be kept (index i, similarity 0). j = -1: no entry, if there are
 * fewer than k. */
typedef struct neighbour {
    int32_t j;
    float sim;
} neighbour;
typedef struct neighbour_list {
    int k;
    neighbour *neighbour;
} neighbour_list;

/* ---- the |E| most similar pairs: [Yang23 sec. 3.2], docs/definitions.md ---- */

/* Takes any number of pairs in any order, holds about 2 |E| of them, and ends with exactly the first |E| in the order
 * of edge_list. */
typedef struct edge_top {
    int64_t want, n, capacity;
    edge *edge;  /* candidates, unordered */
    bool raised; /* `last` is the want-th candidate: pairs that come after it are out */
    struct edge last;
    const int32_t *vertex; /* [images] vertex number of each position, ascending; -1 = not in the graph */
} edge_top;

/* want is |E|, `vertices` the number of positions in the graph. If there are fewer pairs than `want`, all become edges.
 * `vertex` must outlive the edge_top. */
status edge_top_open(edge_top *, int64_t want, int vertices, const int32_t *vertex);
void edge_top_close(edge_top *);                          /* a zeroed one is harmless */
status edge_top_take(void *ctx, const similarity_tile *); /* a similarity_consumer; ctx is an edge_top */
/* The same for one pair of positions, row < col. */
void edge_top_add(edge_top *, int row, int col, float sim);
/* The similarity below which a pair cannot become an edge any more. Drops all candidates but the first `want`. */
float edge_top_least(edge_top *);
/* The edges, sorted; the caller frees out->edge. The edge_top is then empty and ready for the next layer. */
status edge_top_finish(edge_top *, edge_list *out);

/* Bytes that edge_top_open allocates. */
size_t edge_top_bytes(int64_t want, int vertices);

/* ---- the k nearest of each row, within batches of consecutive positions: [Lu22] ---- */

typedef struct nearest {
    int k, batch, batches; /* positions 0 .. batch * batches - 1 */
    neighbour *neighbour;  /* [batches * batch, k] */
} nearest;

status nearest_open(nearest *, int k, int batch, int batches);
void nearest_close(nearest *);
void nearest_clear(nearest *);                          /* ready for the next layer; called by nearest_open */
bool nearest_wants(void *ctx, const similarity_tile *); /* whether the tile has a pair within a batch */
status nearest_take(void *ctx, const similarity_tile *); /* a similarity_consumer; ctx is a nearest */
/* The rows of one batch, numbered from 0; valid until clear or close. */
neighbour_list nearest_batch(const nearest *, int batch);

#endif
