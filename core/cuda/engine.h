/* core/cuda/engine.h -- one convolution in one direction, and the engine that runs it: an execution plan of cuDNN
 * (cudnn_graph.h) or our own kernels.
 *
 *   engine.c          opens and runs engines, and remembers which one was chosen
 *   engine_choose.c   chooses: times the engines that may run a convolution
 *   engine_own.c      our own kernels as an engine */
#ifndef CLEAVE_CUDA_ENGINE_H
#define CLEAVE_CUDA_ENGINE_H

#include "cuda.h"

/* x, y NHWC of `type`; w [K][R][R][C/groups] of `type`; sums in f32. */
typedef struct conv_problem {
    conv_direction direction;
    bool add; /* to what the output holds, instead of overwriting it */
    bool tf32;
    dtype type;
    shape4 x, y;
    conv_desc conv;
} conv_problem;

conv_problem conv_problem_of(const op *, conv_direction, bool add, bool tf32);

enum { PROBLEM_NAME_BYTES = 96 };
/* "dgrad_bf16_n256c64h32w32_k64r3s1p1g1": different problems have different names. Also the name of a file. */
void conv_problem_name(const conv_problem *, char out[PROBLEM_NAME_BYTES]);

/* --- engine.c --- */

typedef struct engine engine;

/* Takes the engine that was chosen for this problem before (in this process, the run's file or the cache), else
 * chooses one. It needs *workspace bytes to run. ERR_RUNTIME names the problem if nothing can run it. */
status engine_open(cuda *, const conv_problem *, engine **out, size_t *workspace);
void engine_close(engine *); /* NULL is harmless */

/* x, w and y are the convolution's input, weights and output (or their gradients), whichever of them is computed.
 * All are aligned to 16 bytes. */
status engine_run(engine *, cuda *, const void *x, const void *w, const void *y, void *workspace);

/* cuDNN's name for an object of its graph API; here, an execution plan. */
typedef cudnnBackendDescriptor_t descriptor;

/* What engine_open asks. *made stays engine.c's; NULL stands for our own kernels. */
status choice_find(cuda *, const conv_problem *, descriptor *made);
void choices_forget(cuda *); /* after all engines are closed */

/* Part of `struct backend`: the choices of a run in a file. */
status choices_load(backend *, const char *path);
status choices_save(const backend *, const char *path);

/* --- engine_choose.c --- */

/* The fastest engine that may run the problem. Without `timed`: our own if it fits, else cuDNN's first guess that
 * need not be compiled. The caller closes *made; NULL stands for our own kernels. ERR_RUNTIME if there is none. */
status engine_choose(cuda *, const conv_problem *, bool timed, descriptor *made);

/* Needs no GPU: counts cuDNN's configurations for the problem on the GPU that `device_json` describes, all of them
 * and those that engine_choose would consider. */
status engine_count(const conv_problem *, const char *device_json, int *all, int *n_allowed);

/* --- engine_own.c --- */

bool own_fits(const conv_problem *); /* we have kernels for it */
size_t own_workspace(const cuda *, const conv_problem *);
status own_run(cuda *, const conv_problem *, const void *x, const void *w, const void *y, void *workspace);

#endif
