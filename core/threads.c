#include "threads.h"

#include <stdlib.h>
#include <unistd.h>

void threads_sleep_when_waiting(char **argv)
{
    if (getenv("OMP_WAIT_POLICY") || getenv("GOMP_SPINCOUNT")) return;
    if (setenv("OMP_WAIT_POLICY", "passive", 1)) return;
    execv("/proc/self/exe", argv); /* comes back only on failure: then threads spin, which is merely slower */
}
