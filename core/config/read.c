/* core/config/read.c -- YAML text -> checked values, with messages that name the line. */
#include "depth.h"
#include "keys.h"

#include "../base/path.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

/* ---- one value: does a text fit a key? If so, its standard spelling: libcyaml reads it, config.yaml shows it, and
 * the hash is taken of it. ---- */

static bool in_range(const config_range *r, double v)
{
    return (r->above_min ? v > r->min : v >= r->min) && (r->below_max ? v < r->max : v <= r->max);
}

/* Decimal digits, with a sign or not. strtoll alone would also take " 1", "1x" and octal numbers. */
static bool is_whole(const char *s)
{
    if (*s == '-' || *s == '+') s++;
    return *s && s[strspn(s, "0123456789")] == '\0';
}

static bool is_decimal(const char *s)
{
    return *s && s[strspn(s, "0123456789+-.eE")] == '\0'; /* no hexadecimal, no inf, no nan */
}

/* strtoll reports values beyond 64 bits by errno; the range is compared as double, which is exact for the bounds
 * in the table. */
static char *check_int(const config_key *key, size_t bytes, const char *text)
{
    if (!is_whole(text)) return NULL;
    errno = 0;
    long long v = strtoll(text, NULL, 10);
    if (errno || (bytes == 4 && v != (int32_t)v) || !in_range(&key->range, (double)v)) return NULL;
    char *out = NULL;
    return asprintf(&out, "%lld", v) < 0 ? NULL : out;
}

static char *check_uint(const config_key *key, size_t bytes, const char *text)
{
    if (!is_whole(text) || *text == '-') return NULL;
    errno = 0;
    unsigned long long v = strtoull(text, NULL, 10);
    if (errno || (bytes == 4 && v != (uint32_t)v) || !in_range(&key->range, (double)v)) return NULL;
    char *out = NULL;
    return asprintf(&out, "%llu", v) < 0 ? NULL : out;
}

/* The shortest text that reads back as the same number. */
static char *format_number(double v, size_t bytes)
{
    char text[64] = "";
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, v);
        if (bytes == sizeof(float) ? strtof(text, NULL) == (float)v : strtod(text, NULL) == v) break;
    }
    return strdup(text);
}

/* The number is checked in the type that will hold it: as a float, 0.99999999999 is not below 1 and 1e-60 is not
 * above 0. ERANGE reports overflow and denormals, which libcyaml rejects, too. */
static char *check_number(const config_key *key, size_t bytes, const char *text)
{
    if (!is_decimal(text)) return NULL;
    char *end;
    errno = 0;
    double v = bytes == sizeof(float) ? (double)strtof(text, &end) : strtod(text, &end);
    if (*end || errno || !isfinite(v) || !in_range(&key->range, v)) return NULL;
    return format_number(v == 0 ? 0 : v, bytes); /* no "-0" */
}

static char *check_bool(const char *text)
{
    static const char *const names[][2] = { { "true", "false" }, { "yes", "no" }, { "on", "off" } };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcasecmp(text, names[i][0]) == 0) return strdup("true");
        if (strcasecmp(text, names[i][1]) == 0) return strdup("false");
    }
    return NULL;
}

static char *check_choice(const cyaml_schema_value_t *type, const char *text)
{
    for (uint32_t i = 0; i < type->enumeration.count; i++)
        if (strcmp(text, type->enumeration.strings[i].str) == 0) return strdup(text);
    return NULL;
}

static char *check_text(const config_key *key, const char *text)
{
    file_path path;
    if (!key->is_path || *text != '~') return strdup(text);
    return path_expand_home(text, &path) == OK ? strdup(path.s) : NULL;
}

char *config_check(const config_key *key, const char *text)
{
    const cyaml_schema_value_t *type = config_key_scalar(key);
    char *out = NULL;
    errno = 0;
    switch (type->type) {
    case CYAML_INT: out = check_int(key, type->data_size, text); break;
    case CYAML_UINT: out = check_uint(key, type->data_size, text); break;
    case CYAML_FLOAT: out = check_number(key, type->data_size, text); break;
    case CYAML_BOOL: out = check_bool(text); break;
    case CYAML_ENUM: out = check_choice(type, text); break;
    case CYAML_STRING: out = check_text(key, text); break;
    default: break; /* no key has another type */
    }
    if (out && key->accepts && !key->accepts(out)) {
        free(out);
        out = NULL;
    }
    return out;
}

/* ---- YAML ---- */

/* A config is a page of text. */
enum { CONFIG_MAX_BYTES = 64 << 10, NAME_BYTES = 128 };

typedef struct reader {
    const char *label; /* path, or "override train.epochs=3" */
    bool is_file;      /* messages name the line */
    yaml_document_t document;
    config_value *values;
    size_t *line; /* of each key: the line in this text that sets it; 0 = none so far */
} reader;

/* Where a message points to: "a.yaml:12: train.epochs", or the override, which shows the key itself. */
static void place(const reader *r, const yaml_node_t *node, const char *name, char *out, size_t bytes)
{
    if (r->is_file)
        snprintf(out, bytes, "%s:%zu: %s", r->label, node->start_mark.line + 1, name);
    else
        snprintf(out, bytes, "%s", r->label);
}

static const char *scalar_text(const yaml_node_t *node)
{
    return (const char *)node->data.scalar.value;
}

/* No value, as in "milestones:" or "net.remove=". */
static bool is_blank(const yaml_node_t *node)
{
    return !node || (node->type == YAML_SCALAR_NODE && node->data.scalar.length == 0 &&
                     node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE);
}

/* "~", null: no value either, but said outright. */
static bool is_null(const yaml_node_t *node)
{
    return node->type == YAML_SCALAR_NODE && node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
           config_is_null(scalar_text(node));
}

static status wrong_value(const reader *r, const yaml_node_t *node, const config_key *key)
{
    char where[512], expects[256], got[96];
    place(r, node, key->field.key, where, sizeof where);
    config_key_expects(key, expects, sizeof expects);
    if (node->type == YAML_SCALAR_NODE) {
        const char *text = scalar_text(node);
        bool large = config_key_scalar(key)->type == CYAML_INT &&
                     strspn(text, "0123456789") >= sizeof "2147483647" - 1;
        snprintf(got, sizeof got, "\"%.60s\"%s", text, large ? " (too large)" : "");
    } else if (node->type == YAML_MAPPING_NODE)
        snprintf(got, sizeof got, "a mapping");
    else {
        long n = node->data.sequence.items.top - node->data.sequence.items.start;
        snprintf(got, sizeof got, "a list of %ld", n);
    }
    return status_set(ERR_USAGE, __FILE__, __LINE__, "%s: expected %s, got %s", where, expects, got);
}

/* A scalar, or one entry of a list. */
static status read_item(const reader *r, const yaml_node_t *node, const config_key *key, char **out)
{
    status st = OK;
    bool text = node->type == YAML_SCALAR_NODE && strlen(scalar_text(node)) == node->data.scalar.length;
    if (text) *out = config_check(key, scalar_text(node));
    if (text && !*out && errno == ENOMEM) FAIL_OUT_OF_MEMORY();
    if (!text || !*out) TRY(wrong_value(r, node, key));
out:
    return st;
}

/* One number of a list of fixed length stands for all of them. */
static status repeat_item(const config_key *key, config_value *v)
{
    status st = OK;
    const unsigned n = key->field.value.sequence.max;
    TRY_ALLOC(v->item, realloc(v->item, (n + 1) * sizeof *v->item));
    for (; v->n < n; v->n++) TRY_ALLOC(v->item[v->n], strdup(v->item[0]));
out:
    return st;
}

/* A list with one entry may be given without brackets ("net.remove=layer3.2"), an empty list as no value. */
static status read_value(reader *r, yaml_node_t *node, const config_key *key, config_value *out)
{
    status st = OK;
    config_value v = { 0 };
    bool list = config_key_is_list(key), sequence = node->type == YAML_SEQUENCE_NODE;
    if (sequence && !list) TRY(wrong_value(r, node, key));

    yaml_node_item_t *entry = sequence ? node->data.sequence.items.start : NULL;
    size_t n = sequence ? (size_t)(node->data.sequence.items.top - entry) : list && is_blank(node) ? 0 : 1;
    const bool fixed = key->field.value.type == CYAML_SEQUENCE_FIXED;
    if (fixed && n != 1 && n != key->field.value.sequence.max) TRY(wrong_value(r, node, key));
    TRY_ALLOC(v.item, calloc(n + 1, sizeof *v.item));
    for (; v.n < n; v.n++) {
        yaml_node_t *item = sequence ? yaml_document_get_node(&r->document, entry[v.n]) : node;
        TRY(read_item(r, item, key, &v.item[v.n]));
    }
    if (fixed) TRY(repeat_item(key, &v));
    config_value old = *out;
    *out = v;
    v = old; /* what is not kept is freed below: the old value, or after a failure the new one */
out:
    for (unsigned i = 0; i < v.n; i++) free(v.item[i]);
    free(v.item);
    return st;
}

static status read_named(reader *r, const char *name, yaml_node_t *at, yaml_node_t *node);

/* A mapping: the whole text (prefix "") or a section such as "train: {epochs: 3}" (prefix "train."). */
static status read_mapping(reader *r, const char *prefix, yaml_node_t *mapping)
{
    status st = OK;
    yaml_node_pair_t *pairs = mapping->data.mapping.pairs.start;
    size_t n = (size_t)(mapping->data.mapping.pairs.top - pairs);
    for (size_t i = 0; i < n; i++) {
        yaml_node_t *k = yaml_document_get_node(&r->document, pairs[i].key);
        char name[NAME_BYTES], where[512];
        place(r, k, *prefix ? prefix : "config", where, sizeof where);
        if (k->type != YAML_SCALAR_NODE) FAIL(ERR_USAGE, "%s: expected a key such as train.epochs", where);
        snprintf(name, sizeof name, "%s%.60s", prefix, scalar_text(k));
        for (size_t j = 0; j < i; j++) {
            yaml_node_t *other = yaml_document_get_node(&r->document, pairs[j].key);
            if (strcmp(scalar_text(other), scalar_text(k)) != 0) continue;
            place(r, k, name, where, sizeof where);
            FAIL(ERR_USAGE, "%s: given twice, first in line %zu", where, other->start_mark.line + 1);
        }
        TRY(read_named(r, name, k, yaml_document_get_node(&r->document, pairs[i].value)));
    }
out:
    return st;
}

/* `node` is the value of the key or section `name`; `at` is the node whose line messages name. */
static status read_named(reader *r, const char *name, yaml_node_t *at, yaml_node_t *node)
{
    status st = OK;
    char where[512], suggestion[512], prefix[NAME_BYTES + 1];
    int key = config_key_find(name);
    if (key >= 0) {
        place(r, at, name, where, sizeof where);
        if (r->line[key]) FAIL(ERR_USAGE, "%s: given twice, first in line %zu", where, r->line[key]);
        r->line[key] = at->start_mark.line + 1;
        if (is_null(node))
            TRY(config_read_preset(key, r->values));
        else
            TRY(read_value(r, node, &config_keys[key], &r->values[key]));
    } else if (config_is_section(name)) {
        place(r, at, name, where, sizeof where);
        snprintf(prefix, sizeof prefix, "%s.", name);
        if (node->type == YAML_MAPPING_NODE)
            TRY(read_mapping(r, prefix, node));
        else if (!is_blank(node) && !is_null(node))
            FAIL(ERR_USAGE, "%s: expected a mapping {key: value, ...}", where);
    } else {
        place(r, at, "", where, sizeof where);
        config_key_suggest(name, suggestion, sizeof suggestion);
        FAIL(ERR_USAGE, "%s%sunknown key %s; %s", where, r->is_file ? "" : ": ", name, suggestion);
    }
out:
    return st;
}

static status syntax_error(const reader *r, const yaml_parser_t *p)
{
    const char *problem = p->problem ? p->problem : "cannot be read";
    size_t line = p->problem_mark.line + 1;
    if (p->error == YAML_MEMORY_ERROR)
        return status_set(status_of_errno(ENOMEM, ERR_RUNTIME), __FILE__, __LINE__, "out of memory");
    if (p->error == YAML_READER_ERROR) /* has an offset, but no line */
        return status_set(ERR_USAGE, __FILE__, __LINE__, "%s: not YAML: %s at byte %zu", r->label, problem,
                          p->problem_offset);
    if (!r->is_file) return status_set(ERR_USAGE, __FILE__, __LINE__, "%s: not YAML: %s", r->label, problem);
    return status_set(ERR_USAGE, __FILE__, __LINE__, "%s:%zu: not YAML: %s", r->label, line, problem);
}

/* Parses the text and reads its root: as a mapping of keys, or as the value of `key` if that is given. */
static status read_text(reader *r, const char *text, const char *key)
{
    status st = OK;
    yaml_parser_t parser;
    bool loaded = false;
    size_t bytes = strlen(text);
    if (!yaml_parser_initialize(&parser)) return status_set(ERR_RUNTIME, __FILE__, __LINE__, "out of memory");
    TRY_ALLOC(r->line, calloc((size_t)config_n_keys, sizeof *r->line));
    if (bytes > CONFIG_MAX_BYTES)
        FAIL(ERR_USAGE, "%.60s: %zu bytes: a config has at most %d", r->label, bytes, CONFIG_MAX_BYTES);
    TRY(yaml_check_depth(r->label, text));
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, bytes);
    if (!yaml_parser_load(&parser, &r->document)) TRY(syntax_error(r, &parser));
    loaded = true;

    yaml_node_t *root = yaml_document_get_root_node(&r->document);
    yaml_node_t blank = { .type = YAML_SCALAR_NODE,
                          .data.scalar = { .value = (yaml_char_t *)"", .style = YAML_PLAIN_SCALAR_STYLE } };
    if (!root) root = &blank;
    if (key)
        TRY(read_named(r, key, root, root));
    else if (root->type == YAML_MAPPING_NODE)
        TRY(read_mapping(r, "", root));
    else if (!is_blank(root) && !is_null(root))
        FAIL(ERR_USAGE, "%s:%zu: expected keys, as in \"train: {epochs: 3}\"", r->label,
             root->start_mark.line + 1);

    yaml_document_delete(&r->document);
    loaded = false;
    if (!yaml_parser_load(&parser, &r->document)) TRY(syntax_error(r, &parser));
    loaded = true;
    root = yaml_document_get_root_node(&r->document);
    if (root) FAIL(ERR_USAGE, "%s: more than one YAML document", r->label);
out:
    if (loaded) yaml_document_delete(&r->document);
    yaml_parser_delete(&parser);
    free(r->line);
    return st;
}

status config_read(const char *label, const char *yaml, config_value *values)
{
    reader r = { .label = label, .is_file = true, .values = values };
    return read_text(&r, yaml, NULL);
}

status config_read_override(const char *override, config_value *values)
{
    status st = OK;
    char label[128], name[NAME_BYTES];
    reader r = { .label = label, .values = values };
    const char *equals = strchr(override, '=');
    snprintf(label, sizeof label, "override %.80s%s", override, strlen(override) > 80 ? "..." : "");
    if (!equals) FAIL(ERR_USAGE, "%s: expected key=value", label);
    snprintf(name, sizeof name, "%.*s",
             (int)(equals - override < NAME_BYTES ? equals - override : NAME_BYTES - 1), override);
    TRY(read_text(&r, equals + 1, name));
out:
    return st;
}

status config_read_preset(int key, config_value *values)
{
    char label[128];
    reader r = { .label = label, .values = values };
    snprintf(label, sizeof label, "default of %s", config_keys[key].field.key);
    return read_text(&r, config_keys[key].preset, config_keys[key].field.key);
}
