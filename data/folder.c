/* data/folder.c -- images in folders named after their class; the layout and the order: dataset.h. */
#include "../core/base/file.h"
#include "../core/base/log.h"
#include "dataset.h"
#include "picture.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

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

/* Pictures of a class that are there and are not read. */
typedef struct unread {
    int by_ending[PICTURE_MAX_UNREAD]; /* of picture_unread */
    int total;
    int below;                 /* pictures in folders of the class folder, which is one too deep */
    char folder[NAME_MAX + 1]; /* the first of these folders by name */
} unread;

enum { MAX_WARNINGS = 10, MAX_DEPTH = 8 };

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

/* Pictures of any kind below a folder; links to folders are not followed. */
static int count_pictures(const char *folder, int depth)
{
    int n = 0;
    file_path path;
    DIR *dir = depth < MAX_DEPTH ? opendir(folder) : NULL;
    for (struct dirent *e; dir && (e = readdir(dir));) {
        struct stat s;
        if (e->d_name[0] == '.' || path_set(&path, "%s/%s", folder, e->d_name) != OK || lstat(path.s, &s))
            continue;
        if (S_ISDIR(s.st_mode))
            n += count_pictures(path.s, depth + 1);
        else
            n += picture_is_read(e->d_name) || picture_unread_index(e->d_name) >= 0;
    }
    if (dir) closedir(dir);
    return n;
}

/* Counts what is in a class folder besides the pictures that are read. */
static void count_unread(const char *path, const char *name, unread *u)
{
    const int ending = picture_unread_index(name);
    if (ending >= 0) {
        u->by_ending[ending]++;
        u->total++;
    } else if (file_is_dir(path)) {
        const int below = count_pictures(path, 0);
        if (below && (!u->below || strcmp(name, u->folder) < 0))
            snprintf(u->folder, sizeof u->folder, "%s", name);
        u->below += below;
    }
}

/* "20 of 40 files are no picture this reads: .webp 20"; "" if there is nothing to say. */
static void describe_unread(const unread *u, int n_read, char *out, size_t bytes)
{
    FILE *f = fmemopen(out, bytes, "w");
    *out = '\0';
    if (!f) return;
    if (u->total) {
        fprintf(f, "%d of %d files are no picture this reads:", u->total, u->total + n_read);
        for (int i = 0, n = 0; picture_unread[i]; i++)
            if (u->by_ending[i]) fprintf(f, "%s %s %d", n++ ? "," : "", picture_unread[i], u->by_ending[i]);
    }
    if (u->below)
        fprintf(f, "%s%d %s in folders of this folder (%s) %s not read", u->total ? "; " : "", u->below,
                u->below > 1 ? "pictures" : "picture", u->folder, u->below > 1 ? "are" : "is");
    fclose(f);
}

/* The sub-folders (`u` is NULL) or the image files in a folder, sorted, without hidden ones; *u counts others. */
static status list_folder(const char *folder, names *out, unread *u)
{
    status st = OK;
    file_path path;
    int room = 0;
    *out = (names){ 0 };
    DIR *dir = opendir(folder);
    if (!dir) FAIL(status_of_errno(errno, ERR_DATA), "%s: %s", folder, strerror(errno));
    for (struct dirent *e; (errno = 0, e = readdir(dir));) {
        if (e->d_name[0] == '.') continue;
        TRY(path_set(&path, "%s/%s", folder, e->d_name));
        const bool wanted = u ? picture_is_read(e->d_name) : file_is_dir(path.s);
        if (!wanted && u) count_unread(path.s, e->d_name, u);
        if (!wanted) continue;
        if (out->n == room) {
            char **grown;
            room = room ? 2 * room : 64;
            TRY_ALLOC(grown, realloc(out->at, (size_t)room * sizeof *grown));
            out->at = grown;
        }
        TRY_ALLOC(out->at[out->n], strdup(e->d_name));
        out->n++;
    }
    if (errno) FAIL(status_of_errno(errno, ERR_DATA), "%s: %s", folder, strerror(errno));
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

/* The image files of one class. Without any, a class of the training set is an error; of the test set, *any false. */
static status list_class(const char *part, const char *name, int class, bool training, int *warnings,
                         entries *out, bool *any)
{
    status st = OK;
    char text[512] = "";
    file_path folder, path;
    names files = { 0 };
    unread u = { 0 };
    *any = false;
    TRY(path_set(&folder, "%s/%s", part, name));
    if (!file_is_dir(folder.s)) goto out;
    TRY(list_folder(folder.s, &files, &u));
    describe_unread(&u, files.n, text, sizeof text);
    if (training && files.n == 0)
        FAIL(ERR_DATA,
             "%s: no images in this class (.jpg, .jpeg, .png or .bmp), but training needs some of each%s%s",
             folder.s, *text ? ": " : "", text);
    if (*text && ++*warnings <= MAX_WARNINGS) log_warn("%s: %s", folder.s, text);
    for (int i = 0; i < files.n; i++) {
        TRY(path_set(&path, "%s/%s", folder.s, files.at[i]));
        TRY(add_entry(out, path.s, class, i));
    }
    *any = files.n > 0;
out:
    free_names(&files);
    return st;
}

static void warn_of_empty_classes(const char *part, const names *classes, const bool *any)
{
    char text[512] = "";
    int n = 0;
    size_t used = 0;
    for (int c = 0; c < classes->n; c++) {
        if (any[c]) continue;
        n++;
        if (used < sizeof text)
            used +=
                (size_t)snprintf(text + used, sizeof text - used, "%s%s", n > 1 ? ", " : "", classes->at[c]);
    }
    if (n)
        log_warn("%s: no images of %d of %d classes: %s%s", part, n, classes->n, text,
                 used < sizeof text ? "" : " ...");
}

/* Pictures beside the class folders belong to no class. */
static status warn_of_pictures_beside(const char *part)
{
    status st = OK;
    names files = { 0 };
    unread u = { 0 };
    TRY(list_folder(part, &files, &u));
    if (files.n + u.total)
        log_warn("%s: not read, because no class folder holds them: %d of the files there", part,
                 files.n + u.total);
out:
    free_names(&files);
    return st;
}

/* All images of train or test, interleaved. */
static status list_images(const char *part, const names *classes, bool training, entries *out)
{
    status st = OK;
    int warnings = 0;
    bool *any;
    TRY_ALLOC(any, calloc((size_t)classes->n, sizeof *any));
    for (int c = 0; c < classes->n; c++)
        TRY(list_class(part, classes->at[c], c, training, &warnings, out, &any[c]));
    if (warnings > MAX_WARNINGS) log_warn("%s: the like in %d more classes", part, warnings - MAX_WARNINGS);
    if (out->n == 0)
        FAIL(ERR_DATA, "%s: no images; expected %s/CLASS/*.jpg, .jpeg, .png or .bmp", part, part);
    warn_of_empty_classes(part, classes, any);
    TRY(warn_of_pictures_beside(part));
    qsort(out->at, (size_t)out->n, sizeof *out->at, by_rank);
out:
    free(any);
    return st;
}

/* Images of a class that training does not have could only be misclassified: the folders must be wrong. */
static status check_classes(const char *part, const names *classes)
{
    status st = OK;
    names found = { 0 };
    TRY(list_folder(part, &found, NULL));
    for (int i = 0; i < found.n; i++)
        if (!bsearch(&found.at[i], classes->at, (size_t)classes->n, sizeof *classes->at, by_name))
            FAIL(ERR_DATA, "%s/%s: the training folder has no class of this name", part, found.at[i]);
out:
    free_names(&found);
    return st;
}

/* PATH/train, and the part that is asked for: PATH/train, PATH/test or PATH/val. A test set alone stands for both. */
static status find_parts(const char *path, bool training, file_path *train, file_path *part)
{
    status st = OK;
    if (!file_is_dir(path))
        FAIL(ERR_DATA,
             "%s: no such folder; data.path of an image folder has train/CLASS/*.png and test/CLASS/*.png",
             path);
    TRY(path_set(train, "%s/train", path));
    if (!file_is_dir(train->s) && cifar_classes(path))
        FAIL(ERR_DATA, "%s: CIFAR files, not a folder of images: data.format=cifar%d reads them", path,
             cifar_classes(path));
    if (training && !file_is_dir(train->s))
        FAIL(ERR_DATA, "%s: no such folder; it holds one folder of images per class", train->s);
    TRY(path_set(part, "%s/%s", path, training ? "train" : "test"));
    if (!training && !file_is_dir(part->s)) TRY(path_set(part, "%s/val", path));
    if (!file_is_dir(part->s)) FAIL(ERR_DATA, "%s: neither test/ nor val/ is there, one is needed", path);
    if (!file_is_dir(train->s)) *train = *part;
out:
    return st;
}

/* A failure's message belongs to the thread in which it happened. So this thread decodes the files again from the first bad
 * one on; those that failed because memory or file descriptors were short may then succeed. */
static status decode_all(const char *part, const entries *list, const config_data *cfg, dataset *d)
{
    status st = OK;
    int bad = d->n, resized = 0;
    bool ignored;
    const size_t values = (size_t)image_values(d->shape);
#pragma omp parallel for schedule(dynamic, 64) reduction(min : bad) reduction(+ : resized)
    for (int i = 0; i < d->n; i++) {
        bool changed = false;
        d->label[i] = list->at[i].class;
        uint8_t *image = d->image + (size_t)i * values;
        if (picture_load(list->at[i].path, cfg, image, &changed) != OK && i < bad) bad = i;
        resized += changed;
    }
    for (int i = bad; i < d->n; i++)
        TRY(picture_load(list->at[i].path, cfg, d->image + (size_t)i * values, &ignored));
    if (resized)
        log_info("%s: %d of %d images resized to %d x %d (%s)", part, resized, d->n, d->shape.width,
                 d->shape.height, config_choice("data.fit", cfg->fit));
out:
    return st;
}

status folder_open(const config_data *cfg, int expected, bool training, dataset *out)
{
    status st = OK;
    const int limit = training ? cfg->train_limit : cfg->test_limit;
    file_path train, part;
    names classes = { 0 };
    entries list = { 0 };
    *out = (dataset){ 0 };

    TRY(find_parts(cfg->path, training, &train, &part));
    TRY(list_folder(train.s, &classes, NULL));
    if (classes.n == 0) FAIL(ERR_DATA, "%s: no class folders; expected %s/CLASS/*.png", train.s, train.s);
    if (expected && classes.n == 1)
        FAIL(ERR_DATA,
             "%s: one class folder only (%s); there is nothing to tell it from: two or more are needed",
             train.s, classes.at[0]);
    if (!strcmp(train.s, part.s) && !training && expected && classes.n != expected)
        FAIL(
            ERR_DATA,
            "%s/train: no such folder, and the %d folders of %s cannot stand for it: the net has %d outputs; "
            "an empty folder for a class each in train/ would do",
            cfg->path, classes.n, part.s, expected);
    TRY(dataset_check_classes(cfg, classes.n, expected));
    TRY(check_classes(part.s, &classes));
    TRY(list_images(part.s, &classes, training, &list));

    TRY(dataset_alloc(out, dataset_shape(cfg), limit > 0 && limit < list.n ? limit : list.n, classes.n));
    for (int c = 0; c < classes.n; c++) TRY_ALLOC(out->class_name[c], strdup(classes.at[c]));
    TRY(decode_all(part.s, &list, cfg, out));
out:
    free_entries(&list);
    free_names(&classes);
    if (st != OK) dataset_free(out);
    return st;
}
