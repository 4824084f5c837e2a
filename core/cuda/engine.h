/* core/cuda/engine.h -- one convolution in one direction, by cuDNN's graph API or by our own kernels. */
#ifndef CLEAVE_CUDA_ENGINE_H
#define CLEAVE_CUDA_ENGINE_H

#include "cuda.h"

typedef enum conv_direction { CONV_FORWARD, CONV_DATA, CONV_FILTER } conv_direction;

/* x, y NHWC of `type`; w [K][R][R][C/groups] of `type`; sums in f32. */
typedef struct conv_problem {
    conv_direction direction;
    bool add; /* to what is there instead of overwriting it */
    bool tf32;
    dtype type;
    shape4 x, y;
    conv_desc conv;
} conv_problem;

conv_problem conv_problem_of(const op *, conv_direction, bool add, bool tf32);

enum { ENGINE_KEY_BYTES = 96 };
/* "dgrad_bf16_n256c64h32w32_k64r3s1p1g1": what tells one problem from another, also a file name. */
void conv_problem_name(const conv_problem *, char out[ENGINE_KEY_BYTES]);

typedef struct engine engine;

/* Chooses, times and finalises; the answer comes from memory or disk if this problem was seen before.
 * *workspace bytes are needed to run. ERR_RUNTIME names the problem if nothing runs it. */
status engine_open(cuda *, const conv_problem *, engine **out, size_t *workspace);
void engine_close(engine *); /* NULL is harmless */

/* x, w, y: input and output by their role, whatever the direction; 16-byte aligned. */
status engine_run(engine *, cuda *, const void *x, const void *w, const void *y, void *workspace);

/* --- engine_own.c: our own kernels as an engine --- */

bool own_fits(const conv_problem *); /* they can run it */
size_t own_workspace(const conv_problem *);
status own_run(cuda *, const conv_problem *, const void *x, const void *w, const void *y, void *workspace);

/* Without a device: how many configurations cuDNN has for the problem on the GPU that `device_json` describes
 * (all, and those that give the same bits every time). */
status engine_count(const conv_problem *, const char *device_json, int *all, int *deterministic);

#endif
