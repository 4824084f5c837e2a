/* tests/cuda/analysis_check.h -- the analysis of a net on an emulated device. */
#ifndef CLEAVE_TESTS_ANALYSIS_CHECK_H
#define CLEAVE_TESTS_ANALYSIS_CHECK_H

#include "../../core/device/backend.h"

/* Prints what is wrong, in lines that begin with "# "; returns how much. */
int analysis_check(backend *cuda);

#endif
