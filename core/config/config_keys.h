/* core/config/config_keys.h -- private to core/config*.c: what is known about each key. */
#ifndef CLEAVE_CONFIG_KEYS_H
#define CLEAVE_CONFIG_KEYS_H

#include "config.h"

#include <cyaml/cyaml.h>

typedef struct config_range {
    double min, max;
    bool above_min, below_max; /* the end itself is not allowed */
} config_range;

typedef struct config_key {
    cyaml_schema_field_t field;        /* "train.epochs", its type, its place in struct config */
    const char *preset;                /* the default, as YAML */
    config_range range;                /* of a number, or of each number of a list */
    bool (*accepts)(const char *text); /* a further condition; NULL = none ... */
    const char *expects;               /* ... and how to say it */
    const char *help;
} config_key;

enum { CONFIG_KEYS = 61 };
extern const config_key config_keys[]; /* CONFIG_KEYS of them */

/* Index of a key by its full name; -1 if unknown. */
int config_key_find(const char *name);
/* "train" of "train.epochs": length of the section's name, 0 without section. */
size_t config_section_length(const char *name);
bool config_is_section(const char *name);

/* The type of a value, or of the entries of a list. */
const cyaml_schema_value_t *config_key_scalar(const config_key *);
bool config_key_is_list(const config_key *);

/* "a whole number >= 1", "one of step, cosine, constant", "a list of 3 numbers > 0". */
void config_key_expects(const config_key *, char *out, size_t bytes);
/* What to say about a name that is not known: "did you mean train.epochs?", "keys of train: ...". */
void config_key_suggest(const char *unknown, char *out, size_t bytes);

/* A value as text: one item for a scalar, any number for a list. Owned. */
typedef struct config_value {
    char **item;
    unsigned n;
} config_value;
typedef struct config_values {
    config_value key[CONFIG_KEYS];
} config_values;
void config_values_free(config_values *);

/* Checks `text` against the key and makes its standard spelling ("007" -> "7"). NULL if it does not fit (or
 * memory is out). The caller frees. */
char *config_check(const config_key *, const char *text);

/* Puts what YAML text sets into `values`. is_file: messages say "LABEL:LINE", else "LABEL". */
status config_read(const char *label, bool is_file, const char *yaml, config_values *values);
/* The same for "train.epochs=3". */
status config_read_override(const char *override, config_values *values);
/* The same for the default of a key. */
status config_read_preset(int key, config_values *values);

/* The values of a config, as text. */
status config_to_values(const config *, config_values *out);
/* YAML of the keys for which wanted() holds (NULL: all). nested: sections as mappings, for people; else one
 * flat mapping of full names, for libcyaml. The caller frees. */
status config_write(const config_values *, bool nested, bool (*wanted)(const char *name), char **out);

#endif
