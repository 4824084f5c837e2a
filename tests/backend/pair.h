/* tests/backend/pair.h -- both backends for one test program, with all cores:
 *     return cmocka_run_group_tests(tests, open_pair, close_pair); */
#ifndef CLEAVE_TESTS_PAIR_H
#define CLEAVE_TESTS_PAIR_H

#include "../../nets/device.h"
#include "../../core/device/backend.h"
#include "../must.h"

static backend *ref, *cpu;

static inline int open_pair(void **state)
{
    (void)state;
    return backend_open("ref", 0, &ref, NULL, 0) != OK || backend_open("cpu", 0, &cpu, NULL, 0) != OK;
}

static inline int close_pair(void **state)
{
    (void)state;
    backend_close(ref);
    backend_close(cpu);
    return 0;
}

#endif
