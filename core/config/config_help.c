/* core/config/config_help.c -- what to say to people about keys. */
#include "config_keys.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* Appends to a text of fixed size, cut off where it is full. */
static void append(char *out, size_t bytes, const char *format, ...) __attribute__((format(printf, 3, 4)));
static void append(char *out, size_t bytes, const char *format, ...)
{
    size_t n = strlen(out);
    va_list args;
    va_start(args, format);
    vsnprintf(out + n, bytes - n, format, args);
    va_end(args);
}

static void append_range(char *out, size_t bytes, const config_range *r)
{
    bool low = isfinite(r->min), high = isfinite(r->max);
    if (low && high && !r->above_min && !r->below_max)
        append(out, bytes, " from %.15g to %.15g", r->min, r->max);
    else {
        if (low) append(out, bytes, " %s %.15g", r->above_min ? ">" : ">=", r->min);
        if (high) append(out, bytes, "%s %s %.15g", low ? " and" : "", r->below_max ? "<" : "<=", r->max);
    }
}

static void append_scalar(char *out, size_t bytes, const config_key *key)
{
    const cyaml_schema_value_t *type = config_key_scalar(key);
    const char *plural = config_key_is_list(key) ? "s" : "", *a = *plural ? "" : "a ";
    switch (type->type) {
    case CYAML_INT:
    case CYAML_UINT: append(out, bytes, "%swhole number%s", a, plural); break;
    case CYAML_FLOAT: append(out, bytes, "%snumber%s", a, plural); break;
    case CYAML_BOOL: append(out, bytes, "true or false"); break;
    case CYAML_ENUM:
        append(out, bytes, "one of ");
        for (uint32_t i = 0; i < type->enumeration.count; i++)
            append(out, bytes, "%s%s", i ? ", " : "", type->enumeration.strings[i].str);
        break;
    default: append(out, bytes, *plural ? "names" : "text"); break;
    }
    append_range(out, bytes, &key->range);
}

void config_key_expects(const config_key *key, char *out, size_t bytes)
{
    out[0] = '\0';
    if (key->expects)
        append(out, bytes, "%s", key->expects);
    else {
        const cyaml_schema_value_t *type = &key->field.value;
        if (type->type == CYAML_SEQUENCE) append(out, bytes, "a list of ");
        if (type->type == CYAML_SEQUENCE_FIXED) append(out, bytes, "a list of %u ", type->sequence.max);
        append_scalar(out, bytes, key);
    }
}

/* Edit distance [Wagner74] with swaps of neighbours: insert, delete, replace, swap cost 1 each. */
static int distance(const char *a, const char *b)
{
    enum { MAX = 64 };
    int n = (int)strlen(a), m = (int)strlen(b), d[MAX + 1][MAX + 1];
    if (n > MAX || m > MAX) return MAX;
    for (int i = 0; i <= n; i++) {
        for (int j = 0; j <= m; j++) {
            if (i == 0 || j == 0) {
                d[i][j] = i + j;
                continue;
            }
            int best = d[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
            if (d[i - 1][j] + 1 < best) best = d[i - 1][j] + 1;
            if (d[i][j - 1] + 1 < best) best = d[i][j - 1] + 1;
            bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
            if (swapped && d[i - 2][j - 2] + 1 < best) best = d[i - 2][j - 2] + 1;
            d[i][j] = best;
        }
    }
    return d[n][m];
}

typedef struct candidate {
    char name[64];
    int distance;
} candidate;

static void consider(candidate *best, const char *name, size_t length, int d)
{
    if (d >= best->distance) return;
    best->distance = d;
    snprintf(best->name, sizeof best->name, "%.*s", (int)length, name);
}

/* The key or section meant by a misspelt name, or by one in the wrong section or without one; "" if none is
 * near: at most one edit in four letters, three in all. */
static candidate nearest(const char *unknown)
{
    size_t length = strlen(unknown);
    candidate best = { .distance = 2 + (int)(length / 4 < 2 ? length / 4 : 2) };
    const char *dot = strrchr(unknown, '.'), *last = dot ? dot + 1 : unknown;
    for (int i = 0; i < CONFIG_KEYS; i++) {
        const char *key = config_keys[i].field.key;
        size_t section = config_section_length(key);
        char title[64];
        snprintf(title, sizeof title, "%.*s", (int)section, key);
        consider(&best, key, strlen(key), distance(unknown, key));
        consider(&best, key, strlen(key), distance(last, section ? key + section + 1 : key) + 1);
        if (section) consider(&best, key, section, distance(unknown, title));
    }
    return best;
}

void config_key_suggest(const char *unknown, char *out, size_t bytes)
{
    out[0] = '\0';
    candidate near = nearest(unknown);
    size_t section = config_section_length(unknown);
    int n = 0;
    if (near.name[0]) {
        append(out, bytes, "did you mean %s?", near.name);
        return;
    }
    for (int i = 0; i < CONFIG_KEYS; i++) {
        const char *key = config_keys[i].field.key;
        if (section == 0 || config_section_length(key) != section || strncmp(key, unknown, section) != 0)
            continue;
        append(out, bytes, "%s%s", n++ ? ", " : "known are ", key);
    }
    if (n == 0) append(out, bytes, "--help lists the keys");
}

bool config_key_describe(int index, config_key_info *out)
{
    if (index < 0 || index >= CONFIG_KEYS) return false;
    const config_key *key = &config_keys[index];
    const cyaml_schema_value_t *type = &key->field.value;
    *out = (config_key_info){ .name = key->field.key, .preset = key->preset, .help = key->help };
    if (type->type == CYAML_BOOL) {
        out->choice[out->n_choices++] = "true";
        out->choice[out->n_choices++] = "false";
    }
    for (uint32_t i = 0; type->type == CYAML_ENUM && i < type->enumeration.count; i++)
        if (out->n_choices < CONFIG_MAX_CHOICES)
            out->choice[out->n_choices++] = type->enumeration.strings[i].str;
    return true;
}

void config_print_keys(FILE *f)
{
    for (int i = 0; i < CONFIG_KEYS; i++) {
        const config_key *key = &config_keys[i];
        char setting[128], choices[128] = "";
        snprintf(setting, sizeof setting, "%s=%s", key->field.key, key->preset);
        bool choice = key->field.value.type == CYAML_ENUM;
        if (choice) config_key_expects(key, choices, sizeof choices);
        fprintf(f, "  %-40s %s%s%s\n", setting, key->help, choice ? ": " : "", choices);
    }
}
