/* core/base/json.h -- JSON files for people and programs, by cJSON. NaN and infinity, which JSON does not have,
 * are written as null. */
#ifndef CLEAVE_JSON_H
#define CLEAVE_JSON_H

#include "status.h"

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>

/* ---- files ---- */

/* The object in a file. ERR_DATA: no such file, or no JSON object in it. The caller deletes. */
status json_read(const char *path, cJSON **out);
/* The same, but NULL where the file is missing or holds no object (a crash may have left half of one). */
cJSON *json_read_if_any(const char *path);
/* The object in the last whole line of a file of lines; NULL if there is none. The caller deletes. */
cJSON *json_read_last_line(const char *path);
/* Replaces the file by the text of `json` and a newline, whole or not at all (core/base/file.h). */
status json_write(const char *path, const cJSON *json);

/* ---- reading members ---- */

const char *json_text(const cJSON *object, const char *key);                 /* "" if there is no such text */
double json_number(const cJSON *object, const char *key, double if_absent); /* null is absent, too */

/* ---- making: each function takes the item over, or fails (ERR_RUNTIME: out of memory) and deletes it ---- */

status json_put(cJSON *object, const char *key, cJSON *item);
status json_append(cJSON *array, cJSON *item);
status json_put_text(cJSON *object, const char *key, const char *text); /* NULL: null */
status json_put_number(cJSON *object, const char *key, double value);
status json_put_bool(cJSON *object, const char *key, bool value);
status json_put_numbers(cJSON *object, const char *key, const double *value, size_t n); /* a list */
cJSON *json_numbers(const double *value, size_t n); /* the list alone; NULL: out of memory */
/* A new, empty object or list as a member of `object`, which owns it. */
status json_put_object(cJSON *object, const char *key, cJSON **out);
status json_put_list(cJSON *object, const char *key, cJSON **out);
status json_append_object(cJSON *array, cJSON **out); /* the same at the end of `array` */

#endif
