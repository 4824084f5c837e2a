/* tests/cuda/libraries.h -- convolutions in plain loops (libraries.cpp), called by engine_fake.c. */
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
