/* tools/report/blob.c -- arrays of numbers as text: deflate [RFC 1951] in a zlib envelope [RFC 1950], then base64
 * [RFC 4648]; the browser has the inverse of both. */
#include "report.h"
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

/* The blob's types and their bytes. */
static size_t type_bytes(const char *type)
{
    return !strcmp(type, "u8") ? 1 : !strcmp(type, "u16") ? 2 : 4;
}

status base64_text(const char *mime, const void *data, size_t bytes, char **out)
{
    static const char digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    status st = OK;
    const unsigned char *in = data;
    size_t head = mime ? strlen(mime) + strlen("data:;base64,") : 0;
    char *text, *to;
    TRY_ALLOC(text, malloc(head + (bytes + 2) / 3 * 4 + 1));
    if (mime) sprintf(text, "data:%s;base64,", mime);
    to = text + head;
    for (size_t i = 0; i < bytes; i += 3) {
        size_t left = bytes - i;
        unsigned v =
            (unsigned)in[i] << 16 | (left > 1 ? (unsigned)in[i + 1] << 8 : 0) | (left > 2 ? in[i + 2] : 0);
        *to++ = digit[v >> 18];
        *to++ = digit[v >> 12 & 63];
        *to++ = left > 1 ? digit[v >> 6 & 63] : '=';
        *to++ = left > 2 ? digit[v & 63] : '=';
    }
    *to = '\0';
    *out = text;
out:
    return st;
}

static status add_shape(cJSON *blob, int n_dims, const int64_t *dims)
{
    status st = OK;
    cJSON *shape;
    TRY_ALLOC(shape, cJSON_AddArrayToObject(blob, "shape"));
    for (int i = 0; i < n_dims; i++)
        if (!cJSON_AddItemToArray(shape, cJSON_CreateNumber((double)dims[i])))
            FAIL(ERR_RUNTIME, "out of memory");
out:
    return st;
}

status blob_json(const char *type, const void *data, int n_dims, const int64_t *dims, cJSON **out)
{
    status st = OK;
    size_t bytes = type_bytes(type);
    unsigned char *small = NULL;
    char *text = NULL;
    cJSON *blob = NULL;
    for (int i = 0; i < n_dims; i++) bytes *= (size_t)dims[i];
    uLongf small_bytes = compressBound(bytes);
    TRY_ALLOC(blob, cJSON_CreateObject());
    TRY_ALLOC(small, malloc(small_bytes));
    if (compress2(small, &small_bytes, data, bytes, Z_BEST_COMPRESSION) != Z_OK)
        FAIL(ERR_RUNTIME, "zlib cannot compress %zu bytes", bytes);
    TRY(base64_text(NULL, small, small_bytes, &text));
    if (!cJSON_AddStringToObject(blob, "type", type) || !cJSON_AddStringToObject(blob, "deflate", text))
        FAIL(ERR_RUNTIME, "out of memory");
    TRY(add_shape(blob, n_dims, dims));
    *out = blob;
    blob = NULL;
out:
    cJSON_Delete(blob);
    free(text);
    free(small);
    return st;
}
