/* tools/sweep/json.c -- see json.h. */
#include "json.h"

#include "../../core/file.h"

#include <math.h>
#include <stdlib.h>

status json_read(const char *path, cJSON **out)
{
    status st = OK;
    char *text = NULL;
    size_t bytes;
    TRY(file_read(path, &text, &bytes));
    *out = cJSON_ParseWithLength(text, bytes);
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

bool json_add_number(cJSON *object, const char *key, double value)
{
    if (!isfinite(value)) return cJSON_AddNullToObject(object, key);
    return cJSON_AddNumberToObject(object, key, value);
}

bool json_add_text(cJSON *object, const char *key, const char *value)
{
    return cJSON_AddStringToObject(object, key, value);
}
