/* tools/sweep/expand.h -- from what a sweep file says to its cases, each with a complete configuration. */
#ifndef CLEAVE_SWEEP_EXPAND_H
#define CLEAVE_SWEEP_EXPAND_H

#include "../../core/config/config.h"
#include "spec.h"

typedef struct sweep_setting {
    char *key, *text; /* as in sweep_axis */
} sweep_setting;

typedef struct sweep_case {
    sweep_setting *setting; /* what the case sets besides `set` */
    unsigned n_settings;
    sweep_setting *finetune; /* settings of prune alone, those of `set` too; keys without FINETUNE */
    unsigned n_finetune;
    config *cfg; /* resolved; cfg->out is the sweep's folder; cfg->name is net.arch where nothing names it */
    int line;    /* of the sweep file */
} sweep_case;

/* Every case in the order of the file, the last key of a product fastest; what is excluded is left out, a
 * case that says the same as an earlier one too. `overrides` (KEY=VALUE of the command line) go over `set`.
 * ERR_USAGE for a configuration that does not load, a net that cannot be built, an override of a key that the
 * cases set. The caller frees. */
status sweep_expand(const sweep_spec *, char *const *overrides, int n_overrides, sweep_case **out,
                    unsigned *n);
void sweep_cases_free(sweep_case *, unsigned n);

void sweep_settings_free(sweep_setting *, unsigned n);

/* "KEY=VALUE" that core/config reads to the same value. The caller frees. */
status sweep_override(const char *key, const char *text, char **out);

/* The value of a key of [finetune.]config in this case. The caller frees. */
status sweep_case_get(const sweep_case *, const char *key, char **out);

#endif
