/* tools/report/parts.h -- putting JSON together: each function takes the item over, or fails and deletes it. */
#ifndef CLEAVE_REPORT_PARTS_H
#define CLEAVE_REPORT_PARTS_H

#include "../../core/base/status.h"
#include <cjson/cJSON.h>
#include <math.h>

static inline status put(cJSON *object, const char *key, cJSON *item)
{
    if (item && cJSON_AddItemToObject(object, key, item)) return OK;
    cJSON_Delete(item);
    return status_set(ERR_RUNTIME, __FILE__, __LINE__, "out of memory");
}

static inline status append(cJSON *array, cJSON *item)
{
    if (item && cJSON_AddItemToArray(array, item)) return OK;
    cJSON_Delete(item);
    return status_set(ERR_RUNTIME, __FILE__, __LINE__, "out of memory");
}

static inline status put_text(cJSON *object, const char *key, const char *text)
{
    return put(object, key, text ? cJSON_CreateString(text) : cJSON_CreateNull());
}

/* NaN and Inf are null. */
static inline status put_number(cJSON *object, const char *key, double value)
{
    return put(object, key, isfinite(value) ? cJSON_CreateNumber(value) : cJSON_CreateNull());
}

static inline status put_bool(cJSON *object, const char *key, int value)
{
    return put(object, key, cJSON_CreateBool(value));
}

#endif
