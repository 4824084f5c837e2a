/* data/folder.c -- images in folders named after their class; the layout and the order: dataset.h. */
#include "../core/base/file.h"
#include "../core/base/log.h"
#include "dataset.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#define STBI_ONLY_JPEG
#define STBI_ONLY_PNG
#define STBI_ONLY_BMP
#define STBI_MAX_DIMENSIONS 16384
#define STB_IMAGE_IMPLEMENTATION
#define STB_IMAGE_RESIZE_IMPLEMENTATION
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmissing-prototypes"
#include <stb/stb_image.h>
#include <stb/stb_image_resize.h>
#pragma GCC diagnostic pop

typedef struct names { /* strings, owned */
    char **at;
    int n;
} names;

typedef struct entry {
    char *path;      /* owned */
    int class, rank; /* rank: position among the files of its class */
} entry;

typedef struct entries {
    entry *at;
    int n, room;
} entries;

static void free_names(names *list)
{
    for (int i = 0; i < list->n; i++) free(list->at[i]);
    free(list->at);
}

static void free_entries(entries *list)
{
    for (int i = 0; i < list->n; i++) free(list->at[i].path);
    free(list->at);
}

/* By byte values: strcoll, and so alphasort, depends on the locale. */
static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int by_rank(const void *a, const void *b)
{
    const entry *p = a, *q = b;
    return p->rank != q->rank ? (p->rank > q->rank) - (p->rank < q->rank)
                              : (p->class > q->class) - (p->class < q->class);
}

static bool is_image(const char *name)
{
    static const char *const endings[] = { ".jpg", ".jpeg", ".png", ".bmp" };
    const char *dot = strrchr(name, '.');
    for (size_t i = 0; dot && i < sizeof endings / sizeof *endings; i++)
        if (strcasecmp(dot, endings[i]) == 0) return true;
    return false;
}

/* The sub-folders or the image files in a folder, sorted, without hidden ones. */
static status list_folder(const char *folder, bool sub_folders, names *out)
{
    status st = OK;
    file_path path;
    int room = 0;
    *out = (names){ 0 };
    DIR *dir = opendir(folder);
    if (!dir) FAIL(ERR_DATA, "%s: %s", folder, strerror(errno));
    for (struct dirent *e; (errno = 0, e = readdir(dir));) {
        if (e->d_name[0] == '.') continue;
        TRY(path_set(&path, "%s/%s", folder, e->d_name));
        if (sub_folders ? !file_is_dir(path.s) : !is_image(e->d_name)) continue;
        if (out->n == room) {
            char **grown;
            room = room ? 2 * room : 64;
            TRY_ALLOC(grown, realloc(out->at, (size_t)room * sizeof *grown));
            out->at = grown;
        }
        TRY_ALLOC(out->at[out->n], strdup(e->d_name));
        out->n++;
    }
    if (errno) FAIL(ERR_DATA, "%s: %s", folder, strerror(errno));
    if (out->n) qsort(out->at, (size_t)out->n, sizeof *out->at, by_name);
out:
    if (dir) closedir(dir);
    if (st != OK) {
        free_names(out);
        *out = (names){ 0 };
    }
    return st;
}

static status add_entry(entries *list, const char *path, int class, int rank)
{
    status st = OK;
    if (list->n == list->room) {
        if (list->n > INT_MAX / 2) FAIL(ERR_DATA, "%s: too many images", path);
        const int room = list->room ? 2 * list->room : 1024;
        entry *grown;
        TRY_ALLOC(grown, realloc(list->at, (size_t)room * sizeof *grown));
        list->at = grown;
        list->room = room;
    }
    entry *e = &list->at[list->n];
    TRY_ALLOC(e->path, strdup(path));
    e->class = class;
    e->rank = rank;
    list->n++;
out:
    return st;
}

/* The image files of one class; a class may have none. */
static status list_class(const char *part, const char *name, int class, entries *out)
{
    status st = OK;
    file_path folder, path;
    names files = { 0 };
    TRY(path_set(&folder, "%s/%s", part, name));
    if (!file_is_dir(folder.s)) goto out;
    TRY(list_folder(folder.s, false, &files));
    for (int i = 0; i < files.n; i++) {
        TRY(path_set(&path, "%s/%s", folder.s, files.at[i]));
        TRY(add_entry(out, path.s, class, i));
    }
out:
    free_names(&files);
    return st;
}

/* All images of train or test, interleaved. */
static status list_images(const char *part, const names *classes, entries *out)
{
    status st = OK;
    for (int c = 0; c < classes->n; c++) TRY(list_class(part, classes->at[c], c, out));
    if (out->n == 0)
        FAIL(ERR_DATA, "%s: no images; expected %s/CLASS/*.jpg, .jpeg, .png or .bmp", part, part);
    qsort(out->at, (size_t)out->n, sizeof *out->at, by_rank);
out:
    return st;
}

/* Images of a class that training does not have could only be misclassified: the folders must be wrong. */
static status check_classes(const char *part, const names *classes)
{
    status st = OK;
    names found = { 0 };
    TRY(list_folder(part, true, &found));
    for (int i = 0; i < found.n; i++)
        if (!bsearch(&found.at[i], classes->at, (size_t)classes->n, sizeof *classes->at, by_name))
            FAIL(ERR_DATA, "%s/%s: the training folder has no class of this name", part, found.at[i]);
out:
    free_names(&found);
    return st;
}

/* PATH/train, and the part that is asked for: PATH/train, PATH/test or PATH/val. */
static status find_parts(const char *path, bool training, file_path *train, file_path *part)
{
    status st = OK;
    if (!file_is_dir(path))
        FAIL(ERR_DATA,
             "%s: no such folder; data.path of an image folder has train/CLASS/*.png and test/CLASS/*.png",
             path);
    TRY(path_set(train, "%s/train", path));
    if (!file_is_dir(train->s))
        FAIL(ERR_DATA, "%s: no such folder; it holds one folder of images per class", train->s);
    TRY(path_set(part, "%s/%s", path, training ? "train" : "test"));
    if (!training && !file_is_dir(part->s)) TRY(path_set(part, "%s/val", path));
    if (!file_is_dir(part->s)) FAIL(ERR_DATA, "%s: neither test/ nor val/ is there, one is needed", path);
out:
    return st;
}

/* One file to [3, 32, 32]. stb makes RGB of gray and drops alpha. */
static status decode(const char *path, uint8_t *image, bool *resized)
{
    status st = OK;
    int width, height, channels;
    uint8_t scaled[IMAGE_VALUES];
    struct stat s;
    uint8_t *pixels = NULL;
    if (stat(path, &s) == 0 && !S_ISREG(s.st_mode)) FAIL(ERR_DATA, "%s: not a regular file", path);
    pixels = stbi_load(path, &width, &height, &channels, 3);
    const uint8_t *rgb = pixels;
    if (!pixels) FAIL(ERR_DATA, "%s: cannot read this image: %s", path, stbi_failure_reason());
    *resized = width != IMAGE_SIDE || height != IMAGE_SIDE;
    if (*resized) {
        if (!stbir_resize_uint8(pixels, width, height, 0, scaled, IMAGE_SIDE, IMAGE_SIDE, 0, 3))
            FAIL(ERR_RUNTIME, "%s: cannot resize %d x %d pixels: out of memory", path, width, height);
        rgb = scaled;
    }
    for (int i = 0; i < IMAGE_PIXELS; i++)
        for (int c = 0; c < 3; c++) image[c * IMAGE_PIXELS + i] = rgb[3 * i + c];
out:
    stbi_image_free(pixels);
    return st;
}

/* A failure's message belongs to the thread in which it happened. So this thread decodes the files again from the first bad
 * one on; those that failed because memory or file descriptors were short may then succeed. */
static status decode_all(const char *part, const entries *list, dataset *d)
{
    status st = OK;
    int bad = d->n, resized = 0;
    bool ignored;
#pragma omp parallel for schedule(dynamic, 64) reduction(min : bad) reduction(+ : resized)
    for (int i = 0; i < d->n; i++) {
        bool changed = false;
        d->label[i] = list->at[i].class;
        if (decode(list->at[i].path, d->image + (size_t)i * IMAGE_VALUES, &changed) != OK && i < bad) bad = i;
        resized += changed;
    }
    for (int i = bad; i < d->n; i++)
        TRY(decode(list->at[i].path, d->image + (size_t)i * IMAGE_VALUES, &ignored));
    if (resized) log_info("%s: %d of %d images resized to 32 x 32", part, resized, d->n);
out:
    return st;
}

status folder_open(const char *path, int limit, bool training, dataset *out)
{
    status st = OK;
    file_path train, part;
    names classes = { 0 };
    entries list = { 0 };
    *out = (dataset){ 0 };

    TRY(find_parts(path, training, &train, &part));
    TRY(list_folder(train.s, true, &classes));
    if (classes.n == 0) FAIL(ERR_DATA, "%s: no class folders; expected %s/CLASS/*.png", train.s, train.s);
    TRY(check_classes(part.s, &classes));
    TRY(list_images(part.s, &classes, &list));

    TRY(dataset_alloc(out, limit > 0 && limit < list.n ? limit : list.n, classes.n));
    for (int c = 0; c < classes.n; c++) TRY_ALLOC(out->class_name[c], strdup(classes.at[c]));
    TRY(decode_all(part.s, &list, out));
out:
    free_entries(&list);
    free_names(&classes);
    if (st != OK) dataset_free(out);
    return st;
}
