/* tests/cuda/libraries.h -- between engine_fake.c, which sees cuDNN's headers, and libraries.cpp, which does
 * not. */
#ifndef CLEAVE_TESTS_LIBRARIES_H
#define CLEAVE_TESTS_LIBRARIES_H

#include "../../core/device/op.h"

enum { FAKE_WORKSPACE = 100 };

typedef struct fake_conv {
    conv_direction direction;
    bool add;
    dtype type;
    shape4 x, y;
    conv_desc conv;
} fake_conv;

#ifdef __cplusplus
extern "C"
#endif
    void
    fake_conv_run(const fake_conv *, const void *x, const void *w, const void *y, void *workspace);

#endif
