/* core/cuda/choice.h -- which engine runs which convolution, remembered. */
#ifndef CLEAVE_CUDA_CHOICE_H
#define CLEAVE_CUDA_CHOICE_H

#include "graph.h"

/* The plan of a problem, which stays this module's: from memory, the run's file or the cache if it was seen before,
 * else engine_choose's. NULL: our own kernels. */
status choice_find(cuda *, const conv_problem *, descriptor *made);
void choices_forget(cuda *); /* after all engines are closed */

/* backend.h: what a run has used. */
status choices_load(backend *, const char *path);
status choices_save(const backend *, const char *path);

/* engine_choose.c: the fastest engine that may run the problem; without `timed`, our own or else cuDNN's first guess
 * that need not be compiled. The caller closes the plan; NULL: our own. ERR_RUNTIME if there is none. */
status engine_choose(cuda *, const conv_problem *, bool timed, descriptor *made);

#endif
