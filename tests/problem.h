/* tests/problem.h -- moved: bin/selftest uses it too. */
#include "../check/problem.h"
