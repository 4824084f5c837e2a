/* core/base/npy.h -- arrays for NumPy: .npy, version 1.0,
 * https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html */
#ifndef CLEAVE_NPY_H
#define CLEAVE_NPY_H

#include "file.h"

/* Begins a file of [rows, columns] float32; the values follow, row after row, by file_put, then file_commit.
 */
status npy_begin(file_writer *, const char *path, int64_t rows, int64_t columns);

#endif
