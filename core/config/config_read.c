/* core/config/config_read.c -- YAML text -> checked values, with messages that name the line. */
#include "config_keys.h"

#include <stdlib.h>
#include <string.h>
#include <yaml.h>

/* A config is a page of text. libyaml's time grows with the square of the nesting, so a hostile one must
 * not be long. */
enum { CONFIG_MAX_BYTES = 64 << 10, NAME_BYTES = 128 };

typedef struct reader {
    const char *label; /* path, or "override train.epochs=3" */
    bool is_file;      /* lines are worth naming */
    yaml_document_t document;
    config_values *values;
    size_t line[CONFIG_KEYS]; /* where this text has set a key; 0 = it has not */
} reader;

/* "a.yaml:12: train.epochs", or just the override, which shows the key. */
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

/* Nothing at all, as in "milestones:" or "net.remove=". */
static bool is_blank(const yaml_node_t *node)
{
    return !node || (node->type == YAML_SCALAR_NODE && node->data.scalar.length == 0 &&
                     node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE);
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

/* One scalar, or an entry of a list, into *out. */
static status read_item(const reader *r, const yaml_node_t *node, const config_key *key, char **out)
{
    status st = OK;
    bool text = node->type == YAML_SCALAR_NODE && strlen(scalar_text(node)) == node->data.scalar.length;
    if (!text || !(*out = config_check(key, scalar_text(node)))) TRY(wrong_value(r, node, key));
out:
    return st;
}

/* A list may also be given as its only entry ("net.remove=layer3.2") or as nothing. */
static status read_value(reader *r, yaml_node_t *node, const config_key *key, config_value *out)
{
    status st = OK;
    config_value v = { 0 };
    bool list = config_key_is_list(key), sequence = node->type == YAML_SEQUENCE_NODE;
    if (sequence && !list) TRY(wrong_value(r, node, key));

    yaml_node_item_t *entry = sequence ? node->data.sequence.items.start : NULL;
    size_t n = sequence ? (size_t)(node->data.sequence.items.top - entry) : list && is_blank(node) ? 0 : 1;
    if (key->field.value.type == CYAML_SEQUENCE_FIXED && n != key->field.value.sequence.max)
        TRY(wrong_value(r, node, key));
    TRY_ALLOC(v.item, calloc(n + 1, sizeof *v.item));
    for (; v.n < n; v.n++) {
        yaml_node_t *item = sequence ? yaml_document_get_node(&r->document, entry[v.n]) : node;
        TRY(read_item(r, item, key, &v.item[v.n]));
    }
    config_value old = *out;
    *out = v;
    v = old; /* freed below, whichever it is */
out:
    for (unsigned i = 0; i < v.n; i++) free(v.item[i]);
    free(v.item);
    return st;
}

static status read_named(reader *r, const char *name, yaml_node_t *at, yaml_node_t *node);

/* A mapping: the file, a section ("train: {epochs: 3}"), prefix "" or "train.". */
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

/* The value of a key or section; `at` is the node that messages point to. */
static status read_named(reader *r, const char *name, yaml_node_t *at, yaml_node_t *node)
{
    status st = OK;
    char where[512], suggestion[512], prefix[NAME_BYTES + 1];
    int key = config_key_find(name);
    if (key >= 0) {
        place(r, at, name, where, sizeof where);
        if (r->line[key]) FAIL(ERR_USAGE, "%s: given twice, first in line %zu", where, r->line[key]);
        r->line[key] = at->start_mark.line + 1;
        TRY(read_value(r, node, &config_keys[key], &r->values->key[key]));
    } else if (config_is_section(name)) {
        place(r, at, name, where, sizeof where);
        snprintf(prefix, sizeof prefix, "%s.", name);
        if (node->type == YAML_MAPPING_NODE)
            TRY(read_mapping(r, prefix, node));
        else if (!is_blank(node))
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
    const char *problem = p->problem                      ? p->problem
                          : p->error == YAML_MEMORY_ERROR ? "out of memory"
                                                          : "cannot be read";
    size_t line = p->problem_mark.line + 1;
    if (p->error == YAML_READER_ERROR) /* these come without a line */
        return status_set(ERR_USAGE, __FILE__, __LINE__, "%s: not YAML: %s at byte %zu", r->label, problem,
                          p->problem_offset);
    if (!r->is_file) return status_set(ERR_USAGE, __FILE__, __LINE__, "%s: not YAML: %s", r->label, problem);
    return status_set(ERR_USAGE, __FILE__, __LINE__, "%s:%zu: not YAML: %s", r->label, line, problem);
}

/* Parses the text and hands its root to read_mapping, or, for one key, to read_named. */
static status read_text(reader *r, const char *text, const char *key)
{
    status st = OK;
    yaml_parser_t parser;
    bool loaded = false;
    size_t bytes = strlen(text);
    if (!yaml_parser_initialize(&parser)) return status_set(ERR_RUNTIME, __FILE__, __LINE__, "out of memory");
    if (bytes > CONFIG_MAX_BYTES)
        FAIL(ERR_USAGE, "%.60s: %zu bytes: a config has at most %d", r->label, bytes, CONFIG_MAX_BYTES);
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
    else if (!is_blank(root))
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
    return st;
}

status config_read(const char *label, bool is_file, const char *yaml, config_values *values)
{
    reader r = { .label = label, .is_file = is_file, .values = values };
    return read_text(&r, yaml, NULL);
}

status config_read_override(const char *override, config_values *values)
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

status config_read_preset(int key, config_values *values)
{
    char label[128];
    reader r = { .label = label, .values = values };
    snprintf(label, sizeof label, "default of %s", config_keys[key].field.key);
    return read_text(&r, config_keys[key].preset, config_keys[key].field.key);
}
