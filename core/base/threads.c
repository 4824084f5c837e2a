/* core/base/threads.c -- see threads.h. */
#include "threads.h"
#include "path.h"

#include <stdlib.h>
#include <unistd.h>

void threads_sleep_when_waiting(char **argv)
{
    file_path self; /* not "/proc/self/exe": ps shows the name that a process was started by */
    if (getenv("OMP_WAIT_POLICY") || getenv("GOMP_SPINCOUNT") || path_of_program(&self) != OK) return;
    if (setenv("OMP_WAIT_POLICY", "passive", 1)) return;
    execv(self.s, argv); /* returns only if it fails; then threads spin, which is slower but works */
}
