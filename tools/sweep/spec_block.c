/* tools/sweep/spec_block.c -- the settings in a sweep file: each a key of core/config, which also checks the
 * values. */
#include "../../core/config/config.h"
#include "../../core/base/file.h"
#include "list.h"
#include "spec_reader.h"

#include <stdlib.h>
#include <string.h>

enum { KEY_BYTES = 128 };

bool sweep_is_finetune(const char **key)
{
    size_t n = strlen(FINETUNE);
    bool is = strncmp(*key, FINETUNE, n) == 0;
    if (is) *key += n;
    return is;
}

/* ---- nodes ---- */

size_t node_line(const yaml_node_t *n)
{
    return n->start_mark.line + 1;
}
yaml_node_t *node_at(reader *r, int index)
{
    return yaml_document_get_node(&r->document, index);
}

const char *node_text(const yaml_node_t *n)
{
    return n->type == YAML_SCALAR_NODE ? (const char *)n->data.scalar.value : NULL;
}

unsigned node_entries(const yaml_node_t *n)
{
    return n->type == YAML_SEQUENCE_NODE
               ? (unsigned)(n->data.sequence.items.top - n->data.sequence.items.start)
               : 0;
}

yaml_node_t *node_entry(reader *r, const yaml_node_t *n, unsigned i)
{
    return node_at(r, n->data.sequence.items.start[i]);
}

unsigned node_pairs(const yaml_node_t *n)
{
    return n->type == YAML_MAPPING_NODE ? (unsigned)(n->data.mapping.pairs.top - n->data.mapping.pairs.start)
                                        : 0;
}

/* ---- values: YAML again, for core/config to read ---- */

static status value_text(reader *r, yaml_node_t *value, char **out)
{
    status st = OK;
    size_t bytes;
    FILE *f;
    TRY_ALLOC(f, open_memstream(out, &bytes));
    if (value->type == YAML_SEQUENCE_NODE) fputc('[', f);
    for (unsigned i = 0; i < node_entries(value); i++) {
        const char *item = node_text(node_entry(r, value, i));
        if (i) fputs(", ", f);
        text_put_quoted(f, item ? item : "[]"); /* a list in a list: no key takes that text, but for names */
    }
    if (value->type == YAML_SEQUENCE_NODE) fputc(']', f);
    if (value->type == YAML_SCALAR_NODE) text_put_quoted(f, node_text(value));
    if (fclose(f) != 0) FAIL(ERR_RUNTIME, "out of memory");
out:
    return st;
}

status sweep_value_check(const char *key, const char *text, char **out)
{
    status st = OK;
    config *c = NULL;
    char *setting = NULL;
    sweep_is_finetune(&key);
    TRY(text_make(&setting, "%s=%s", key, text));
    TRY(config_load(NULL, &setting, 1, &c));
    TRY(config_get(c, key, out));
out:
    config_free(c);
    free(setting);
    return st;
}

static status add_value(reader *r, yaml_node_t *value, sweep_axis *axis)
{
    status st = OK;
    char *text = NULL;
    if (value->type == YAML_MAPPING_NODE) FAIL_AT(value, "%s: expected a value, got a mapping", axis->key);
    TRY(value_text(r, value, &text));
    TRY(list_grow(&axis->text, axis->n, sizeof *axis->text));
    st = sweep_value_check(axis->key, text, &axis->text[axis->n]);
    if (st != OK) {
        status_prefix(st, "%s:%zu", r->spec->path, node_line(value));
        goto out;
    }
    for (unsigned i = 0; i < axis->n; i++)
        if (strcmp(axis->text[i], axis->text[axis->n]) == 0) {
            free(axis->text[axis->n]);
            FAIL_AT(value, "%s: the value %s is given twice", axis->key, axis->text[i]);
        }
    axis->n++;
out:
    free(text);
    return st;
}

/* One value, or a list of them. Where the key itself is a list, a list of lists. */
static status read_values(reader *r, yaml_node_t *value, bool several, sweep_axis *axis)
{
    status st = OK;
    bool is_list = false;
    const char *key = axis->key;
    sweep_is_finetune(&key);
    config_has_key(key, &is_list);
    bool list = value->type == YAML_SEQUENCE_NODE;
    if (is_list && list)
        list = node_entries(value) > 0 && node_entry(r, value, 0)->type == YAML_SEQUENCE_NODE;
    if (!list) {
        TRY(add_value(r, value, axis));
        goto out;
    }
    if (!several)
        FAIL_AT(value, "%s: expected one value, got a list; lists belong into grid or cases", axis->key);
    if (node_entries(value) == 0) FAIL_AT(value, "%s: an empty list: no case would be left", axis->key);
    for (unsigned i = 0; i < node_entries(value); i++) TRY(add_value(r, node_entry(r, value, i), axis));
out:
    return st;
}

static status read_axis(reader *r, const char *key, yaml_node_t *at, yaml_node_t *value, bool several,
                        sweep_block *block)
{
    status st = OK;
    if (strcmp(key, "out") == 0 || strcmp(key, FINETUNE "out") == 0)
        FAIL_AT(at, "%s: the folder of all runs is the sweep's own key out", key);
    if (sweep_block_find(block, key)) FAIL_AT(at, "%s: given twice", key);
    TRY(list_grow(&block->axis, block->n, sizeof *block->axis));
    sweep_axis *axis = &block->axis[block->n++];
    axis->line = node_line(at);
    TRY_ALLOC(axis->key, strdup(key));
    TRY(read_values(r, value, several, axis));
out:
    return st;
}

/* {train.lr: ..., prune: {eps: ...}}: sections as in a config. */
status read_block(reader *r, yaml_node_t *mapping, const char *prefix, bool several, sweep_block *block)
{
    status st = OK;
    if (mapping->type != YAML_MAPPING_NODE) FAIL_AT(mapping, "expected {key: value, ...}");
    if (!*prefix) block->line = node_line(mapping);
    for (unsigned i = 0; i < node_pairs(mapping); i++) {
        yaml_node_t *k = node_at(r, mapping->data.mapping.pairs.start[i].key);
        yaml_node_t *v = node_at(r, mapping->data.mapping.pairs.start[i].value);
        char key[KEY_BYTES];
        if (!node_text(k)) FAIL_AT(k, "expected a key such as train.lr");
        if (text_format(key, sizeof key, "%s%s", prefix, node_text(k)) != OK)
            FAIL_AT(k, "a key as long as this is none");
        if (v->type == YAML_MAPPING_NODE) {
            char inner[KEY_BYTES + 1];
            snprintf(inner, sizeof inner, "%s.", key);
            TRY(read_block(r, v, inner, several, block));
        } else {
            TRY(read_axis(r, key, k, v, several, block));
        }
    }
out:
    return st;
}
