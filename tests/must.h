/* tests/must.h -- cmocka, with the headers it wants before it, and must(): what may not fail. */
#ifndef CLEAVE_TESTS_MUST_H
#define CLEAVE_TESTS_MUST_H

#include "../core/base/status.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* A macro, so that the test's own line is reported. */
#define must(answer)                                                                                         \
    do {                                                                                                     \
        if ((answer) != OK) fail_msg("%s: %s", status_place(), status_message());                            \
    } while (0)

#endif
