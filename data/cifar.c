/* data/cifar.c -- the official binary files, https://www.cs.toronto.edu/~kriz/cifar.html
 *
 *   CIFAR-10:  | label |               1024 red, 1024 green, 1024 blue |   3073 bytes a record
 *   CIFAR-100: | coarse label | fine label | 1024 red, 1024 green, 1024 blue |   3074 bytes a record
 */
#include "../core/base/file.h"
#include "../core/base/text.h"
#include "dataset.h"
#include "resize.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_FILES = 5, MAX_NAMES_BYTES = 1 << 20, SIDE = 32, RECORD_VALUES = 3 * SIDE * SIDE };

typedef struct layout {
    const char *folder, *names, *help;
    int classes, label_bytes;                               /* the last label byte counts */
    const char *train[MAX_FILES + 1], *test[MAX_FILES + 1]; /* end with NULL */
} layout;

static const layout cifar10 = {
    .folder = "cifar-10-batches-bin",
    .names = "batches.meta.txt",
    .help = "'make cifar10' downloads CIFAR-10 into datasets/",
    .classes = 10,
    .label_bytes = 1,
    .train = { "data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin",
               "data_batch_5.bin" },
    .test = { "test_batch.bin" },
};

static const layout cifar100 = {
    .folder = "cifar-100-binary",
    .names = "fine_label_names.txt",
    .help = "'tools/cifar10.sh --format cifar100' downloads CIFAR-100 into datasets/",
    .classes = 100,
    .label_bytes = 2,
    .train = { "train.bin" },
    .test = { "test.bin" },
};

static status find_folder(const layout *l, const char *path, file_path *folder)
{
    status st = OK;
    if (!file_is_dir(path)) FAIL(ERR_DATA, "%s: no such folder; %s", path, l->help);
    TRY(path_set(folder, "%s/%s", path, l->folder));
    if (!file_is_dir(folder->s)) TRY(path_set(folder, "%s", path));
out:
    return st;
}

static bool has_files(const layout *l, const char *path)
{
    file_path folder, train, test;
    return find_folder(l, path, &folder) == OK && path_set(&train, "%s/%s", folder.s, l->train[0]) == OK &&
           path_set(&test, "%s/%s", folder.s, l->test[0]) == OK &&
           (file_exists(train.s) || file_exists(test.s));
}

int cifar_classes(const char *path)
{
    return has_files(&cifar10, path) ? cifar10.classes : has_files(&cifar100, path) ? cifar100.classes : 0;
}

/* Data of another format are named, instead of files that nobody had in mind. */
static status check_format(const layout *l, const char *path)
{
    status st = OK;
    file_path train;
    if (!file_is_dir(path) || has_files(l, path)) goto out; /* also: find_folder says more */
    if (cifar_classes(path))
        FAIL(ERR_DATA, "%s: files of CIFAR-%d: data.format=cifar%d reads them", path, cifar_classes(path),
             cifar_classes(path));
    TRY(path_set(&train, "%s/train", path));
    if (file_is_dir(train.s))
        FAIL(ERR_DATA, "%s: not CIFAR-%d; it has a folder train/: data.format=folder reads folders of images",
             path, l->classes);
out:
    return st;
}

/* Sizes are checked first, so a missing or truncated file is found before anything is read. */
static status count_records(const layout *l, const char *path, int64_t *out)
{
    status st = OK;
    const int record = l->label_bytes + RECORD_VALUES;
    struct stat info;
    if (stat(path, &info) != 0) FAIL(ERR_DATA, "%s: %s; %s", path, strerror(errno), l->help);
    if (!S_ISREG(info.st_mode)) FAIL(ERR_DATA, "%s: not a regular file", path);
    if (info.st_size == 0) FAIL(ERR_DATA, "%s: the file is empty", path);
    if (info.st_size % record != 0)
        FAIL(ERR_DATA,
             "%s: truncated or not a CIFAR-%d file: %lld bytes are not a whole number of records of %d", path,
             l->classes, (long long)info.st_size, record);
    *out = info.st_size / record;
out:
    return st;
}

/* Reads `records` records into the set from image `first` on. */
static status read_records(const layout *l, const char *path, const config_data *cfg, int first, int records,
                           dataset *d)
{
    status st = OK;
    uint8_t planes[RECORD_VALUES];
    const bool as_it_is = d->shape.channels == 3 && d->shape.height == SIDE && d->shape.width == SIDE;
    FILE *f = NULL;
    int fd = -1;
    TRY(file_open(path, &fd));
    TRY_ALLOC(f, fdopen(fd, "rb"));
    fd = -1;
    for (int i = 0; i < records; i++) {
        uint8_t label[2];
        uint8_t *image = d->image + (size_t)(first + i) * (size_t)image_values(d->shape);
        uint8_t *read = as_it_is ? image : planes;
        if (fread(label, 1, (size_t)l->label_bytes, f) != (size_t)l->label_bytes ||
            fread(read, 1, RECORD_VALUES, f) != RECORD_VALUES)
            FAIL(ERR_DATA, "%s: cannot read record %d: %s", path, i,
                 ferror(f) ? strerror(errno) : "end of file");
        if (!as_it_is) TRY(resize_planes(path, planes, SIDE, SIDE, d->shape, cfg->fit, image));
        d->label[first + i] = label[l->label_bytes - 1];
        if (d->label[first + i] >= l->classes)
            FAIL(ERR_DATA, "%s: record %d has label %d, but labels are 0 to %d", path, i, d->label[first + i],
                 l->classes - 1);
    }
out:
    if (f) fclose(f);
    if (fd >= 0) close(fd);
    return st;
}

static status open_layout(const layout *l, const config_data *cfg, int classes, bool training, dataset *out)
{
    status st = OK;
    file_path folder, names, file[MAX_FILES];
    int64_t records[MAX_FILES], n = 0;
    const char *const *part = training ? l->train : l->test;
    const int limit = training ? cfg->train_limit : cfg->test_limit;
    int files = 0;
    *out = (dataset){ 0 };

    TRY(check_format(l, cfg->path));
    TRY(find_folder(l, cfg->path, &folder));
    for (; part[files]; files++) {
        TRY(path_set(&file[files], "%s/%s", folder.s, part[files]));
        TRY(count_records(l, file[files].s, &records[files]));
        n += records[files];
    }
    if (limit > 0 && limit < n) n = limit;
    if (n > INT32_MAX) FAIL(ERR_DATA, "%s: %lld images are too many", folder.s, (long long)n);

    TRY(dataset_check_classes(cfg, l->classes, classes));
    TRY(dataset_alloc(out, dataset_shape(cfg), (int)n, l->classes));
    TRY(path_set(&names, "%s/%s", folder.s, l->names));
    TRY(dataset_read_names(names.s, out));
    for (int i = 0, first = 0; i < files && first < n; i++) {
        const int take = records[i] < n - first ? (int)records[i] : (int)n - first;
        TRY(read_records(l, file[i].s, cfg, first, take, out));
        first += take;
    }
out:
    if (st != OK) dataset_free(out);
    return st;
}

status cifar10_open(const config_data *cfg, int classes, bool training, dataset *out)
{
    return open_layout(&cifar10, cfg, classes, training, out);
}

status cifar100_open(const config_data *cfg, int classes, bool training, dataset *out)
{
    return open_layout(&cifar100, cfg, classes, training, out);
}

/* ---- writing ---- */

static status write_records(const layout *l, const char *path, const dataset *d)
{
    status st = OK;
    file_writer w = { 0 };
    TRY(file_begin(&w, path));
    for (int i = 0; i < d->n; i++) {
        const uint8_t coarse_and_fine[2] = { 0, (uint8_t)d->label[i] };
        TRY(file_put(&w, coarse_and_fine + 2 - l->label_bytes, (size_t)l->label_bytes));
        TRY(file_put(&w, dataset_image(d, i), RECORD_VALUES));
    }
    TRY(file_commit(&w));
out:
    file_abandon(&w);
    return st;
}

static status write_names(const char *path, const dataset *d)
{
    status st = OK;
    char *name = NULL;
    file_writer w = { 0 };
    TRY(file_begin(&w, path));
    for (int c = 0; c < d->classes; c++) {
        const size_t room = 4 * strlen(d->class_name[c]) + 1;
        free(name);
        TRY_ALLOC(name, malloc(room));
        text_visible(d->class_name[c], name, room); /* a line break would move the names after it */
        TRY(file_put(&w, name, strlen(name)));
        TRY(file_put(&w, "\n", 1));
    }
    TRY(file_commit(&w));
out:
    free(name);
    file_abandon(&w);
    return st;
}

static const layout *layout_of(int classes)
{
    return classes == cifar10.classes ? &cifar10 : &cifar100;
}

status cifar_write(const dataset *d, const char *folder)
{
    status st = OK;
    file_path path;
    const layout *l = layout_of(d->classes);
    TRY(file_make_dirs(folder));
    TRY(path_set(&path, "%s/%s", folder, l->names));
    TRY(write_names(path.s, d));
    TRY(path_set(&path, "%s/%s", folder, l->test[0]));
    TRY(write_records(l, path.s, d));
out:
    return st;
}
