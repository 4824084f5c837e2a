/* graph/feature_files.h -- activations as files, for programs that do what is not done here (t-SNE: tools/tsne):
 * DIR/LAYER.npy, float32 [images, values], as they were before rows were divided by their norms. */
#ifndef CLEAVE_FEATURE_FILES_H
#define CLEAVE_FEATURE_FILES_H

#include "../core/base/file.h"
#include "features.h"

typedef struct feature_files {
    const char *dir; /* not owned; NULL: nothing is wanted, and all calls are harmless */
    int images;      /* positions 0 .. images - 1 are written */
    file_writer file;
    float *row;
} feature_files;

/* Makes the folder and, in it, labels.csv (image, label, class) of the first `images` images. */
status feature_files_open(feature_files *, const char *dir, int images, const dataset *);
void feature_files_close(feature_files *); /* a zeroed one is harmless */

/* One layer after the other; rows come in order, in any number at a time. */
status feature_files_begin(feature_files *, const char *name, int64_t dim);
/* The rows of m are the positions from `first` on. */
status feature_files_rows(feature_files *, const feature_matrix *m, int first);
status feature_files_end(feature_files *);

#endif
