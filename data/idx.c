/* data/idx.c -- MNIST's IDX files, http://yann.lecun.com/exdb/mnist, compressed by gzip or not.
 *
 *   images:  | 0 0 8 3 | n | height | width |   n * height * width bytes, row by row
 *   labels:  | 0 0 8 1 | n |                    n bytes
 *
 * Numbers have 4 bytes, the largest first; 8 means unsigned bytes, 3 and 1 are the numbers of dimensions. */
#include "../core/base/file.h"
#include "dataset.h"
#include "picture.h"
#include "resize.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

enum { MAX_SIDE = 1024, BLOCK_BYTES = 1 << 20 };

/* ---- one file ---- */

typedef struct idx_file {
    file_path path;
    gzFile f; /* reads both: gzip, and bytes as they are */
    uint32_t size[3];
} idx_file;

static status read_bytes(idx_file *x, void *out, size_t bytes)
{
    status st = OK;
    int error;
    const int got = gzread(x->f, out, (unsigned)bytes);
    if (got >= 0 && (size_t)got == bytes) goto out;
    const char *why = gzerror(x->f, &error);
    if (error == Z_MEM_ERROR) FAIL_OUT_OF_MEMORY();
    FAIL(ERR_DATA, "%s: truncated or damaged: %s", x->path.s,
         error == Z_ERRNO ? strerror(errno)
         : *why           ? why
                          : "the file ends early");
out:
    return st;
}

/* Nothing follows. At the end of a gzip file its checksum is compared. */
static status expect_end(idx_file *x)
{
    status st = OK;
    char byte;
    int error;
    const int got = gzread(x->f, &byte, 1);
    if (got > 0) FAIL(ERR_DATA, "%s: holds more than its header says", x->path.s);
    if (got < 0) FAIL(ERR_DATA, "%s: damaged: %s", x->path.s, gzerror(x->f, &error));
out:
    return st;
}

/* The four bytes of the kind, then the sizes. */
static status read_header(idx_file *x, int dimensions)
{
    status st = OK;
    uint8_t head[4], number[4];
    TRY(read_bytes(x, head, sizeof head));
    if (head[0] || head[1] || head[2] != 8 || head[3] != dimensions)
        FAIL(
            ERR_DATA, "%s: not an IDX file of %s: it begins with %02x %02x %02x %02x, expected 00 00 08 %02x",
            x->path.s, dimensions == 3 ? "images" : "labels", head[0], head[1], head[2], head[3], dimensions);
    for (int i = 0; i < dimensions; i++) {
        TRY(read_bytes(x, number, sizeof number));
        x->size[i] = big32(number);
    }
    if (x->size[0] < 1 || x->size[0] > 1 << 28)
        FAIL(ERR_DATA, "%s: its header says %u entries", x->path.s, x->size[0]);
out:
    return st;
}

static status open_idx(const file_path *path, int dimensions, idx_file *x)
{
    status st = OK;
    int fd;
    x->path = *path;
    TRY(file_open(path->s, &fd));
    if (!(x->f = gzdopen(fd, "rb"))) {
        close(fd);
        FAIL_OUT_OF_MEMORY();
    }
    TRY(read_header(x, dimensions));
out:
    return st;
}

/* ---- the files of a data set ---- */

/* PATH or PATH/raw (torchvision's MNIST/), "-idx3" or ".idx3" in the name, with .gz or without. */
static bool find_file(const char *path, const char *part, const char *kind, file_path *out)
{
    static const char *const folders[] = { "", "/raw" }, *const dots[] = { "-", "." },
                             *const ends[] = { "", ".gz" };
    for (int i = 0; i < 8; i++)
        if (path_set(out, "%s%s/%s%s%s-ubyte%s", path, folders[i / 4], part, dots[i / 2 % 2], kind,
                     ends[i % 2]) == OK &&
            file_exists(out->s))
            return true;
    return false;
}

static status find_part(const char *path, bool training, file_path *images, file_path *labels)
{
    status st = OK;
    const char *part = training ? "train" : "t10k";
    char name[2][32];
    snprintf(name[0], sizeof name[0], "%s-images", part);
    snprintf(name[1], sizeof name[1], "%s-labels", part);
    if (!file_is_dir(path))
        FAIL(ERR_DATA, "%s: no such folder; 'make mnist' downloads MNIST into datasets/mnist", path);
    for (int i = 0; i < 2; i++)
        if (!find_file(path, name[i], i ? "idx1" : "idx3", i ? labels : images))
            FAIL(ERR_DATA, "%s: no %s-%s-ubyte(.gz) there; 'make mnist' downloads MNIST into datasets/mnist",
                 path, name[i], i ? "idx1" : "idx3");
out:
    return st;
}

/* The labels of a part, all of them: [*n], the caller frees, also after a failure; *out is NULL before. */
static status read_labels(const file_path *path, uint8_t **out, int *n)
{
    status st = OK;
    idx_file x = { 0 };
    TRY(open_idx(path, 1, &x));
    *n = (int)x.size[0];
    /* Memory for as many as there are, whatever the header says. */
    for (size_t have = 0, more; have < x.size[0]; have += more) {
        uint8_t *label;
        more = x.size[0] - have < BLOCK_BYTES ? x.size[0] - have : BLOCK_BYTES;
        TRY_ALLOC(label, realloc(*out, have + more));
        *out = label;
        TRY(read_bytes(&x, label + have, more));
    }
    TRY(expect_end(&x));
out:
    if (x.f) gzclose_r(x.f);
    return st;
}

static int classes_of(const uint8_t *label, int n)
{
    int classes = 0;
    for (int i = 0; i < n; i++) classes = label[i] >= classes ? label[i] + 1 : classes;
    return classes;
}

/* Both parts have the classes of the training labels, if these are there. */
static status count_classes(const config_data *cfg, const uint8_t *label, int n, bool training, int *classes)
{
    status st = OK;
    file_path images, labels;
    uint8_t *all = NULL;
    int n_all;
    *classes = classes_of(label, n);
    if (training || find_part(cfg->path, true, &images, &labels) != OK) goto out;
    TRY(read_labels(&labels, &all, &n_all));
    const int trained = classes_of(all, n_all);
    if (*classes > trained)
        FAIL(ERR_DATA, "%s: a test image has label %d, but the training labels are 0 to %d", cfg->path,
             *classes - 1, trained - 1);
    *classes = trained;
out:
    free(all);
    return st;
}

static status read_images(idx_file *x, const config_data *cfg, dataset *d)
{
    status st = OK;
    const int height = (int)x->size[1], width = (int)x->size[2], pixels = height * width;
    uint8_t *gray, *rgb = NULL;
    TRY_ALLOC(gray, malloc((size_t)pixels));
    TRY_ALLOC(rgb, malloc(3 * (size_t)pixels));
    for (int i = 0; i < d->n; i++) {
        TRY(read_bytes(x, gray, (size_t)pixels));
        for (int k = 0; k < 3 * pixels; k++) rgb[k] = gray[k / 3];
        TRY(resize_picture(x->path.s, rgb, width, height, d->shape, cfg->fit,
                           d->image + (size_t)i * (size_t)image_values(d->shape)));
    }
out:
    free(gray);
    free(rgb);
    return st;
}

status idx_open(const config_data *cfg, int expected, bool training, dataset *out)
{
    status st = OK;
    file_path images, labels, names;
    const int limit = training ? cfg->train_limit : cfg->test_limit;
    uint8_t *label = NULL;
    int n = 0, classes;
    idx_file x = { 0 };
    *out = (dataset){ 0 };
    TRY(find_part(cfg->path, training, &images, &labels));
    TRY(read_labels(&labels, &label, &n));
    TRY(count_classes(cfg, label, n, training, &classes));
    TRY(dataset_check_classes(cfg, classes, expected));
    TRY(open_idx(&images, 3, &x));
    if (x.size[0] != (uint32_t)n)
        FAIL(ERR_DATA, "%s has %u images, but %s has %d labels", images.s, x.size[0], labels.s, n);
    if (x.size[1] < 1 || x.size[2] < 1 || x.size[1] > MAX_SIDE || x.size[2] > MAX_SIDE)
        FAIL(ERR_DATA, "%s: its header says images of %u x %u", images.s, x.size[1], x.size[2]);
    TRY(dataset_alloc(out, dataset_shape(cfg), limit > 0 && limit < n ? limit : n, classes));
    for (int i = 0; i < out->n; i++) out->label[i] = label[i];
    TRY(path_set(&names, "%s/class_names.txt", cfg->path));
    TRY(dataset_read_names(names.s, out));
    TRY(read_images(&x, cfg, out));
    if (out->n == n) TRY(expect_end(&x));
out:
    if (x.f) gzclose_r(x.f);
    free(label);
    if (st != OK) dataset_free(out);
    return st;
}
