/* tests/cuda/checks.h -- what the parts of device_check.c share. */
#ifndef CLEAVE_TESTS_CUDA_CHECKS_H
#define CLEAVE_TESTS_CUDA_CHECKS_H

#include "device_check.h"

/* The check that is running has failed. */
void wrong(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* A status that must be OK; false if it is not. */
bool fine(status st, const char *what);
/* max |a - ref| / max |ref| must not exceed `limit`. */
void close_to(const char *what, const char *which, const float *a, const float *ref, int64_t n, double limit);
/* From N(0, 1); `a` numbers the stream. The caller frees. */
float *random_floats(int64_t n, uint32_t a);

/* similar_check.c */
void check_rows(const device_check *);
void check_resident(const device_check *);

#endif
