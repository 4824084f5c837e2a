/* core/cpu/choices.h -- which algorithm runs which convolution, remembered: in memory, for a run, for the machine. */
#ifndef CLEAVE_CPU_CHOICES_H
#define CLEAVE_CPU_CHOICES_H

#include "../base/lock.h"
#include "cpu.h"

/* As files and messages say them. */
extern const char *const conv_direction_names[CONV_DIRECTIONS];
extern const char *const conv_algorithm_names[CONV_ALGORITHMS];

status choices_open(cpu *, choices **out);
void choices_close(choices *); /* NULL is harmless */

/* The algorithm for `name`, "SHAPE DIRECTION"; -1: not known. The first call looks into the cache, too. */
status choices_find(choices *, const char *name, int *algorithm);

/* Locks the cache, waiting for other processes, and reads what they have added. *kept: there is one that can be
 * written. The caller releases the lock. STOPPED: a signal came while it waited. */
status choices_lock(choices *, dir_lock *, bool *kept);

/* Remembers a choice, unless there is one for `name`; keep: also in the cache, which the caller has locked. */
status choices_add(choices *, const char *name, int algorithm, bool keep);

/* backend.h: what a run has used. */
status cpu_choices_load(backend *, const char *path);
status cpu_choices_save(const backend *, const char *path);

#endif
