/* core/base/json.h -- JSON files, by cJSON. JSON has no NaN and no infinity: both are written as null. */
#ifndef CLEAVE_JSON_H
#define CLEAVE_JSON_H

#include "status.h"

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- files ---- */

/* Any JSON value. *out is NULL if the text is not JSON; *end, if `end` is not NULL, is where it ends, or where it is wrong.
 * ERR_RUNTIME: out of memory, which cJSON itself does not tell from a wrong text. The caller deletes the value. */
status json_parse(const char *text, size_t bytes, const char **end, cJSON **out);
/* The object in a file. ERR_DATA: there is no such file, or it holds no JSON object. ERR_RUNTIME: no memory, or too many
 * open files. The caller deletes the object. */
status json_read(const char *path, cJSON **out);
/* The same, but NULL if the file is missing, holds no object, or cannot be read (status_ran_out). */
cJSON *json_read_if_any(const char *path);
/* The object in the last complete line of a file with one object per line; NULL if there is none. The caller deletes
 * it. */
cJSON *json_read_last_line(const char *path);
/* Replaces a file by the text of `json` and a newline, atomically (core/base/file.h). JSON is UTF-8: stray bytes, for
 * instance of a file's name, become "?". */
status json_write(const char *path, const cJSON *json);

/* ---- reading members ---- */

const char *json_text(const cJSON *object, const char *key);                /* "" if absent or not a text */
double json_number(const cJSON *object, const char *key, double if_absent); /* also if not a number */
/* Does the member hold exactly this number, as json_put_uint64 writes it? */
bool json_is_uint64(const cJSON *object, const char *key, uint64_t value);
/* A whole number from `least` to `most`; if_absent if it is anything else. For what will be an int or a long: converting
 * a double that does not fit is undefined. |least|, |most| <= 2^53. */
int64_t json_whole(const cJSON *object, const char *key, int64_t least, int64_t most, int64_t if_absent);

/* ---- making: json_put and json_append take over the item; if they fail (ERR_RUNTIME: out of memory), they delete
 * it ---- */

status json_put(cJSON *object, const char *key, cJSON *item);
status json_append(cJSON *array, cJSON *item);
/* json_put where the key may exist already: json_text and json_number then read the new item. */
status json_replace(cJSON *object, const char *key, cJSON *item);
status json_put_text(cJSON *object, const char *key, const char *text); /* NULL: null */
status json_put_number(cJSON *object, const char *key, double value);
status json_put_bool(cJSON *object, const char *key, bool value);
/* A number with all its digits in the file. Readers that keep numbers as doubles, such as cJSON, round one of more than
 * 15 digits: then KEY_text is added, which holds the same digits as a text, for json_is_uint64. */
status json_put_uint64(cJSON *object, const char *key, uint64_t value);
status json_put_numbers(cJSON *object, const char *key, const double *value, size_t n); /* a list */
cJSON *json_numbers(const double *value, size_t n); /* the list alone; NULL: out of memory */
/* Adds a new, empty object or list, which `object` owns. */
status json_put_object(cJSON *object, const char *key, cJSON **out);
status json_put_list(cJSON *object, const char *key, cJSON **out);
status json_append_object(cJSON *array, cJSON **out); /* the same at the end of `array` */

#endif
