/* tools/sweep/cases.c -- expands the products of a sweep file, applies its excludes, and loads a
 * configuration for each case. */
#include "cases.h"

#include "../../core/base/file.h"
#include "../../core/base/log.h"
#include "../../nets/net.h"
#include "list.h"
#include "text_map.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_CASES = 20000 };

typedef struct expander {
    const sweep_spec *spec;
    char *const *overrides; /* of the command line */
    int n_overrides;
    sweep_case *cases;
    unsigned n;
    bool *excluded_any; /* [n_excludes] */
    text_map seen;      /* a hash of each case's settings -> its index */
} expander;

/* Quotes the text unless YAML certainly reads it as it stands. A list is already written as "[a, b]". */
status sweep_add_override(char ***list, unsigned *n, const char *key, const char *text)
{
    status st = OK;
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./+-";
    bool is_list = false;
    char *setting = NULL;
    size_t bytes;
    FILE *f = NULL;
    config_has_key(key, &is_list);
    TRY_ALLOC(f, open_memstream(&setting, &bytes));
    fprintf(f, "%s=", key);
    if (is_list || (*text && text[strspn(text, plain)] == '\0' && *text != '-' && !config_is_null(text)))
        fputs(text, f);
    else
        text_put_quoted(f, text);
    if (fclose(f) != 0) FAIL(ERR_RUNTIME, "out of memory");
    TRY(list_add_text(list, n, setting));
out:
    free(setting);
    return st;
}

/* ---- one case ---- */

static status add_setting(sweep_setting **list, unsigned *n, const char *key, const char *text)
{
    status st = OK;
    TRY(list_grow(list, *n, sizeof **list));
    sweep_setting *s = &(*list)[(*n)++];
    TRY_ALLOC(s->key, strdup(key));
    TRY_ALLOC(s->text, strdup(text));
out:
    return st;
}

/* A later setting of a key replaces an earlier one. */
static status set_finetune(sweep_case *c, const char *key, const char *text)
{
    status st = OK;
    for (unsigned i = 0; i < c->n_finetune; i++) {
        if (strcmp(c->finetune[i].key, key) != 0) continue;
        char *copy;
        TRY_ALLOC(copy, strdup(text));
        free(c->finetune[i].text);
        c->finetune[i].text = copy;
        goto out;
    }
    TRY(add_setting(&c->finetune, &c->n_finetune, key, text));
out:
    return st;
}

/* True if `set`, the command line or the case sets the key `name`. */
static bool names_itself(const expander *e, const sweep_case *c)
{
    for (unsigned i = 0; i < c->n_settings; i++)
        if (strcmp(c->setting[i].key, "name") == 0) return true;
    for (int i = 0; i < e->n_overrides; i++)
        if (strncmp(e->overrides[i], "name=", 5) == 0) return true;
    return sweep_block_find(&e->spec->set, "name") != NULL;
}

/* A setting of the configuration, or of the fine-tuning alone. */
static status add_to_case(char ***list, unsigned *n, sweep_case *c, const char *key, const char *text)
{
    return sweep_is_finetune(&key) ? set_finetune(c, key, text) : sweep_add_override(list, n, key, text);
}

/* Loads the configuration: the base, then `set`, the command line and the case's own settings, each
 * replacing values of those before it; then the folder, and the name if there is none. */
static status resolve(const expander *e, sweep_case *c)
{
    status st = OK;
    char **list = NULL;
    unsigned n = 0;
    const sweep_block *set = &e->spec->set;
    for (unsigned i = 0; i < set->n; i++)
        TRY(add_to_case(&list, &n, c, set->axis[i].key, set->axis[i].text[0]));
    for (int i = 0; i < e->n_overrides; i++) TRY(list_add_text(&list, &n, e->overrides[i]));
    for (unsigned i = 0; i < c->n_settings; i++)
        TRY(add_to_case(&list, &n, c, c->setting[i].key, c->setting[i].text));
    TRY(add_to_case(&list, &n, c, "out", e->spec->out));
    TRY(config_load(e->spec->base, list, (int)n, &c->cfg));
    if (names_itself(e, c)) goto out;
    TRY(add_to_case(&list, &n, c, "name", c->cfg->net.arch));
    config_free(c->cfg);
    c->cfg = NULL;
    TRY(config_load(e->spec->base, list, (int)n, &c->cfg));
out:
    list_free_texts(list, n);
    return st;
}

/* core/config does not know which nets there are. */
static status check_net(const config *cfg)
{
    net *n = NULL;
    status st = net_from_config(cfg, &n);
    net_free(n);
    return st;
}

static void describe(const sweep_case *c, char *out, size_t bytes)
{
    size_t n = 0;
    out[0] = '\0';
    for (unsigned i = 0; i < c->n_settings && n < bytes; i++)
        n += (size_t)snprintf(out + n, bytes - n, "%s%s=%s", i ? " " : "", c->setting[i].key,
                              c->setting[i].text);
}

static bool same_settings(const sweep_setting *a, unsigned n, const sweep_setting *b, unsigned m)
{
    if (n != m) return false;
    for (unsigned i = 0; i < n; i++) {
        bool found = false;
        for (unsigned j = 0; j < m; j++)
            found |= !strcmp(a[i].key, b[j].key) && !strcmp(a[i].text, b[j].text);
        if (!found) return false;
    }
    return true;
}

static status is_same_case(const sweep_case *a, const sweep_case *b, bool *same)
{
    status st = OK;
    char *x = NULL, *y = NULL;
    *same = false;
    if (!same_settings(a->finetune, a->n_finetune, b->finetune, b->n_finetune)) goto out;
    TRY(config_yaml(a->cfg, &x));
    TRY(config_yaml(b->cfg, &y));
    *same = strcmp(x, y) == 0;
out:
    free(x);
    free(y);
    return st;
}

/* Equal for equal cases, whose settings of the fine-tuning may be in any order. */
static status hash_case(const sweep_case *c, uint64_t *out)
{
    status st = OK;
    char *yaml = NULL;
    TRY(config_yaml(c->cfg, &yaml));
    *out = file_hash(yaml, strlen(yaml));
    for (unsigned i = 0; i < c->n_finetune; i++)
        *out += 31 * file_hash(c->finetune[i].key, strlen(c->finetune[i].key)) ^
                file_hash(c->finetune[i].text, strlen(c->finetune[i].text));
out:
    free(yaml);
    return st;
}

/* *known: the same case is there already; else *place is the name under which e->seen is to know it. */
typedef struct place_name {
    char s[40];
} place_name;
static status look_for(expander *e, const sweep_case *c, bool *known, place_name *place)
{
    status st = OK;
    uint64_t hash = 0;
    *known = false;
    TRY(hash_case(c, &hash));
    for (unsigned k = 0;; k++) { /* two cases may have one hash */
        snprintf(place->s, sizeof place->s, "%016" PRIx64 "-%u", hash, k);
        const int i = text_map_get(&e->seen, place->s);
        if (i < 0) goto out;
        TRY(is_same_case(&e->cases[i], c, known));
        if (*known) goto out;
    }
out:
    return st;
}

status sweep_case_get(const sweep_case *c, const char *key, char **out)
{
    status st = OK;
    if (!sweep_is_finetune(&key)) return config_get(c->cfg, key, out);
    for (unsigned i = 0; i < c->n_finetune; i++)
        if (strcmp(c->finetune[i].key, key) == 0) return text_make(out, "%s", c->finetune[i].text);
    TRY(config_get(c->cfg, key, out)); /* the same as for training */
out:
    return st;
}

/* *match: in this case, every key of the exclude has one of the values given there. */
static status matches(const sweep_case *c, const sweep_block *exclude, bool *match)
{
    status st = OK;
    char *text = NULL;
    *match = true;
    for (unsigned i = 0; i < exclude->n && *match; i++) {
        TRY(sweep_case_get(c, exclude->axis[i].key, &text));
        *match = list_has_text(exclude->axis[i].text, exclude->axis[i].n, text);
        free(text);
        text = NULL;
    }
out:
    free(text);
    return st;
}

void sweep_settings_free(sweep_setting *list, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        free(list[i].key);
        free(list[i].text);
    }
    free(list);
}

static void free_case(sweep_case *c)
{
    sweep_settings_free(c->setting, c->n_settings);
    sweep_settings_free(c->finetune, c->n_finetune);
    config_free(c->cfg);
    *c = (sweep_case){ 0 };
}

/* Appends the case, unless it is excluded or there is the same one already. Frees *c if it is not
 * appended. */
static status admit(expander *e, sweep_case *c)
{
    status st = OK;
    char what[512];
    bool known;
    place_name place;
    describe(c, what, sizeof what);
    st = resolve(e, c);
    if (st == OK) st = check_net(c->cfg);
    if (st != OK) {
        status_prefix(ERR_USAGE, "%s:%d: case %s", e->spec->path, c->line, *what ? what : "without settings");
        goto out;
    }
    for (unsigned i = 0; i < e->spec->n_excludes; i++) {
        bool match;
        TRY(matches(c, &e->spec->exclude[i], &match));
        if (!match) continue;
        e->excluded_any[i] = true;
        goto out;
    }
    TRY(look_for(e, c, &known, &place));
    if (known) goto out;
    if (e->n >= MAX_CASES) FAIL(ERR_USAGE, "%s: more than %d cases", e->spec->path, MAX_CASES);
    TRY(list_grow(&e->cases, e->n, sizeof *e->cases));
    TRY(text_map_put(&e->seen, place.s, (int)e->n));
    e->cases[e->n++] = *c;
    *c = (sweep_case){ 0 };
out:
    free_case(c);
    return st;
}

/* ---- products ---- */

/* All combinations: counts up a number with one digit per axis, the last axis fastest. */
static status expand_product(expander *e, const sweep_block *b)
{
    status st = OK;
    unsigned *digit = NULL;
    TRY_ALLOC(digit, calloc(b->n + 1, sizeof *digit));
    for (;;) {
        sweep_case c = { .line = (int)b->line };
        for (unsigned i = 0; i < b->n && st == OK; i++)
            st = add_setting(&c.setting, &c.n_settings, b->axis[i].key, b->axis[i].text[digit[i]]);
        if (st == OK) st = admit(e, &c);
        free_case(&c);
        if (st != OK) goto out;
        unsigned i = b->n;
        while (i > 0 && ++digit[i - 1] == b->axis[i - 1].n) digit[--i] = 0;
        if (i == 0) break;
    }
out:
    free(digit);
    return st;
}

/* The command line applies to all cases, so it must not set a key whose value depends on the case. */
static status check_overrides(const expander *e)
{
    status st = OK;
    for (int i = 0; i < e->n_overrides; i++) {
        size_t n = strcspn(e->overrides[i], "=");
        if (n == 3 && strncmp(e->overrides[i], "out", n) == 0)
            FAIL(ERR_USAGE, "%s: the folder of all runs is the sweep file's key out", e->overrides[i]);
        for (unsigned k = 0; k < e->spec->n_products; k++)
            for (unsigned a = 0; a < e->spec->product[k].n; a++) {
                const sweep_axis *axis = &e->spec->product[k].axis[a];
                if (strlen(axis->key) == n && strncmp(axis->key, e->overrides[i], n) == 0)
                    FAIL(ERR_USAGE, "%s: %s:%zu gives %s a value in each case", e->overrides[i],
                         e->spec->path, axis->line, axis->key);
            }
    }
out:
    return st;
}

status sweep_expand(const sweep_spec *spec, char *const *overrides, int n_overrides, sweep_case **out,
                    unsigned *n)
{
    status st = OK;
    config *base = NULL;
    expander e = { .spec = spec, .overrides = overrides, .n_overrides = n_overrides };
    TRY_ALLOC(e.excluded_any, calloc(spec->n_excludes + 1, sizeof *e.excluded_any));
    TRY(config_load(spec->base, NULL, 0, &base)); /* so that no case is blamed for a mistake in the base */
    TRY(check_overrides(&e));
    for (unsigned i = 0; i < spec->n_products; i++) TRY(expand_product(&e, &spec->product[i]));
    for (unsigned i = 0; i < spec->n_excludes; i++)
        if (!e.excluded_any[i]) log_warn("%s:%zu: this excludes no case", spec->path, spec->exclude[i].line);
    if (e.n == 0) FAIL(ERR_USAGE, "%s: no case is left", spec->path);
    *out = e.cases;
    *n = e.n;
    e.cases = NULL;
out:
    if (e.cases) sweep_cases_free(e.cases, e.n);
    free(e.excluded_any);
    text_map_free(&e.seen);
    config_free(base);
    return st;
}

void sweep_cases_free(sweep_case *cases, unsigned n)
{
    for (unsigned i = 0; i < n; i++) free_case(&cases[i]);
    free(cases);
}
