/* core/config/config.c -- a configuration is built from defaults, then files, then key=value, each over the ones
 * before; then it is asked for its YAML, its hash, or one key. */
#include "config.h"

#include "keys.h"

#include "../base/file.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---- building ---- */

static const cyaml_config_t cyaml = { .mem_fn = cyaml_mem, .log_level = CYAML_LOG_ERROR };

static status values_to_config(const config_value *values, config **out)
{
    status st = OK;
    char *text = NULL;
    TRY(config_write(values, false, NULL, &text));
    const cyaml_err_t e = cyaml_load_data((const uint8_t *)text, strlen(text), &cyaml, config_schema(),
                                          (cyaml_data_t **)out, NULL);
    if (e == CYAML_ERR_OOM) FAIL_OUT_OF_MEMORY();
    if (e != CYAML_OK) FAIL(ERR_USAGE, "config: libcyaml: %s", cyaml_strerror(e));
out:
    free(text);
    return st;
}

status config_build(const config_source *sources, int n_sources, char *const *overrides, int n_overrides,
                    config **out)
{
    status st = OK;
    config_value *values;
    TRY_ALLOC(values, config_values_new());
    for (int i = 0; i < config_n_keys; i++) TRY(config_read_preset(i, values));
    for (int i = 0; i < n_sources; i++) TRY(config_read(sources[i].label, sources[i].yaml, values));
    for (int i = 0; i < n_overrides; i++) TRY(config_read_override(overrides[i], values));
    TRY(values_to_config(values, out));
out:
    config_values_free(values);
    return st;
}

status config_parse(const char *label, const char *yaml, char *const *overrides, int n_overrides,
                    config **out)
{
    config_source source = { label, yaml };
    return config_build(&source, 1, overrides, n_overrides, out);
}

status config_load(const char *path, char *const *overrides, int n_overrides, config **out)
{
    status st = OK;
    char *text = NULL;
    size_t bytes = 0;
    if (path) st = file_read_within(path, CONFIG_FILE_BYTES, FILE_OR_STREAM, &text, &bytes);
    if (st == ERR_DATA) st = ERR_USAGE; /* the message is right, but a config is not data */
    TRY(st);
    if (text && strlen(text) != bytes)
        FAIL(ERR_USAGE, "%s: not YAML: a NUL byte at byte %zu", path, strlen(text));
    config_source source = { path, text };
    TRY(config_build(&source, path ? 1 : 0, overrides, n_overrides, out));
out:
    free(text);
    return st;
}

void config_free(config *cfg)
{
    cyaml_free(&cyaml, config_schema(), cfg, 0); /* fails only without a cyaml_config_t */
}

/* ---- asking ---- */

status config_yaml(const config *cfg, char **out)
{
    status st = OK;
    config_value *values = NULL;
    TRY(config_to_values(cfg, &values));
    TRY(config_write(values, true, NULL, out));
out:
    config_values_free(values);
    return st;
}

/* data.max_pixels only decides whether there is a training. */
bool config_decides_weights(const char *name)
{
    if (strcmp(name, "data.max_pixels") == 0) return false;
    return strncmp(name, "net.", 4) == 0 || strncmp(name, "data.", 5) == 0 ||
           strncmp(name, "train.", 6) == 0 || strcmp(name, "precision") == 0;
}

static bool is_hashed(int key, const config_value *values, const config_value *presets)
{
    const char *name = config_keys[key].field.key;
    if (!config_decides_weights(name)) return false;
    bool changed = !config_key_is_younger(name) || values[key].n != presets[key].n;
    for (unsigned i = 0; !changed && i < values[key].n; i++)
        changed = strcmp(values[key].item[i], presets[key].item[i]) != 0;
    return changed;
}

status config_hash(const config *cfg, char out[9])
{
    status st = OK;
    char *text = NULL;
    config_value *values = NULL, *presets;
    bool *wanted = NULL;
    TRY_ALLOC(presets, config_values_new());
    TRY_ALLOC(wanted, calloc((size_t)config_n_keys, sizeof *wanted));
    TRY(config_to_values(cfg, &values));
    for (int i = 0; i < config_n_keys; i++) {
        TRY(config_read_preset(i, presets));
        wanted[i] = is_hashed(i, values, presets);
    }
    TRY(config_write(values, false, wanted, &text));
    const uint64_t h = file_hash(text, strlen(text));
    snprintf(out, 9, "%08" PRIx32, (uint32_t)(h ^ h >> 32));
out:
    free(text);
    free(wanted);
    config_values_free(values);
    config_values_free(presets);
    return st;
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
    config_value *values = NULL;
    char *text = NULL, suggestion[512];
    size_t bytes = 0;
    FILE *f = NULL;
    const int key = config_key_find(name);
    if (key < 0) {
        config_key_suggest(name, suggestion, sizeof suggestion);
        FAIL(ERR_USAGE, "unknown key %.80s; %s", name, suggestion);
    }
    TRY(config_to_values(cfg, &values));
    TRY_ALLOC(f, open_memstream(&text, &bytes));
    join(&values[key], config_key_is_list(&config_keys[key]), f);
    if (fclose(f) != 0) FAIL(ERR_RUNTIME, "out of memory");
    *out = text;
    text = NULL;
out:
    free(text);
    config_values_free(values);
    return st;
}

/* ---- sizes ---- */

status config_bytes(const char *text, int64_t *out)
{
    status st = OK;
    char *end = NULL;
    errno = 0;
    const long long n = *text >= '0' && *text <= '9' ? strtoll(text, &end, 10) : 0;
    static const char suffix[] = "KMGT";
    int power = 0;
    if (end && *end) {
        const char *s = strchr(suffix, *end);
        if (!s || end[1]) FAIL(ERR_USAGE, "expected a size such as 512M or 8G, got \"%.60s\"", text);
        power = 10 * (int)(s - suffix + 1);
    }
    if (n <= 0 || errno || n > INT64_MAX >> power)
        FAIL(ERR_USAGE, "expected a size such as 512M or 8G, got \"%.60s\"", text);
    *out = (int64_t)n << power;
out:
    return st;
}
