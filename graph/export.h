/* graph/export.h -- activations as files, for programs that do what is not done here (t-SNE: tools/tsne):
 * DIR/LAYER.npy, float32 [images, values], as they were before rows were divided by their norms. */
#ifndef CLEAVE_EXPORT_H
#define CLEAVE_EXPORT_H

#include "../core/base/file.h"
#include "features.h"

typedef struct row_export {
    const char *dir; /* not owned; NULL: nothing is wanted, and all calls are harmless */
    int images;      /* positions 0 .. images - 1 are written */
    file_writer file;
    float *row;
} row_export;

/* Makes the folder and, in it, labels.csv (image, label, class) of the first `images` images. */
status export_open(row_export *, const char *dir, int images, const dataset *);
void export_close(row_export *); /* a zeroed one is harmless */

/* One layer after the other; rows come in order, in any number at a time. */
status export_layer(row_export *, const char *name, int64_t dim);
/* The rows of m are the positions from `first` on. */
status export_rows(row_export *, const feature_matrix *m, int first);
status export_layer_end(row_export *);

#endif
