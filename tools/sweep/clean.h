/* tools/sweep/clean.h -- what a sweep does not need any more. */
#ifndef CLEAVE_SWEEP_CLEAN_H
#define CLEAVE_SWEEP_CLEAN_H

#include "plan.h"

typedef enum clean_what {
    CLEAN_LEFTOVERS, /* run and task folders that no case of the plan has; temporary files of crashes */
    CLEAN_FAILED,    /* those, and runs and tasks that failed: they start anew */
    CLEAN_ALL        /* all run and task folders, the plan, the submissions */
} clean_what;

/* Removes it, or with `dry` only says so, a line each. A folder in which a process works is an error, before
 * anything is removed. Only what the tools make is touched. *n: so many files and folders. */
status sweep_clean(const sweep_plan *, clean_what, bool dry, int *n);

#endif
