/* graph/feature_files.c -- one row at a time: there may be no memory for all rows of a layer. */
#include "feature_files.h"

#include "../core/base/npy.h"
#include "similarity.h"

#include <stdlib.h>
#include <string.h>

/* A field of a CSV file, in quotes if it contains separators, with a "'" in front if it looks like a formula. */
static status put_field(file_writer *w, const char *text)
{
    status st = OK;
    const char *quote = strpbrk(text, ",\"\r\n") ? "\"" : "";
    TRY(file_put(w, quote, strlen(quote)));
    if (text_is_formula(text)) TRY(file_put(w, "'", 1));
    for (; *text; text++) {
        if (*text == '"') TRY(file_put(w, text, 1)); /* doubled */
        TRY(file_put(w, text, 1));
    }
    TRY(file_put(w, quote, strlen(quote)));
out:
    return st;
}

static status write_labels(const char *dir, int images, const dataset *d)
{
    status st = OK;
    file_writer w = { 0 };
    file_path path;
    char line[64];
    TRY(path_set(&path, "%s/labels.csv", dir));
    TRY(file_begin(&w, path.s));
    TRY(file_put(&w, "image,label,class\n", 18));
    for (int i = 0; i < images; i++) {
        TRY(text_format(line, sizeof line, "%d,%d,", i, d->label[i]));
        TRY(file_put(&w, line, strlen(line)));
        TRY(put_field(&w, d->class_name[d->label[i]]));
        TRY(file_put(&w, "\n", 1));
    }
    TRY(file_commit(&w));
out:
    file_abandon(&w);
    return st;
}

status feature_files_open(feature_files *e, const char *dir, int images, const dataset *d)
{
    status st = OK;
    *e = (feature_files){ .dir = images > 0 ? dir : NULL, .images = images };
    if (dir && file_exists(dir)) TRY(file_remove_matching(dir, "@(*.npy|labels.csv)"));
    if (!e->dir) goto out;
    TRY(file_make_dirs(dir));
    TRY(write_labels(dir, images, d));
out:
    return st;
}

void feature_files_close(feature_files *e)
{
    if (e->dir) file_abandon(&e->file);
    free(e->row);
    *e = (feature_files){ 0 };
}

status feature_files_begin(feature_files *e, const char *name, int64_t dim)
{
    status st = OK;
    file_path path;
    if (!e->dir) goto out;
    free(e->row);
    TRY_ALLOC(e->row, malloc((size_t)dim * sizeof(float)));
    TRY(path_set(&path, "%s/%s.npy", e->dir, name));
    TRY(npy_begin(&e->file, path.s, e->images, dim));
out:
    return st;
}

/* Converts a row of `type` to f32 in place, from the back, so that it does not overwrite values that it still reads. */
static void widen(float *row, int64_t n, dtype type, float scale)
{
    const char *held = (const char *)row;
    uint16_t half;
    for (int64_t k = n - 1; type == BF16 && k >= 0; k--) {
        memcpy(&half, held + k * 2, sizeof half);
        row[k] = bf16_to(half);
    }
    for (int64_t k = n - 1; type == I8 && k >= 0; k--) row[k] = scale * (float)(signed char)held[k];
}

status feature_files_rows(feature_files *e, const feature_matrix *m, int first)
{
    status st = OK;
    const size_t bytes = (size_t)m->dim * sizeof(float), held = (size_t)m->dim * dtype_bytes(m->type);
    if (!e->dir) goto out;
    for (int r = 0; r < m->rows && first + r < e->images; r++) {
        const double divisor = similarity_divisor(m->norm[r]);
        TRY(m->device->download(m->device, e->row, feature_row(m, r), held));
        widen(e->row, m->dim, m->type, m->scale[r].scale);
        for (int64_t k = 0; k < m->dim; k++) e->row[k] = (float)(e->row[k] * divisor);
        TRY(file_put(&e->file, e->row, bytes));
    }
out:
    return st;
}

status feature_files_end(feature_files *e)
{
    return e->dir ? file_commit(&e->file) : OK;
}
