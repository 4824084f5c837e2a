/* graph/feature_files.h -- activations as files for other programs (t-SNE: tools/tsne.py): DIR/LAYER.npy, float32
 * [images, values], multiplied by the norms that the rows were divided by. */
#ifndef CLEAVE_FEATURE_FILES_H
#define CLEAVE_FEATURE_FILES_H

#include "../core/base/file.h"
#include "features.h"

typedef struct feature_files {
    const char *dir; /* borrowed; NULL: nothing is written, and all calls are harmless */
    int images;      /* positions 0 .. images - 1 are written */
    file_writer file;
    float *row;
} feature_files;

/* Creates the folder and in it labels.csv (image, label, class) of the first `images` images. Removes the files of an
 * earlier analysis. */
status feature_files_open(feature_files *, const char *dir, int images, const dataset *);
void feature_files_close(feature_files *); /* a zeroed one is harmless */

/* One layer after the other; its rows come in order, any number at a time. */
status feature_files_begin(feature_files *, const char *name, int64_t dim);
/* The rows of m are those of the positions from `first` on. */
status feature_files_rows(feature_files *, const feature_matrix *m, int first);
status feature_files_end(feature_files *);

#endif
