/* core/config/config_check.c -- does a text fit a key? If so, its standard spelling: what libcyaml then reads, what
 * config.yaml shows, what the hash is taken of. */
#include "config_keys.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

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

/* All values of the type, as far as double can say: 2^63 and 2^64 are tested by errno. */
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

/* The fewest digits that give the same number back. */
static char *format_number(double v, size_t bytes)
{
    char text[64] = "";
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, v);
        if (bytes == sizeof(float) ? strtof(text, NULL) == (float)v : strtod(text, NULL) == v) break;
    }
    return strdup(text);
}

/* Checked as the type that will hold it: 0.99999999999 is not below 1 as a float, and 1e-60 not above 0.
 * ERANGE covers overflow and denormals, which libcyaml does not take either. */
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

char *config_check(const config_key *key, const char *text)
{
    const cyaml_schema_value_t *type = config_key_scalar(key);
    char *out = NULL;
    switch (type->type) {
    case CYAML_INT: out = check_int(key, type->data_size, text); break;
    case CYAML_UINT: out = check_uint(key, type->data_size, text); break;
    case CYAML_FLOAT: out = check_number(key, type->data_size, text); break;
    case CYAML_BOOL: out = check_bool(text); break;
    case CYAML_ENUM: out = check_choice(type, text); break;
    case CYAML_STRING: out = strdup(text); break;
    default: break; /* no key has another type */
    }
    if (out && key->accepts && !key->accepts(out)) {
        free(out);
        out = NULL;
    }
    return out;
}
