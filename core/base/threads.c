#include "threads.h"

#include <stdlib.h>
#include <unistd.h>

void threads_sleep_when_waiting(char **argv)
{
    char self[4096]; /* the path, not /proc/self/exe: ps names a process after what it was started as */
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    if (getenv("OMP_WAIT_POLICY") || getenv("GOMP_SPINCOUNT") || length <= 0) return;
    self[length] = '\0';
    if (setenv("OMP_WAIT_POLICY", "passive", 1)) return;
    execv(self, argv); /* comes back only on failure: then threads spin, which is merely slower */
}
