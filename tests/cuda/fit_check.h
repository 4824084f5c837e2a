/* tests/cuda/fit_check.h -- a training on an emulated device, augmented there and on the host. */
#ifndef CLEAVE_TESTS_FIT_CHECK_H
#define CLEAVE_TESTS_FIT_CHECK_H

#include "../../core/device/backend.h"

/* Prints what is wrong, in lines that begin with "# "; returns how much. */
int fit_check(backend *cuda);

#endif
