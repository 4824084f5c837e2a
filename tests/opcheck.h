/* tests/opcheck.h -- moved: bin/selftest uses it too. */
#include "../check/opcheck.h"
