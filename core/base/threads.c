/* core/base/threads.c -- see threads.h. */
#include "threads.h"
#include "log.h"
#include "path.h"
#include "text.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <omp.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

void threads_sleep_when_waiting(char **argv)
{
    file_path self; /* not "/proc/self/exe": ps shows the name that a process was started by */
    if (getenv("OMP_WAIT_POLICY") || getenv("GOMP_SPINCOUNT") || path_of_program(&self) != OK) return;
    if (setenv("OMP_WAIT_POLICY", "passive", 1)) return;
    execv(self.s, argv); /* returns only if it fails; then threads spin, which is slower but works */
}

/* ---- stacks ---- */

enum { STACK_LEAST = 512 << 10, STACK_ENOUGH = 8 << 20 };

/* "512k" of OMP_STACKSIZE, in bytes; without a letter it is in units of 1024. -1: OpenMP does not accept it either. */
static long long stack_size(const char *text)
{
    static const char letters[] = "bkmg";
    char *end;
    const long long n = strtoll(text, &end, 10);
    end += strspn(end, " \t");
    const char *letter = *end ? strchr(letters, tolower((unsigned char)*end)) : &letters[1];
    if (end == text || !letter || n < 0) return -1;
    const int shift = 10 * (int)(letter - letters);
    return n > LLONG_MAX >> shift ? LLONG_MAX : n << shift;
}

status threads_check_stack(void)
{
    status st = OK;
    static const char *const variables[] = { "OMP_STACKSIZE", "GOMP_STACKSIZE" };
    struct rlimit limit;
    pthread_attr_t attr;
    size_t of_threads;
    if (getrlimit(RLIMIT_STACK, &limit) == 0 && limit.rlim_cur < STACK_ENOUGH) {
        limit.rlim_cur = limit.rlim_max < STACK_ENOUGH ? limit.rlim_max : STACK_ENOUGH;
        setrlimit(RLIMIT_STACK, &limit);
        if (limit.rlim_cur < STACK_LEAST)
            FAIL(ERR_RUNTIME, "a stack of %llu KB (ulimit -s) is too small: %d KB are needed",
                 (unsigned long long)limit.rlim_cur >> 10, STACK_LEAST >> 10);
    }
    /* Threads get what the limit was when this process began. */
    if (pthread_getattr_default_np(&attr) == 0 && pthread_attr_getstacksize(&attr, &of_threads) == 0 &&
        of_threads < STACK_LEAST && pthread_attr_setstacksize(&attr, STACK_ENOUGH) == 0)
        pthread_setattr_default_np(&attr);
    for (int i = 0; i < 2; i++) {
        const char *text = getenv(variables[i]);
        const long long bytes = text ? stack_size(text) : STACK_ENOUGH;
        if (bytes >= 0 && bytes < STACK_LEAST)
            FAIL(ERR_USAGE, "%s=%.40s: a stack too small: at least %dk is needed", variables[i], text,
                 STACK_LEAST >> 10);
    }
out:
    return st;
}

/* ---- OpenMP's variables ---- */

/* The first number of a variable such as "8" or "4,2"; 0 if the variable is not set or empty, -1 if it is not a whole
 * number from 1 to `most`. */
static long first_number(const char *variable, long most)
{
    const char *text = getenv(variable);
    char *end;
    if (!text || !text[strspn(text, " \t")]) return 0;
    errno = 0;
    const long n = strtol(text, &end, 10);
    end += strspn(end, " \t");
    return end == text || errno || n < 1 || n > most || (*end && *end != ',') ? -1 : n;
}

static int smaller(int a, long b)
{
    return b > 0 && b < a ? (int)b : a;
}

/* The most threads that OpenMP gives to a team. */
static int limit_of_openmp(const char **variable)
{
    *variable = "OMP_MAX_ACTIVE_LEVELS=0";
    if (omp_get_max_active_levels() < 1) return 1;
    *variable = "OMP_THREAD_LIMIT";
    return omp_get_thread_limit();
}

status threads_start(void)
{
    status st = OK;
    if (first_number("OMP_NUM_THREADS", THREADS_MAX) < 0)
        FAIL(ERR_USAGE, "OMP_NUM_THREADS=%.40s: expected a whole number from 1 to %d",
             getenv("OMP_NUM_THREADS"), THREADS_MAX);
    if (first_number("OMP_THREAD_LIMIT", LONG_MAX) < 0)
        FAIL(ERR_USAGE, "OMP_THREAD_LIMIT=%.40s: expected a whole number from 1", getenv("OMP_THREAD_LIMIT"));
    if (omp_get_dynamic())
        log_warn("OMP_DYNAMIC is ignored: results depend on the number of threads, so it stays the same");
    omp_set_dynamic(0);
    omp_set_num_threads(threads_available());
out:
    return st;
}

int threads_available(void)
{
    const char *variable;
    int n = omp_get_num_procs(); /* the affinity that the process had when it started */
    n = smaller(n, sysconf(_SC_NPROCESSORS_ONLN));
    n = smaller(n, first_number("OMP_NUM_THREADS", THREADS_MAX));
    n = smaller(n, threads_of_cgroup("/proc/self/cgroup", "/sys/fs/cgroup"));
    n = smaller(n, limit_of_openmp(&variable));
    return n < 1 ? 1 : n;
}

int threads_choose(int asked)
{
    static bool said;
    const char *variable;
    const int n = asked > 0 ? asked : threads_available(), limit = limit_of_openmp(&variable);
    if (n <= limit) return n;
    if (!said) log_warn("threads=%d, but %s allows only %d: computing with %d", n, variable, limit, limit);
    said = true;
    return limit;
}

/* ---- cgroups ---- */

/* The first line of FOLDER/NAME; false if there is none. */
static bool read_line(const char *folder, const char *name, char *line, int bytes)
{
    file_path path;
    if (path_set(&path, "%s/%s", folder, name) != OK) return false;
    FILE *f = fopen(path.s, "re");
    const bool ok = f && fgets(line, bytes, f);
    if (f) fclose(f);
    return ok;
}

/* CPUs of one group: quota / period, rounded up; 0: no limit. */
static int limit_of_group(const char *folder)
{
    char line[128], second[64];
    long long quota, period = 0;
    if (read_line(folder, "cpu.max", line, sizeof line)) { /* "200000 100000" or "max 100000" */
        if (sscanf(line, "%lld %lld", &quota, &period) != 2) return 0;
    } else { /* -1: no quota */
        if (!read_line(folder, "cpu.cfs_quota_us", line, sizeof line) ||
            !read_line(folder, "cpu.cfs_period_us", second, sizeof second))
            return 0;
        if (sscanf(line, "%lld", &quota) != 1 || sscanf(second, "%lld", &period) != 1) return 0;
    }
    if (quota <= 0 || period <= 0) return 0;
    const long long n = quota / period + (quota % period != 0);
    return n > INT_MAX ? INT_MAX : (int)n;
}

/* The smallest limit of a group and all groups around it. In a container `path` may be that of the host, which is not
 * mounted here; then the container's own group is the mount itself. */
static int limit_of_path(const char *mount, const char *path)
{
    file_path folder;
    int least = 0;
    if (path_set(&folder, "%s%s", mount, path) != OK) return 0;
    const size_t top = strlen(mount);
    while (strlen(folder.s) >= top) {
        const int n = limit_of_group(folder.s);
        if (n > 0 && (!least || n < least)) least = n;
        if (!path_to_parent(&folder)) break;
    }
    return least;
}

/* One line: "0::/user.slice" (version 2) or "4:cpu,cpuacct:/docker/1f2e" (version 1). */
static int limit_of_line(char *line, const char *root)
{
    file_path mount;
    char *names = strchr(line, ':'), *path = names ? strchr(names + 1, ':') : NULL;
    if (!path) return 0;
    *names++ = *path++ = '\0';
    path[strcspn(path, "\n")] = '\0';
    if (strstr(path, "..")) path = ""; /* outside of what this process sees */
    if (!*names) {
        const int n = limit_of_path(root, path);
        const bool ok = path_set(&mount, "%s/unified", root) == OK; /* beside version 1 */
        return n || !ok ? n : limit_of_path(mount.s, path);
    }
    if (strcmp(names, "cpu") != 0 && strncmp(names, "cpu,", 4) != 0 && !strstr(names, ",cpu,") &&
        !text_ends_with(names, ",cpu"))
        return 0;
    if (path_set(&mount, "%s/%s", root, names) != OK) return 0;
    const int n = limit_of_path(mount.s, path);
    if (n || path_set(&mount, "%s/cpu", root) != OK) return n;
    return limit_of_path(mount.s, path);
}

int threads_of_cgroup(const char *self, const char *root)
{
    char line[PATH_BYTES + 256];
    int least = 0;
    FILE *f = fopen(self, "re");
    if (!f) return 0;
    while (fgets(line, sizeof line, f)) {
        const int n = limit_of_line(line, root);
        if (n > 0 && (!least || n < least)) least = n;
    }
    fclose(f);
    return least;
}
