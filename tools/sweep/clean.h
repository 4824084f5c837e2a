/* tools/sweep/clean.h -- removes what a sweep does not need any more. */
#ifndef CLEAVE_SWEEP_CLEAN_H
#define CLEAVE_SWEEP_CLEAN_H

#include "tasks.h"

typedef enum clean_what {
    CLEAN_LEFTOVERS, /* folders of runs and tasks that no case of the plan has; temporary files of crashes */
    CLEAN_FAILED,    /* those, and runs and tasks that failed: they start from the beginning */
    CLEAN_ALL        /* the folders of all runs and tasks, the plan, the submissions */
} clean_what;

/* Removes it and logs a line for each file or folder; with `dry`, only logs. Touches nothing but what the
 * tools make. If a process works in one of the folders: ERR_RUNTIME, and nothing is removed. *n: how many
 * files and folders. */
status sweep_clean(const sweep_plan *, clean_what, bool dry, int *n);

#endif
