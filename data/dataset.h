/* data/dataset.h -- images in memory, all of one size, with labels. */
#ifndef CLEAVE_DATASET_H
#define CLEAVE_DATASET_H

#include "../core/base/status.h"
#include "../core/config/config.h"
#include "../core/device/image.h"

typedef struct dataset {
    int n, classes;
    image_shape shape; /* of every image */
    uint8_t *image;    /* [n, c, h, w] */
    int32_t *label;    /* [n], in [0, classes) */
    char **class_name; /* [classes], never NULL */
} dataset;

/* What data.channels and data.size ask for. */
static inline image_shape dataset_shape(const config_data *cfg)
{
    return (image_shape){ cfg->channels, cfg->size[0], cfg->size[1] };
}
/* Image i of the set: [c, h, w]. */
const uint8_t *dataset_image(const dataset *, int i);

/* Opens the training and the test set of the config (the table in dataset.c has one line per format). Either may be
 * NULL. The synthetic set does not depend on the seed of the run. `classes` is what the net expects. ERR_DATA, with the
 * path, what is wrong and what would help; then both sets are zeroed. The caller frees. */
status dataset_open(const config_data *, int classes, dataset *train, dataset *test);
void dataset_free(dataset *); /* a zeroed dataset is harmless */

/* One per format: the training or the test set of cfg->path, as many images as train_limit or test_limit says.
 * `classes` is what the net expects, 0 = any; a mismatch is found before an image is read. *out is zeroed on failure.
 * cifar:     the official binary files in PATH or PATH/cifar-10-batches-bin (PATH/cifar-100-binary), of any
 *            whole number of records. The label of CIFAR-100 is the fine one.
 * folder:    PATH/train/CLASS/FILE and PATH/test/CLASS/FILE (or PATH/val); jpg, jpeg, png, bmp of at most
 *            cfg->max_pixels. The classes are the folders of train, or of the test set if there is no train. A class
 *            of the training set without images is an error; pictures that are not read (other formats, folders in
 *            class folders) are counted in warnings.
 *            Interleaved: first image 0 of every class, then image 1 of every class, and so on, with classes
 *            and files in the order of strcmp, so that the first images are of all classes.
 * idx:       MNIST's files in PATH or PATH/raw, compressed by gzip or not; any number of classes up to 256, which is
 *            the largest training label + 1; names from PATH/class_names.txt.
 * synthetic: drawn shapes; `path` is not used. */
status cifar10_open(const config_data *, int classes, bool training, dataset *out);
status cifar100_open(const config_data *, int classes, bool training, dataset *out);
status folder_open(const config_data *, int classes, bool training, dataset *out);
status idx_open(const config_data *, int classes, bool training, dataset *out);
status synthetic_open(const config_data *, int classes, bool training, dataset *out);

/* 10 or 100 if PATH has the files of CIFAR-10 or CIFAR-100, else 0. */
int cifar_classes(const char *path);
/* Writes a test set into FOLDER (made if missing) in the format that dataset_written_as names, so that dataset_open reads
 * the same images, labels and, as far as folders can have them, names:
 * cifar10, cifar100: test_batch.bin and batches.meta.txt, or test.bin (coarse labels 0) and fine_label_names.txt;
 * folder:            test/CLASS/NUMBER.png. A class's name is its folder's, with a number before it where the order of
 *                    the names is not that of the labels. PNG files of an earlier set are replaced. */
status dataset_write(const dataset *, const char *folder);
/* DATA_CIFAR10, DATA_CIFAR100: 10 or 100 classes of 3 x 32 x 32; else DATA_FOLDER. */
data_format dataset_written_as(int classes, image_shape);
/* The parts of dataset_write; a set for cifar_write has 10 or 100 classes of 3 x 32 x 32. */
status cifar_write(const dataset *, const char *folder);
status folder_write(const dataset *, const char *folder);

/* Of the pixels, the labels and the normalisation: of all that a net is shown. */
uint64_t dataset_hash(const dataset *, const config_data *);

/* For the formats. ERR_DATA: the data have `found` classes, but the net has `expected` outputs (0: any). */
status dataset_check_classes(const config_data *, int found, int expected);
/* For the formats: class_name from a file with one name a line. A name that is missing, or the whole file, becomes the
 * class's number. ERR_DATA: it is not text, or has more than 1 MB. */
status dataset_read_names(const char *path, dataset *);
/* For the formats: memory for n images, class_name all NULL. */
status dataset_alloc(dataset *, image_shape, int n, int classes);

#endif
