/* data/dataset.h -- images in memory: uint8, 3 x 32 x 32, with labels. */
#ifndef CLEAVE_DATASET_H
#define CLEAVE_DATASET_H

#include "../core/config.h"
#include "../core/status.h"

enum { IMAGE_SIDE = 32, IMAGE_VALUES = 3 * 32 * 32 };

typedef struct dataset {
    int n, classes;
    uint8_t *image;    /* [n, 3, 32, 32] */
    int32_t *label;    /* [n], in [0, classes) */
    char **class_name; /* [classes], never NULL */
} dataset;

/* Opens training and test set as configured (data/registry in dataset.c: one line per format). Either may be
 * NULL. `seed` is used by the synthetic set only through a fixed default: the generated data is the same for
 * every run seed. Failures are ERR_DATA with the path, what is wrong and what would help. The caller frees. */
status dataset_open(const config_data *, int classes, dataset *train, dataset *test);
void dataset_free(dataset *); /* a zeroed dataset is harmless */

/* One per format; `limit` 0 = all. */
status cifar_open(const char *path, int classes, int limit, bool training, dataset *out);
status folder_open(const char *path, int classes, int limit, bool training, dataset *out);
status synthetic_open(const char *path, int classes, int limit, bool training, dataset *out);

#endif
