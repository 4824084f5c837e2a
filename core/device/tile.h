/* core/device/tile.h -- tiles of a product that stay in the device's memory, and what is picked out of them; for C, C++
 * and CUDA. */
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

/* Rows rounded to int8. A row stands for the unit vector scale * value. */
typedef struct i8_scale {
    float scale;
    int32_t sum; /* of the values: for processors that multiply int8 by uint8 only */
} i8_scale;

typedef struct i8_rows {
    const int8_t *value; /* [rows][stride], the backend's memory */
    int64_t stride;
    const i8_scale *scale; /* [rows], host memory */
} i8_rows;

typedef struct device_pair {
    int32_t row, col; /* positions */
    float value;
} device_pair;

enum { TILE_BINS = 15 };

#endif
