/* core/base/npy.h -- NumPy's file format .npy, version 1.0,
 * https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html */
#ifndef CLEAVE_NPY_H
#define CLEAVE_NPY_H

#include "file.h"

/* Begins a file of float32 [rows, columns]. The caller then writes the values row by row with file_put, and ends with
 * file_commit. */
status npy_begin(file_writer *, const char *path, int64_t rows, int64_t columns);

#endif
