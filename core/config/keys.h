/* core/config/keys.h -- private to core/config/: what is known about each key, and the values of all keys as text.
 *
 * Between a source (a file, key=value, a default) and struct config, values are text: read.c checks a value and
 * gives it its standard spelling, a later source replaces what an earlier one set, and at the end libcyaml fills
 * the struct. write.c goes the other way. */
#ifndef CLEAVE_CONFIG_KEYS_H
#define CLEAVE_CONFIG_KEYS_H

#include "config.h"

#include <cyaml/cyaml.h>

/* ---- the table (keys.c) ---- */

typedef struct config_range {
    double min, max;
    bool above_min, below_max; /* true: the bound itself is excluded */
} config_range;

typedef struct config_key {
    cyaml_schema_field_t field;        /* "train.epochs", its type, its offset in struct config */
    const char *preset;                /* the default, as YAML */
    config_range range;                /* of a number, or of each number of a list */
    bool (*accepts)(const char *text); /* a further condition, or NULL ... */
    const char *expects;               /* ... and the words for it in a message */
    const char *help;
    bool is_path; /* a leading "~/" is the home folder */
} config_key;

/* The keys in the order of --help; the keys of a section are neighbours. */
extern const config_key config_keys[];
extern const int config_n_keys;

/* The same keys as libcyaml's schema of struct config. */
const cyaml_schema_value_t *config_schema(void);

/* Index of a key by its full name; -1 if there is no such key. */
int config_key_find(const char *name);
/* A key that config_hash leaves out while it has its default. */
bool config_key_is_younger(const char *name);
/* Length of the section's name, 5 for "train.epochs"; 0 without a section. */
size_t config_section_length(const char *name);
bool config_is_section(const char *name);

/* The type of a value; of a list, the type of its entries. */
const cyaml_schema_value_t *config_key_scalar(const config_key *);
bool config_key_is_list(const config_key *);
/* The spelling of an enum's value; "" if the key does not take it. */
const char *config_key_choice(const config_key *, int64_t value);

/* What a message says about a value that does not fit: "a whole number >= 1", "one of step, cosine, constant",
 * "a list of 3 numbers > 0". */
void config_key_expects(const config_key *, char *out, size_t bytes);
/* What a message says about an unknown name: "did you mean train.epochs?", "known are train.epochs, ...". */
void config_key_suggest(const char *unknown, char *out, size_t bytes);

/* ---- values as text ---- */

/* The value of one key: one item for a scalar, any number of items for a list. Owns them. */
typedef struct config_value {
    char **item;
    unsigned n;
} config_value;

/* One value for each key of the table, without items at first; NULL: out of memory. The caller frees. */
config_value *config_values_new(void);
void config_values_free(config_value *values); /* NULL is harmless */

/* ---- reading (read.c) ---- */

/* `text` in the key's standard spelling ("007" -> "7", "~/x" -> "/home/me/x" for a path); NULL if it does not fit the
 * key or memory is out; then errno is ENOMEM, else not. The caller frees. */
char *config_check(const config_key *, const char *text);

/* Sets the values that YAML text gives. ERR_USAGE: the message begins with "LABEL:LINE". */
status config_read(const char *label, const char *yaml, config_value *values);
status config_read_override(const char *override, config_value *values); /* "train.epochs=3" */
status config_read_preset(int key, config_value *values);                /* the default of one key */

/* ---- writing (write.c) ---- */

/* The values of a config, as text in standard spelling. The caller frees. */
status config_to_values(const config *, config_value **out);
/* YAML of the keys for which wanted[key] is true (NULL: of all). nested: each section is a mapping, for people;
 * otherwise one flat mapping of full names, for libcyaml. The caller frees. */
status config_write(const config_value *values, bool nested, const bool *wanted, char **out);

#endif
