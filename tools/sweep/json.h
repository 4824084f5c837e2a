/* tools/sweep/json.h -- reading and making JSON with one check at the end. */
#ifndef CLEAVE_SWEEP_JSON_H
#define CLEAVE_SWEEP_JSON_H

#include "../../core/status.h"
#include <cjson/cJSON.h>
#include <stdbool.h>

/* The object in a file. ERR_DATA if there is none. The caller deletes. */
status json_read(const char *path, cJSON **out);
/* The same, but a file that is missing or no JSON (half a file of a crash) gives NULL. */
cJSON *json_read_if_any(const char *path);

const char *json_text(const cJSON *, const char *key);                /* "" if absent */
double json_number(const cJSON *, const char *key, double if_absent); /* also for null */

/* cJSON's add functions answer NULL when memory is out: collect them with &=, and check once. NaN becomes
 * null. */
bool json_add_number(cJSON *, const char *key, double value);
bool json_add_text(cJSON *, const char *key, const char *value);

#endif
