/* graph/edges.h -- which pairs become edges: the |E| most similar of all, or each row's k nearest. */
#ifndef CLEAVE_EDGES_H
#define CLEAVE_EDGES_H

#include "../core/status.h"
#include <stdint.h>

typedef struct edge { int32_t i, j; float sim; } edge; /* i < j */
typedef struct edge_list { int64_t n; edge *edge; } edge_list; /* owned; by descending sim, then smaller i, then smaller j */

/* Row i keeps entries neighbour[i*k .. i*k+k-1] by descending similarity, ties to the lower index; the zero
 * diagonal competes and may be kept (index i, similarity 0). */
typedef struct neighbour { int32_t j; float sim; } neighbour;
typedef struct neighbour_list { int k; neighbour *neighbour; } neighbour_list;

#endif
