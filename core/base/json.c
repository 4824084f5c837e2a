/* core/base/json.c -- see json.h. */
#include "json.h"
#include "file.h"

#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* ---- parsing ---- */

static _Thread_local bool no_memory; /* for the value that this thread parses */

static void *allocate(size_t bytes)
{
    void *p = malloc(bytes);
    no_memory |= !p;
    return p;
}

static void listen_to_malloc(void)
{
    cJSON_InitHooks(&(cJSON_Hooks){ .malloc_fn = allocate, .free_fn = free });
}

status json_parse(const char *text, size_t bytes, const char **end, cJSON **out)
{
    status st = OK;
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    const char *at;
    pthread_once(&once, listen_to_malloc);
    no_memory = false;
    *out = cJSON_ParseWithLengthOpts(text, bytes, end ? end : &at, false);
    if (!*out && no_memory) FAIL_OUT_OF_MEMORY();
out:
    return st;
}

/* ---- files ---- */

status json_read(const char *path, cJSON **out)
{
    status st = OK;
    char *text = NULL;
    size_t bytes;
    TRY(file_read(path, &text, &bytes));
    TRY(json_parse(text, bytes, NULL, out));
    if (!cJSON_IsObject(*out)) {
        cJSON_Delete(*out);
        *out = NULL;
        FAIL(ERR_DATA, "%s: not a JSON object", path);
    }
out:
    free(text);
    return st;
}

cJSON *json_read_if_any(const char *path)
{
    cJSON *j = NULL;
    return file_exists(path) && json_read(path, &j) == OK ? j : NULL;
}

cJSON *json_read_last_line(const char *path)
{
    char *text = NULL;
    size_t bytes;
    cJSON *j = NULL;
    if (!file_exists(path) || file_read(path, &text, &bytes) != OK) return NULL;
    const char *end = memrchr(text, '\n', bytes);
    if (end) {
        const char *before = memrchr(text, '\n', (size_t)(end - text)), *line = before ? before + 1 : text;
        json_parse(line, (size_t)(end - line), NULL, &j);
    }
    free(text);
    if (cJSON_IsObject(j)) return j;
    cJSON_Delete(j);
    return NULL;
}

status json_write(const char *path, const cJSON *json)
{
    status st = OK;
    file_writer w = { 0 };
    char *text = NULL;
    TRY_ALLOC(text, cJSON_Print(json));
    text_to_utf8(text);
    TRY(file_begin(&w, path));
    TRY(file_put(&w, text, strlen(text)));
    TRY(file_put(&w, "\n", 1));
    TRY(file_commit(&w));
out:
    if (st != OK) file_abandon(&w);
    cJSON_free(text);
    return st;
}

/* ---- reading members ---- */

const char *json_text(const cJSON *object, const char *key)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItem(object, key));
    return text ? text : "";
}

double json_number(const cJSON *object, const char *key, double if_absent)
{
    const cJSON *number = cJSON_GetObjectItem(object, key);
    return cJSON_IsNumber(number) ? number->valuedouble : if_absent;
}

int64_t json_whole(const cJSON *object, const char *key, int64_t least, int64_t most, int64_t if_absent)
{
    const double v = json_number(object, key, NAN);
    if (!(v >= (double)least && v <= (double)most)) return if_absent; /* NaN neither */
    return v == (double)(int64_t)v ? (int64_t)v : if_absent;
}

/* ---- making ---- */

static cJSON *number_or_null(double value)
{
    return isfinite(value) ? cJSON_CreateNumber(value) : cJSON_CreateNull();
}

status json_put(cJSON *object, const char *key, cJSON *item)
{
    status st = OK;
    if (!item || !cJSON_AddItemToObject(object, key, item)) {
        cJSON_Delete(item);
        FAIL(ERR_RUNTIME, "out of memory");
    }
out:
    return st;
}

status json_append(cJSON *array, cJSON *item)
{
    status st = OK;
    if (!item || !cJSON_AddItemToArray(array, item)) {
        cJSON_Delete(item);
        FAIL(ERR_RUNTIME, "out of memory");
    }
out:
    return st;
}

status json_replace(cJSON *object, const char *key, cJSON *item)
{
    if (item && cJSON_ReplaceItemInObject(object, key, item)) return OK;
    return json_put(object, key, item);
}

status json_put_text(cJSON *object, const char *key, const char *text)
{
    return json_put(object, key, text ? cJSON_CreateString(text) : cJSON_CreateNull());
}

status json_put_number(cJSON *object, const char *key, double value)
{
    return json_put(object, key, number_or_null(value));
}

/* ---- 64-bit numbers ---- */

enum { KEY_BYTES = 64, DIGITS_BYTES = 24 };
/* cJSON writes 15 digits, and a double has no more than 53 bits. */
static const uint64_t FIRST_INEXACT = 1000000000000000;

status json_put_uint64(cJSON *object, const char *key, uint64_t value)
{
    status st = OK;
    char digits[DIGITS_BYTES], text_key[KEY_BYTES];
    if (value < FIRST_INEXACT) return json_put_number(object, key, (double)value);
    snprintf(digits, sizeof digits, "%" PRIu64, value);
    TRY(text_format(text_key, sizeof text_key, "%s_text", key));
    TRY(json_put(object, key, cJSON_CreateRaw(digits)));
    TRY(json_put_text(object, text_key, digits));
out:
    return st;
}

bool json_is_uint64(const cJSON *object, const char *key, uint64_t value)
{
    char digits[DIGITS_BYTES], text_key[KEY_BYTES];
    if (value < FIRST_INEXACT) return json_number(object, key, NAN) == (double)value;
    snprintf(digits, sizeof digits, "%" PRIu64, value);
    snprintf(text_key, sizeof text_key, "%s_text", key);
    return strcmp(json_text(object, text_key), digits) == 0;
}

status json_put_bool(cJSON *object, const char *key, bool value)
{
    return json_put(object, key, cJSON_CreateBool(value));
}

cJSON *json_numbers(const double *value, size_t n)
{
    cJSON *list = cJSON_CreateArray();
    for (size_t i = 0; list && i < n; i++)
        if (json_append(list, number_or_null(value[i])) != OK) {
            cJSON_Delete(list);
            list = NULL;
        }
    return list;
}

status json_put_numbers(cJSON *object, const char *key, const double *value, size_t n)
{
    return json_put(object, key, json_numbers(value, n));
}

status json_put_object(cJSON *object, const char *key, cJSON **out)
{
    *out = cJSON_CreateObject();
    return json_put(object, key, *out);
}

status json_put_list(cJSON *object, const char *key, cJSON **out)
{
    *out = cJSON_CreateArray();
    return json_put(object, key, *out);
}

status json_append_object(cJSON *array, cJSON **out)
{
    *out = cJSON_CreateObject();
    return json_append(array, *out);
}
