/* core/format/safetensors_write.c -- the header is padded with spaces to a multiple of 8, and tensors come by
 * descending size of their type, so that each is aligned in a mapped file. */
#include "safetensors.h"

#include "../base/file.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

/* Mistakes of the caller, not of a user. */
static status check_tensor(const st_tensor *t, const st_tensor *before)
{
    status st = OK;
    int64_t count = 1;
    for (int i = 0; i < t->rank; i++) count *= t->shape[i];
    if (count != t->count) FAIL(ERR_RUNTIME, "%s: count and shape differ", t->name);
    if (before && st_dtype_bytes(t->type) > st_dtype_bytes(before->type))
        FAIL(ERR_RUNTIME, "%s: must come before %s, its type is larger", t->name, before->name);
out:
    return st;
}

static bool add_metadata(cJSON *header, const st_pair *meta, int n)
{
    if (n == 0) return true;
    cJSON *object = cJSON_AddObjectToObject(header, "__metadata__");
    bool good = object != NULL;
    for (int i = 0; good && i < n; i++) good = cJSON_AddStringToObject(object, meta[i].key, meta[i].value);
    return good;
}

static bool add_tensor(cJSON *header, const st_tensor *t, int64_t begin, int64_t end)
{
    cJSON *object = cJSON_AddObjectToObject(header, t->name);
    if (!object || !cJSON_AddStringToObject(object, "dtype", st_dtype_name(t->type))) return false;
    cJSON *shape = cJSON_AddArrayToObject(object, "shape");
    bool good = shape != NULL;
    for (int i = 0; good && i < t->rank; i++)
        good = cJSON_AddItemToArray(shape, cJSON_CreateNumber((double)t->shape[i]));
    cJSON *offsets = good ? cJSON_AddArrayToObject(object, "data_offsets") : NULL;
    return offsets && cJSON_AddItemToArray(offsets, cJSON_CreateNumber((double)begin)) &&
           cJSON_AddItemToArray(offsets, cJSON_CreateNumber((double)end));
}

static status make_header(const st_tensor *tensors, int n_tensors, const st_pair *meta, int n_meta,
                          char **out)
{
    status st = OK;
    cJSON *header = NULL;
    int64_t at = 0;
    TRY_ALLOC(header, cJSON_CreateObject());
    if (!add_metadata(header, meta, n_meta)) FAIL(ERR_RUNTIME, "out of memory");
    for (int i = 0; i < n_tensors; i++) {
        const st_tensor *t = &tensors[i];
        TRY(check_tensor(t, i ? t - 1 : NULL));
        int64_t end = at + t->count * (int64_t)st_dtype_bytes(t->type);
        if (!add_tensor(header, t, at, end)) FAIL(ERR_RUNTIME, "out of memory");
        at = end;
    }
    TRY_ALLOC(*out, cJSON_PrintUnformatted(header));
out:
    cJSON_Delete(header);
    return st;
}

status st_write(const char *path, const st_tensor *tensors, int n_tensors, const st_pair *meta, int n_meta)
{
    status st = OK;
    char *header = NULL;
    file_writer w = { 0 };
    TRY(make_header(tensors, n_tensors, meta, n_meta, &header));
    size_t length = strlen(header);
    uint64_t padded = (length + 7) / 8 * 8;
    TRY(file_begin(&w, path));
    TRY(file_put(&w, &padded, sizeof padded));
    TRY(file_put(&w, header, length));
    TRY(file_put(&w, "       ", padded - length));
    for (int i = 0; i < n_tensors; i++)
        TRY(file_put(&w, tensors[i].data, (size_t)tensors[i].count * st_dtype_bytes(tensors[i].type)));
    TRY(file_commit(&w));
out:
    if (st != OK) file_abandon(&w);
    cJSON_free(header);
    return st;
}
