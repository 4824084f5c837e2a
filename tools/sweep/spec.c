/* tools/sweep/spec.c -- reads a sweep file through libyaml's tree of nodes. The file holds the sweep's own
 * keys, and keys of core/config, which also checks their values. */
#include "spec.h"

#include "../../core/base/file.h"
#include "../../core/config/config.h"
#include "../../core/config/depth.h"
#include "list.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

enum { SPEC_MAX_BYTES = 256 << 10, MAX_NODES = 20000, KEY_BYTES = 128 };

const char *const stage_name[STAGES] = { "train", "analyze", "prune" };

int sweep_stage_of(const char *name)
{
    int s = 0;
    while (s < STAGES && strcmp(name, stage_name[s]) != 0) s++;
    return s;
}

bool sweep_launcher_of(const char *name, sweep_launcher *out)
{
    *out = strcmp(name, "slurm") == 0 ? LAUNCHER_SLURM : LAUNCHER_LOCAL;
    return *out == LAUNCHER_SLURM || strcmp(name, "local") == 0;
}

typedef struct reader {
    yaml_document_t document;
    sweep_spec *spec;
} reader;

/* A mistake in the file, with the line of the node. */
#define FAIL_AT(node, ...)                                                                                   \
    do {                                                                                                     \
        st = status_set(ERR_USAGE, __FILE__, __LINE__, __VA_ARGS__);                                         \
        status_prefix(st, "%s:%zu", r->spec->path, node_line(node));                                         \
        goto out;                                                                                            \
    } while (0)

/* ---- nodes ---- */

static size_t node_line(const yaml_node_t *n)
{
    return n->start_mark.line + 1;
}

static yaml_node_t *node_at(reader *r, int index)
{
    return yaml_document_get_node(&r->document, index);
}

/* Of a scalar; NULL for a list or mapping. */
static const char *node_text(const yaml_node_t *n)
{
    return n->type == YAML_SCALAR_NODE ? (const char *)n->data.scalar.value : NULL;
}

/* How many entries a list has; 0 for anything else. */
static unsigned node_entries(const yaml_node_t *n)
{
    return n->type == YAML_SEQUENCE_NODE
               ? (unsigned)(n->data.sequence.items.top - n->data.sequence.items.start)
               : 0;
}

static yaml_node_t *node_entry(reader *r, const yaml_node_t *list, unsigned i)
{
    return node_at(r, list->data.sequence.items.start[i]);
}

/* How many keys a mapping has; 0 for anything else. */
static unsigned node_pairs(const yaml_node_t *n)
{
    return n->type == YAML_MAPPING_NODE ? (unsigned)(n->data.mapping.pairs.top - n->data.mapping.pairs.start)
                                        : 0;
}

static yaml_node_t *node_key(reader *r, const yaml_node_t *mapping, unsigned i)
{
    return node_at(r, mapping->data.mapping.pairs.start[i].key);
}

static yaml_node_t *node_value(reader *r, const yaml_node_t *mapping, unsigned i)
{
    return node_at(r, mapping->data.mapping.pairs.start[i].value);
}

/* ---- config keys and their values ---- */

bool sweep_is_finetune(const char **key)
{
    size_t n = strlen(FINETUNE);
    bool is = strncmp(*key, FINETUNE, n) == 0;
    if (is) *key += n;
    return is;
}

/* Unquoted null: for core/config the key's default, for a key of the sweep the same. */
static bool is_null(const yaml_node_t *value)
{
    return node_text(value) && value->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
           config_is_null(node_text(value));
}

/* A value as YAML text, which core/config reads. */
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
        text_put_quoted(f, item ? item : "[]"); /* a list in a list: core/config refuses it */
    }
    if (value->type == YAML_SEQUENCE_NODE) fputc(']', f);
    if (is_null(value))
        fputs("null", f);
    else if (value->type == YAML_SCALAR_NODE)
        text_put_quoted(f, node_text(value));
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

/* One value, or with `several` a list of them. If the key itself takes a list, several values are a list
 * of lists. */
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
        FAIL_AT(value, "%s: expected one value, got a list; lists belong in grid or cases", axis->key);
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

/* {train.lr: 0.1, prune: {eps: 0.1}}: config keys, into a block. `several`: a key may have a list of values.
 * `prefix`: "", or "prune." for an inner mapping. */
static status read_block(reader *r, yaml_node_t *mapping, const char *prefix, bool several,
                         sweep_block *block)
{
    status st = OK;
    if (mapping->type != YAML_MAPPING_NODE) FAIL_AT(mapping, "expected {key: value, ...}");
    if (!*prefix) block->line = node_line(mapping);
    for (unsigned i = 0; i < node_pairs(mapping); i++) {
        yaml_node_t *k = node_key(r, mapping, i), *v = node_value(r, mapping, i);
        char key[KEY_BYTES];
        if (!node_text(k)) FAIL_AT(k, "expected a key such as train.lr");
        if (text_format(key, sizeof key, "%s%s", prefix, node_text(k)) != OK)
            FAIL_AT(k, "no key is this long");
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

/* ---- the sweep's own keys ---- */

static status read_text(reader *r, const char *key, yaml_node_t *value, char **out)
{
    status st = OK;
    if (!node_text(value) || !*node_text(value)) FAIL_AT(value, "%s: expected text", key);
    if (is_null(value)) goto out;
    free(*out);
    TRY_ALLOC(*out, strdup(node_text(value)));
out:
    return st;
}

static status read_path(reader *r, const char *key, yaml_node_t *value, char **out)
{
    status st = OK;
    file_path path;
    TRY(read_text(r, key, value, out));
    if (!*out) goto out;
    TRY(path_expand_home(*out, &path));
    free(*out);
    TRY_ALLOC(*out, strdup(path.s));
out:
    return st;
}

static status read_number(reader *r, const char *key, yaml_node_t *value, int least, int *out)
{
    status st = OK;
    const char *text = node_text(value);
    char *end = NULL;
    errno = 0;
    long v = text ? strtol(text, &end, 10) : 0;
    if (!text || !*text || *end || errno || v < least || v > 1000000)
        FAIL_AT(value, "%s: expected a whole number from %d to 1000000, got \"%.40s\"", key, least,
                text ? text : "a list");
    *out = (int)v;
out:
    return st;
}

static status read_name(reader *r, yaml_node_t *value)
{
    status st = OK;
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._+=,@-";
    TRY(read_text(r, "name", value, &r->spec->name));
    if (!r->spec->name) goto out;
    if (r->spec->name[strspn(r->spec->name, allowed)] || *r->spec->name == '.' || *r->spec->name == '-')
        FAIL_AT(value, "name: expected letters, digits and . _ + = , @ - (it names a folder)");
out:
    return st;
}

static status read_stages(reader *r, yaml_node_t *value)
{
    status st = OK;
    unsigned n = value->type == YAML_SEQUENCE_NODE ? node_entries(value) : 1;
    r->spec->last = STAGE_TRAIN;
    for (unsigned i = 0; i < n; i++) {
        yaml_node_t *item = value->type == YAML_SEQUENCE_NODE ? node_entry(r, value, i) : value;
        int s = node_text(item) ? sweep_stage_of(node_text(item)) : STAGES;
        if (s == STAGES) FAIL_AT(item, "stages: expected a list of train, analyze, prune");
        if (s > (int)r->spec->last) r->spec->last = (sweep_stage)s;
    }
    if (n == 0) FAIL_AT(value, "stages: expected a list of train, analyze, prune");
out:
    return st;
}

static status read_blocks(reader *r, const char *key, yaml_node_t *value, sweep_block **list, unsigned *n)
{
    status st = OK;
    if (value->type != YAML_SEQUENCE_NODE) FAIL_AT(value, "%s: expected a list of {key: value, ...}", key);
    for (unsigned i = 0; i < node_entries(value); i++) {
        TRY(list_grow(list, *n, sizeof **list));
        TRY(read_block(r, node_entry(r, value, i), "", true, &(*list)[(*n)++]));
    }
out:
    return st;
}

static status read_switch(reader *r, const char *key, yaml_node_t *value, bool *out)
{
    status st = OK;
    const char *text = node_text(value);
    *out = text && strcmp(text, "true") == 0;
    if (!text || (!*out && strcmp(text, "false") != 0)) FAIL_AT(value, "%s: expected true or false", key);
out:
    return st;
}

static status read_launcher(reader *r, yaml_node_t *value)
{
    status st = OK;
    if (!node_text(value) || !sweep_launcher_of(node_text(value), &r->spec->launcher))
        FAIL_AT(value, "launcher: expected local or slurm");
out:
    return st;
}

/* Options that the launcher gives itself, or that would break what it relies on. */
static bool is_reserved(const char *argument)
{
    static const char *const reserved[] = { "--array",  "-a",         "--wrap",       "--wait",   "-W",
                                            "--signal", "--parsable", "--no-requeue", "--output", "-o",
                                            "--error",  "-e",         "--chdir",      "-D" };
    const size_t length = strcspn(argument, "=");
    const size_t flags =
        argument[1] == '-' ? 0 : strspn(argument + 1, "HhkOQsvV"); /* without a value: "-Hofile" */
    if (length == 1 || strcmp(argument, "--") == 0) return true;   /* would end the options */
    for (size_t i = 0; i < sizeof reserved / sizeof *reserved; i++) {
        const bool is_short = reserved[i][1] != '-';
        if (is_short && argument[1] != '-' && argument[1 + flags] == reserved[i][1]) return true;
        if (!is_short && length > 2 && strncmp(argument, reserved[i], length) == 0)
            return true; /* or abbreviated */
    }
    return false;
}

static status read_sbatch(reader *r, yaml_node_t *value)
{
    status st = OK;
    if (value->type != YAML_SEQUENCE_NODE)
        FAIL_AT(value, "slurm.sbatch: expected a list such as [--partition=gpu]");
    for (unsigned i = 0; i < node_entries(value); i++) {
        yaml_node_t *item = node_entry(r, value, i);
        const char *text = node_text(item);
        if (!text || text[0] != '-' || strpbrk(text, "\n\r"))
            FAIL_AT(item, "slurm.sbatch: expected an option of sbatch such as --partition=gpu");
        if (is_reserved(text)) FAIL_AT(item, "slurm.sbatch: %s is the launcher's own", text);
        TRY(list_add_text(&r->spec->sbatch, &r->spec->n_sbatch, text));
    }
out:
    return st;
}

static status read_local_key(reader *r, const char *key, yaml_node_t *at, yaml_node_t *value)
{
    status st = OK;
    if (strcmp(key, "jobs") == 0)
        TRY(read_number(r, "local.jobs", value, 0, &r->spec->jobs));
    else if (strcmp(key, "gpus") == 0)
        TRY(read_number(r, "local.gpus", value, 0, &r->spec->gpus));
    else
        FAIL_AT(at, "local: unknown key %.40s; known are jobs, gpus", key);
out:
    return st;
}

static status read_slurm_key(reader *r, const char *key, yaml_node_t *at, yaml_node_t *value)
{
    status st = OK;
    if (strcmp(key, "limit") == 0)
        TRY(read_number(r, "slurm.limit", value, 0, &r->spec->limit));
    else if (strcmp(key, "grace") == 0)
        TRY(read_number(r, "slurm.grace", value, 1, &r->spec->grace));
    else if (strcmp(key, "sbatch") == 0)
        TRY(read_sbatch(r, value));
    else
        FAIL_AT(at, "slurm: unknown key %.40s; known are limit, grace, sbatch", key);
out:
    return st;
}

typedef status (*read_key)(reader *, const char *key, yaml_node_t *at, yaml_node_t *value);

static status read_keys(reader *r, yaml_node_t *mapping, read_key read)
{
    status st = OK;
    if (mapping->type != YAML_MAPPING_NODE) FAIL_AT(mapping, "expected {key: value, ...}");
    for (unsigned i = 0; i < node_pairs(mapping); i++) {
        yaml_node_t *k = node_key(r, mapping, i);
        if (!node_text(k)) FAIL_AT(k, "expected a key such as grid");
        for (unsigned j = 0; j < i; j++)
            if (strcmp(node_text(node_key(r, mapping, j)), node_text(k)) == 0)
                FAIL_AT(k, "%.40s: given twice", node_text(k));
        TRY(read(r, node_text(k), k, node_value(r, mapping, i)));
    }
out:
    return st;
}

static status read_grid(reader *r, yaml_node_t *value)
{
    status st = OK;
    TRY(list_grow(&r->spec->product, r->spec->n_products, sizeof *r->spec->product));
    TRY(read_block(r, value, "", true, &r->spec->product[r->spec->n_products++]));
out:
    return st;
}

static status read_top_key(reader *r, const char *key, yaml_node_t *at, yaml_node_t *value)
{
    status st = OK;
    sweep_spec *s = r->spec;
    if (strcmp(key, "name") == 0)
        TRY(read_name(r, value));
    else if (strcmp(key, "base") == 0)
        TRY(read_path(r, key, value, &s->base));
    else if (strcmp(key, "out") == 0)
        TRY(read_path(r, key, value, &s->out));
    else if (strcmp(key, "stages") == 0)
        TRY(read_stages(r, value));
    else if (strcmp(key, "set") == 0)
        TRY(read_block(r, value, "", false, &s->set));
    else if (strcmp(key, "grid") == 0)
        TRY(read_grid(r, value));
    else if (strcmp(key, "cases") == 0)
        TRY(read_blocks(r, key, value, &s->product, &s->n_products));
    else if (strcmp(key, "exclude") == 0)
        TRY(read_blocks(r, key, value, &s->exclude, &s->n_excludes));
    else if (strcmp(key, "pictures") == 0)
        TRY(read_switch(r, key, value, &s->pictures));
    else if (strcmp(key, "launcher") == 0)
        TRY(read_launcher(r, value));
    else if (strcmp(key, "local") == 0)
        TRY(read_keys(r, value, read_local_key));
    else if (strcmp(key, "slurm") == 0)
        TRY(read_keys(r, value, read_slurm_key));
    else
        FAIL_AT(at,
                "unknown key %.40s; known are name, base, out, stages, set, grid, cases, exclude, pictures, "
                "launcher, local, slurm (config keys belong in set, grid or cases)",
                key);
out:
    return st;
}

/* ---- the file ---- */

/* The name of the file, without its folder and ".yaml". */
static status default_name(const char *path, char **out)
{
    const char *name = path_name(path), *dot = strrchr(name, '.');
    return text_make(out, "%.*s", dot && dot > name ? (int)(dot - name) : (int)strlen(name), name);
}

static status read_document(reader *r, const char *yaml)
{
    status st = OK;
    yaml_parser_t parser;
    size_t bytes = strlen(yaml);
    bool loaded = false;
    if (!yaml_parser_initialize(&parser)) return status_set(ERR_RUNTIME, __FILE__, __LINE__, "out of memory");
    if (bytes > SPEC_MAX_BYTES)
        FAIL(ERR_USAGE, "%s: %zu bytes: a sweep file has at most %d", r->spec->path, bytes, SPEC_MAX_BYTES);
    TRY(yaml_check_depth(r->spec->path, yaml));
    yaml_parser_set_input_string(&parser, (const unsigned char *)yaml, bytes);
    if (!yaml_parser_load(&parser, &r->document) && parser.error == YAML_MEMORY_ERROR) FAIL_OUT_OF_MEMORY();
    if (parser.error != YAML_NO_ERROR)
        FAIL(ERR_USAGE, "%s:%zu: not YAML: %s", r->spec->path, parser.problem_mark.line + 1,
             parser.problem ? parser.problem : "cannot be read");
    loaded = true;
    if (r->document.nodes.top - r->document.nodes.start > MAX_NODES)
        FAIL(ERR_USAGE, "%s: more than %d values", r->spec->path, MAX_NODES);
    yaml_node_t *root = yaml_document_get_root_node(&r->document);
    if (!root || root->type != YAML_MAPPING_NODE)
        FAIL(ERR_USAGE, "%s: expected keys, as in \"grid: {seed: [0, 1, 2]}\"", r->spec->path);
    TRY(read_keys(r, root, read_top_key));
out:
    if (loaded) yaml_document_delete(&r->document);
    yaml_parser_delete(&parser);
    return st;
}

status sweep_spec_parse(const char *path, const char *yaml, sweep_spec *out)
{
    status st = OK;
    reader r = { .spec = out };
    *out = (sweep_spec){ .last = STAGE_PRUNE, .gpus = -1, .grace = 90 };
    TRY_ALLOC(out->path, strdup(path));
    TRY(read_document(&r, yaml));
    if (!out->name) TRY(default_name(path, &out->name));
    if (!out->out) TRY(text_make(&out->out, "runs/%s", out->name));
    size_t n = strlen(out->out);
    while (n > 1 && out->out[n - 1] == '/') out->out[--n] = '\0';
    if (out->n_products == 0) TRY(list_grow(&out->product, out->n_products++, sizeof *out->product));
out:
    if (st != OK) sweep_spec_free(out);
    return st;
}

status sweep_spec_read(const char *path, sweep_spec *out)
{
    status st = OK;
    char *text = NULL;
    size_t bytes;
    *out = (sweep_spec){ 0 };
    st = file_read_within(path, CONFIG_FILE_BYTES, FILE_OR_STREAM, &text, &bytes);
    if (st == ERR_DATA) st = ERR_USAGE; /* as for every config */
    TRY(st);
    if (strlen(text) != bytes) FAIL(ERR_USAGE, "%s: not text: it has a NUL byte", path);
    TRY(sweep_spec_parse(path, text, out));
out:
    free(text);
    return st;
}

static void free_block(sweep_block *b)
{
    for (unsigned i = 0; i < b->n; i++) {
        free(b->axis[i].key);
        list_free_texts(b->axis[i].text, b->axis[i].n);
    }
    free(b->axis);
}

void sweep_spec_free(sweep_spec *s)
{
    free_block(&s->set);
    for (unsigned i = 0; i < s->n_products; i++) free_block(&s->product[i]);
    for (unsigned i = 0; i < s->n_excludes; i++) free_block(&s->exclude[i]);
    free(s->product);
    free(s->exclude);
    list_free_texts(s->sbatch, s->n_sbatch);
    free(s->path);
    free(s->name);
    free(s->out);
    free(s->base);
    *s = (sweep_spec){ 0 };
}

const sweep_axis *sweep_block_find(const sweep_block *b, const char *key)
{
    for (unsigned i = 0; i < b->n; i++)
        if (strcmp(b->axis[i].key, key) == 0) return &b->axis[i];
    return NULL;
}
