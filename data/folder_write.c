/* data/folder_write.c -- a test set as a folder of PNG files, which hold every pixel as it is. */
#include "../core/base/file.h"
#include "../core/base/text.h"
#include "dataset.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STB_IMAGE_WRITE_IMPLEMENTATION
#include <stb/stb_image_write.h>

enum { NAME_BYTES = 200 };

/* ---- names of the class folders ---- */

/* A folder's name from a class's name: visible, without "/", not hidden. */
static void folder_name(const char *class, char out[NAME_BYTES])
{
    text_visible(class, out, NAME_BYTES);
    for (char *c = out; *c; c++)
        if (*c == '/') *c = '_';
    if (*out == '.' || !*out) *out = '_';
}

/* folder_open gives labels in the order of the names. */
static bool are_in_order(const dataset *d)
{
    char name[NAME_BYTES], next[NAME_BYTES];
    for (int c = 0; c + 1 < d->classes; c++) {
        folder_name(d->class_name[c], name);
        folder_name(d->class_name[c + 1], next);
        if (strcmp(name, next) >= 0) return false;
    }
    return true;
}

static status class_folder(const dataset *d, const char *test, int class, bool numbered, file_path *out)
{
    char name[NAME_BYTES];
    folder_name(d->class_name[class], name);
    return numbered ? path_set(out, "%s/%06d-%s", test, class, name) : path_set(out, "%s/%s", test, name);
}

/* ---- what an earlier call wrote ---- */

static bool is_own(const char *file)
{
    const size_t digits = strspn(file, "0123456789");
    return digits == 8 && strcmp(file + digits, ".png") == 0;
}

/* A smaller set must not keep the images of a larger one that was there before. */
static status remove_own(const char *folder)
{
    status st = OK;
    file_path path;
    DIR *dir = opendir(folder);
    if (!dir && errno == ENOENT) goto out;
    if (!dir) FAIL(ERR_RUNTIME, "%s: %s", folder, strerror(errno));
    for (struct dirent *e; (e = readdir(dir));) {
        if (!is_own(e->d_name)) continue;
        TRY(path_set(&path, "%s/%s", folder, e->d_name));
        if (unlink(path.s)) FAIL(ERR_RUNTIME, "%s: %s", path.s, strerror(errno));
    }
out:
    if (dir) closedir(dir);
    return st;
}

/* ---- images ---- */

typedef struct sink {
    file_writer *file;
    status st;
} sink;

static void put(void *context, void *data, int bytes)
{
    sink *s = context;
    if (s->st == OK) s->st = file_put(s->file, data, (size_t)bytes);
}

static status write_png(const char *path, const uint8_t *planes, image_shape s)
{
    status st = OK;
    file_writer w = { 0 };
    sink to = { &w, OK };
    const int pixels = image_pixels(s), n = s.channels;
    uint8_t *together; /* [height, width, channels] */
    TRY_ALLOC(together, malloc((size_t)image_values(s)));
    for (int i = 0; i < pixels; i++)
        for (int c = 0; c < n; c++) together[i * n + c] = planes[c * pixels + i];
    TRY(file_begin(&w, path));
    if (!stbi_write_png_to_func(put, &to, s.width, s.height, n, together, n * s.width))
        FAIL(ERR_RUNTIME, "%s: out of memory", path);
    TRY(to.st);
    TRY(file_commit(&w));
out:
    file_abandon(&w);
    free(together);
    return st;
}

status folder_write(const dataset *d, const char *folder)
{
    status st = OK;
    file_path test, class, path;
    const bool numbered = !are_in_order(d);
    TRY(path_set(&test, "%s/test", folder));
    for (int c = 0; c < d->classes; c++) {
        TRY(class_folder(d, test.s, c, numbered, &class));
        TRY(file_make_dirs(class.s));
        TRY(remove_own(class.s));
    }
    for (int i = 0; i < d->n; i++) {
        TRY(class_folder(d, test.s, d->label[i], numbered, &class));
        TRY(path_set(&path, "%s/%08d.png", class.s, i));
        TRY(write_png(path.s, dataset_image(d, i), d->shape));
    }
out:
    return st;
}
