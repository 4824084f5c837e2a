/* tests/cuda/checks.h -- what the parts of device_check.c share. */
#ifndef CLEAVE_TESTS_CUDA_CHECKS_H
#define CLEAVE_TESTS_CUDA_CHECKS_H

#include "../../nets/run.h"
#include "device_check.h"

/* The check that is running has failed. */
void wrong(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The status must be OK; false if it is not. */
bool fine(status st, const char *what);
/* max |a - ref| / max |ref| must not exceed `limit`. */
void close_to(const char *what, const char *which, const float *a, const float *ref, int64_t n, double limit);
/* From N(0, 1); `a` numbers the stream. The caller frees. */
float *random_floats(int64_t n, uint32_t a);

/* A net with an evaluation and a training case of d->batch images, initialised. */
status open_net(const device_check *d, backend *, const checked_net *, dtype, net **out);

/* Steps from .. to - 1 of d->batch images, drawn for each step. */
status train_steps(net *, int batch, int from, int to);

typedef struct state state; /* values and velocities of all parameters */
status save(net *, state **out);
bool same_bits(const net *, const state *, const state *);
void free_state(const net *, state *);

/* net_check.c */
void check_nets(const device_check *);
void check_repeats(const device_check *);
void check_uploads(const device_check *);

/* image_check.c */
void check_images(const device_check *);
void check_kept(const device_check *);

/* engine_check.c; the emulated device has no engines to choose from */
void check_engines(const device_check *);

/* similarity_check.c */
void check_rows(const device_check *);
void check_ties(const device_check *);
void check_resident(const device_check *);

/* Checks that need all of Cleave: only in test_emulated.c. They print what is wrong, in lines that begin with "# ", and
 * return how much is. */
int check_analysis(backend *cuda); /* analysis_check.c: the analysis of a net */
int check_training(backend *cuda); /* training_check.c: a training, augmented on the device and on the host */

#endif
