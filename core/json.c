/* core/json.c -- JSON files for people and tools. */
#include "file.h"
#include "rundir.h"

#include <cjson/cJSON.h>
#include <string.h>

status json_write(const char *path, const cJSON *json)
{
    status st = OK;
    file_writer w = { 0 };
    char *text = NULL;
    TRY_ALLOC(text, cJSON_Print(json));
    TRY(file_begin(&w, path));
    TRY(file_put(&w, text, strlen(text)));
    TRY(file_put(&w, "\n", 1));
    TRY(file_commit(&w));
out:
    if (st != OK) file_abandon(&w);
    cJSON_free(text);
    return st;
}
