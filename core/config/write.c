/* core/config/write.c -- config -> values -> YAML. libcyaml can write, too, but it prints floats by "%g", which
 * loses digits. */
#include "keys.h"

#include <stdlib.h>
#include <string.h>
#include <yaml.h>

/* ---- config -> values ---- */

config_value *config_values_new(void)
{
    return calloc((size_t)config_n_keys, sizeof(config_value));
}

void config_values_free(config_value *values)
{
    for (int i = 0; values && i < config_n_keys; i++) {
        for (unsigned k = 0; k < values[i].n; k++) free(values[i].item[k]);
        free(values[i].item);
    }
    free(values);
}

/* The number, choice or text at `p` as text, in standard spelling. */
static status item_text(const config_key *key, const void *p, char **out)
{
    status st = OK;
    const cyaml_schema_value_t *type = config_key_scalar(key);
    char text[64];
    const char *s = text;
    int64_t whole = 0;
    if (type->data_size == 4) whole = *(const int32_t *)p;
    if (type->data_size == 8) whole = *(const int64_t *)p;
    switch (type->type) {
    case CYAML_INT: snprintf(text, sizeof text, "%lld", (long long)whole); break;
    case CYAML_UINT: snprintf(text, sizeof text, "%llu", (unsigned long long)whole); break;
    case CYAML_FLOAT:
        if (type->data_size == sizeof(float))
            snprintf(text, sizeof text, "%.9g", *(const float *)p);
        else
            snprintf(text, sizeof text, "%.17g", *(const double *)p);
        break;
    case CYAML_BOOL: s = *(const bool *)p ? "true" : "false"; break;
    case CYAML_ENUM: s = config_key_choice(key, whole); break;
    default: s = *(char *const *)p ? *(char *const *)p : ""; break;
    }
    *out = config_check(key, s);
    if (!*out && errno == ENOMEM) FAIL_OUT_OF_MEMORY();
    if (!*out) FAIL(ERR_RUNTIME, "%s: the value \"%s\" is out of range", key->field.key, s);
out:
    return st;
}

static status key_to_value(const config *cfg, const config_key *key, config_value *out)
{
    status st = OK;
    const char *p = (const char *)cfg + key->field.data_offset;
    const cyaml_schema_value_t *type = &key->field.value;
    unsigned n = 1;
    if (type->type == CYAML_SEQUENCE_FIXED) n = type->sequence.max;
    if (type->type == CYAML_SEQUENCE) {
        n = *(const unsigned *)((const char *)cfg + key->field.count_offset);
        p = *(char *const *)p;
    }
    TRY_ALLOC(out->item, calloc(n + 1, sizeof *out->item));
    size_t step =
        config_key_scalar(key)->type == CYAML_STRING ? sizeof(char *) : config_key_scalar(key)->data_size;
    for (; out->n < n; out->n++) TRY(item_text(key, p + out->n * step, &out->item[out->n]));
out:
    return st;
}

status config_to_values(const config *cfg, config_value **out)
{
    status st = OK;
    config_value *values;
    TRY_ALLOC(values, config_values_new());
    for (int i = 0; i < config_n_keys; i++) TRY(key_to_value(cfg, &config_keys[i], &values[i]));
    *out = values;
    values = NULL;
out:
    config_values_free(values);
    return st;
}

/* ---- values -> YAML ---- */

/* `initialised` is what yaml_*_event_initialize returned: 1 for success. The emitter takes the event over. */
static status emit(yaml_emitter_t *e, int initialised, yaml_event_t *event)
{
    status st = OK;
    if (!initialised || !yaml_emitter_emit(e, event))
        FAIL(ERR_RUNTIME, "cannot write YAML: %s", e->problem ? e->problem : "not UTF-8, or out of memory");
out:
    return st;
}

/* A text that would be read as no value gets quotes. */
static status emit_scalar(yaml_emitter_t *e, const char *text)
{
    yaml_event_t event;
    const yaml_scalar_style_t style =
        config_is_null(text) ? YAML_DOUBLE_QUOTED_SCALAR_STYLE : YAML_ANY_SCALAR_STYLE;
    int ok = yaml_scalar_event_initialize(&event, NULL, NULL, (const yaml_char_t *)text, (int)strlen(text), 1,
                                          1, style);
    return emit(e, ok, &event);
}

static status emit_mapping_start(yaml_emitter_t *e)
{
    yaml_event_t event;
    return emit(e, yaml_mapping_start_event_initialize(&event, NULL, NULL, 1, YAML_BLOCK_MAPPING_STYLE),
                &event);
}

static status emit_mapping_end(yaml_emitter_t *e)
{
    yaml_event_t event;
    return emit(e, yaml_mapping_end_event_initialize(&event), &event);
}

static status emit_value(yaml_emitter_t *e, const config_key *key, const config_value *v)
{
    status st = OK;
    yaml_event_t event;
    bool list = config_key_is_list(key);
    if (list)
        TRY(emit(e, yaml_sequence_start_event_initialize(&event, NULL, NULL, 1, YAML_FLOW_SEQUENCE_STYLE),
                 &event));
    for (unsigned i = 0; i < v->n; i++) TRY(emit_scalar(e, v->item[i]));
    if (list) TRY(emit(e, yaml_sequence_end_event_initialize(&event), &event));
out:
    return st;
}

/* The keys of a section are neighbours in the table, so a section begins where its name changes. */
static status emit_keys(yaml_emitter_t *e, const config_value *values, bool nested, const bool *wanted)
{
    status st = OK;
    const char *open = ""; /* a key of the open section */
    for (int i = 0; i < config_n_keys; i++) {
        const char *name = config_keys[i].field.key;
        if (wanted && !wanted[i]) continue;
        size_t section = nested ? config_section_length(name) : 0;
        if (section != config_section_length(open) || strncmp(name, open, section) != 0) {
            if (*open) TRY(emit_mapping_end(e));
            open = "";
        }
        if (section && !*open) {
            char title[64];
            snprintf(title, sizeof title, "%.*s", (int)section, name);
            TRY(emit_scalar(e, title));
            TRY(emit_mapping_start(e));
            open = name;
        }
        TRY(emit_scalar(e, section ? name + section + 1 : name));
        TRY(emit_value(e, &config_keys[i], &values[i]));
    }
    if (*open) TRY(emit_mapping_end(e));
out:
    return st;
}

static status emit_document(yaml_emitter_t *e, const config_value *values, bool nested, const bool *wanted)
{
    status st = OK;
    yaml_event_t event;
    TRY(emit(e, yaml_stream_start_event_initialize(&event, YAML_UTF8_ENCODING), &event));
    TRY(emit(e, yaml_document_start_event_initialize(&event, NULL, NULL, NULL, 1), &event));
    TRY(emit_mapping_start(e));
    TRY(emit_keys(e, values, nested, wanted));
    TRY(emit_mapping_end(e));
    TRY(emit(e, yaml_document_end_event_initialize(&event, 1), &event));
    TRY(emit(e, yaml_stream_end_event_initialize(&event), &event));
out:
    return st;
}

status config_write(const config_value *values, bool nested, const bool *wanted, char **out)
{
    status st = OK;
    char *text = NULL;
    size_t bytes = 0;
    yaml_emitter_t emitter;
    bool ready = false;
    FILE *f = open_memstream(&text, &bytes);
    if (!f || !yaml_emitter_initialize(&emitter)) FAIL(ERR_RUNTIME, "out of memory");
    ready = true;
    yaml_emitter_set_output_file(&emitter, f);
    yaml_emitter_set_width(&emitter, -1); /* no line breaks within a value */
    TRY(emit_document(&emitter, values, nested, wanted));
out:
    if (ready) yaml_emitter_delete(&emitter);
    if (f && fclose(f) != 0 && st == OK) st = status_set(ERR_RUNTIME, __FILE__, __LINE__, "out of memory");
    if (st == OK)
        *out = text;
    else
        free(text);
    return st;
}
