/* tools/sweep/cases.h -- the cases of a sweep file, each with a complete configuration. */
#ifndef CLEAVE_SWEEP_CASES_H
#define CLEAVE_SWEEP_CASES_H

#include "../../core/config/config.h"
#include "spec.h"

typedef struct sweep_setting {
    char *key, *text; /* as in sweep_axis */
} sweep_setting;

typedef struct sweep_case {
    sweep_setting *setting; /* what the grid or an entry of `cases` sets */
    unsigned n_settings;
    sweep_setting *finetune; /* settings of prune alone, those of `set` too; the keys without FINETUNE */
    unsigned n_finetune;
    config *cfg; /* cfg->out is the sweep's folder; cfg->name is net.arch if nothing sets a name */
    int line;    /* of the sweep file */
} sweep_case;

/* Lists every case in the order of the file; in a product, the last key changes fastest. Leaves out what is
 * excluded, and a case with the same settings as an earlier one. `overrides` (KEY=VALUE of the command line)
 * replace values of `set`. ERR_USAGE: a configuration that does not load, a net that cannot be built, or an
 * override of a key that the cases set. The caller frees *out. */
status sweep_expand(const sweep_spec *, char *const *overrides, int n_overrides, sweep_case **out,
                    unsigned *n);
void sweep_cases_free(sweep_case *, unsigned n);

void sweep_settings_free(sweep_setting *, unsigned n);

/* Appends "KEY=VALUE" to a list of overrides, quoted so that core/config reads the same value. */
status sweep_add_override(char ***list, unsigned *n, const char *key, const char *text);

/* The value of a key, which may begin with FINETUNE, in this case. The caller frees *out. */
status sweep_case_get(const sweep_case *, const char *key, char **out);

#endif
