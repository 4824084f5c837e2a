/* core/config/config_get.c -- one key by its name, for programs that treat keys as data: sweeps, tables. */
#include "config_keys.h"

#include <stdlib.h>
#include <string.h>

bool config_has_key(const char *name, bool *is_list)
{
    int key = config_key_find(name);
    if (key >= 0 && is_list) *is_list = config_key_is_list(&config_keys[key]);
    return key >= 0;
}

const char *config_choice(const char *key, int value)
{
    const int k = config_key_find(key);
    if (k < 0 || config_keys[k].field.value.type != CYAML_ENUM) return "";
    const cyaml_schema_value_t *type = &config_keys[k].field.value;
    for (uint32_t i = 0; i < type->enumeration.count; i++)
        if (type->enumeration.strings[i].val == value) return type->enumeration.strings[i].str;
    return "";
}

static void join(const config_value *v, bool list, FILE *f)
{
    if (list) fputc('[', f);
    for (unsigned i = 0; i < v->n; i++) fprintf(f, "%s%s", i ? ", " : "", v->item[i]);
    if (list) fputc(']', f);
}

status config_get(const config *cfg, const char *name, char **out)
{
    status st = OK;
    config_values values = { 0 };
    char *text = NULL, suggestion[512];
    size_t bytes = 0;
    FILE *f = NULL;
    int key = config_key_find(name);
    if (key < 0) {
        config_key_suggest(name, suggestion, sizeof suggestion);
        FAIL(ERR_USAGE, "unknown key %.80s; %s", name, suggestion);
    }
    TRY(config_to_values(cfg, &values));
    TRY_ALLOC(f, open_memstream(&text, &bytes));
    join(&values.key[key], config_key_is_list(&config_keys[key]), f);
    if (fclose(f) != 0) FAIL(ERR_RUNTIME, "out of memory");
    *out = text;
    text = NULL;
out:
    free(text);
    config_values_free(&values);
    return st;
}
