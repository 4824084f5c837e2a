/* data/dataset.c -- the table of formats, and what they share. */
#include "dataset.h"
#include "../core/base/file.h"

#include <stdlib.h>
#include <string.h>

/* A new format is a function and a line here. */
static const struct {
    const char *name;
    status (*open)(const config_data *, int classes, bool training, dataset *out);
} formats[] = {
    [DATA_CIFAR10] = { "cifar10", cifar10_open },       [DATA_CIFAR100] = { "cifar100", cifar100_open },
    [DATA_FOLDER] = { "folder", folder_open },          [DATA_IDX] = { "idx", idx_open },
    [DATA_SYNTHETIC] = { "synthetic", synthetic_open },
};

const uint8_t *dataset_image(const dataset *d, int i)
{
    return d->image + (size_t)i * (size_t)image_values(d->shape);
}

status dataset_alloc(dataset *d, image_shape shape, int n, int classes)
{
    *d = (dataset){ .n = n, .classes = classes, .shape = shape };
    d->image = malloc((size_t)n * (size_t)image_values(shape));
    d->label = malloc((size_t)n * sizeof *d->label);
    d->class_name = calloc((size_t)classes, sizeof *d->class_name);
    if (d->image && d->label && d->class_name) return OK;
    dataset_free(d);
    return status_set(ERR_RUNTIME, __FILE__, __LINE__, "out of memory for %d images of %d x %d x %d", n,
                      shape.channels, shape.height, shape.width);
}

enum { MAX_NAMES_BYTES = 1 << 20 };

status dataset_read_names(const char *path, dataset *d)
{
    status st = OK;
    char number[16], *text = NULL;
    size_t bytes = 0;
    if (file_exists(path)) TRY(file_read_within(path, MAX_NAMES_BYTES, FILE_REGULAR, &text, &bytes));
    const char *line = text ? text : "";
    if (strlen(line) != bytes) FAIL(ERR_DATA, "%s: not text: it has a NUL byte", path);
    for (int c = 0; c < d->classes; c++) {
        const size_t length = strcspn(line, "\r\n");
        snprintf(number, sizeof number, "%d", c);
        TRY_ALLOC(d->class_name[c], length ? strndup(line, length) : strdup(number));
        line += strcspn(line, "\n");
        line += *line == '\n';
    }
out:
    free(text);
    return st;
}

void dataset_free(dataset *d)
{
    for (int c = 0; d->class_name && c < d->classes; c++) free(d->class_name[c]);
    free(d->class_name);
    free(d->image);
    free(d->label);
    *d = (dataset){ 0 };
}

status dataset_check_classes(const config_data *cfg, int found, int expected)
{
    status st = OK;
    if (expected && found != expected)
        FAIL(ERR_DATA, "%s: the data set (%s) has %d classes, but the net has %d outputs (net.classes=%d)",
             cfg->path, formats[cfg->format].name, found, expected, found);
out:
    return st;
}

status dataset_open(const config_data *cfg, int classes, dataset *train, dataset *test)
{
    status st = OK;
    if (train) *train = (dataset){ 0 };
    if (test) *test = (dataset){ 0 };
    if (train) TRY(formats[cfg->format].open(cfg, classes, true, train));
    if (test) TRY(formats[cfg->format].open(cfg, classes, false, test));
out:
    if (st != OK && train) dataset_free(train);
    if (st != OK && test) dataset_free(test);
    return st;
}

uint64_t dataset_hash(const dataset *d, const config_data *c)
{
    const struct {
        uint64_t image, label;
        float mean[3], std[3];
    } all = { file_hash(d->image, (size_t)d->n * (size_t)image_values(d->shape)),
              file_hash(d->label, (size_t)d->n * sizeof *d->label),
              { c->mean[0], c->mean[1], c->mean[2] },
              { c->std[0], c->std[1], c->std[2] } };
    return file_hash(&all, sizeof all);
}

/* ---- writing ---- */

data_format dataset_written_as(int classes, image_shape s)
{
    if (s.channels != 3 || s.height != 32 || s.width != 32) return DATA_FOLDER;
    return classes == 10 ? DATA_CIFAR10 : classes == 100 ? DATA_CIFAR100 : DATA_FOLDER;
}

status dataset_write(const dataset *d, const char *folder)
{
    return dataset_written_as(d->classes, d->shape) == DATA_FOLDER ? folder_write(d, folder)
                                                                   : cifar_write(d, folder);
}
