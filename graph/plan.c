/* graph/plan.c -- first fit, in order of depth. */
#include "plan.h"

#include "gram.h"

#include <stdlib.h>

/* The largest number of rows to hold beside one tile of rows that stream by; < GRAM_TILE: it does not fit. */
static int64_t block_rows(int64_t row_bytes, int64_t bytes)
{
    int64_t fit = bytes / row_bytes - GRAM_TILE;
    return fit / GRAM_TILE * GRAM_TILE;
}

status plan_layers(const int64_t *dim, int n, int rows, size_t value_bytes, int64_t bytes, layer_plan *out,
                   int *n_groups)
{
    status st = OK;
    int64_t *room; /* bytes left in each group; -1: closed */
    int groups = 0;
    TRY_ALLOC(room, malloc(((size_t)n + 1) * sizeof *room));
    for (int l = 0; l < n; l++) {
        int64_t row_bytes = dim[l] * (int64_t)value_bytes, need = row_bytes * rows;
        int g = 0;
        while (g < groups && room[g] < need) g++;
        if (g == groups) room[groups++] = bytes;
        out[l] = (layer_plan){ g, rows };
        room[g] -= need;
        if (room[g] >= 0) continue;
        room[g] = -1;
        out[l].block = (int)block_rows(row_bytes, bytes);
        if (out[l].block < GRAM_TILE)
            FAIL(ERR_USAGE,
                 "analysis.memory: a layer of %lld values an image needs %lld MB more than there is",
                 (long long)dim[l], (long long)((2 * GRAM_TILE * row_bytes - bytes) / 1000000 + 1));
    }
    *n_groups = groups;
out:
    free(room);
    return st;
}
