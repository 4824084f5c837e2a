/* graph/plan.h -- which layers are analysed together, and in how many row blocks, so that it fits in memory.
 */
#ifndef CLEAVE_GRAPH_PLAN_H
#define CLEAVE_GRAPH_PLAN_H

#include "../core/base/status.h"
#include <stddef.h>
#include <stdint.h>

/* Layers of one group share a pass over the images and hold all rows at the same time. A layer too large
 * for that is alone in its group and holds `block` rows (a multiple of GRAM_TILE); the rows behind them
 * stream by, GRAM_TILE at a time, in further passes. */
typedef struct layer_plan {
    int group; /* from 0 */
    int block; /* rows held at a time: all of them in the normal case */
} layer_plan;

/* A value takes `value_bytes`. rows > 0. out: [n]. ERR_USAGE if not even two tiles of a layer fit in `bytes`. */
status plan_layers(const int64_t *dim, int n, int rows, size_t value_bytes, int64_t bytes, layer_plan *out,
                   int *n_groups);

#endif
