/* core/device/tile.h -- tiles of a product that stay in the device's memory, and what is picked out of them; for C, C++
 * and CUDA. The functions on them: products.h. */
#ifndef CLEAVE_TILE_H
#define CLEAVE_TILE_H

#include <stdint.h>

/* Part of a matrix product in the device's memory: at[r * stride + c] belongs to the positions row0 + r and
 * col0 + c. It counts where row0 + r < col0 + c, so that what is symmetric counts once. */
typedef struct device_tile {
    const float *at;
    int64_t stride;
    int row0, col0, rows, cols;
} device_tile;

typedef struct device_pair {
    int32_t row, col; /* positions */
    float value;
} device_pair;

enum { TILE_BINS = 15 };

#endif
