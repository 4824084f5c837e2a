/* tests/scratch.h -- a folder for the files of one test program:
 *     return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown); */
#ifndef CLEAVE_TESTS_SCRATCH_H
#define CLEAVE_TESTS_SCRATCH_H

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

static char scratch[] = "/tmp/cleave-test-XXXXXX";

static inline int scratch_setup(void **state)
{
    (void)state;
    return mkdtemp(scratch) ? 0 : -1;
}

static inline int scratch_teardown(void **state)
{
    (void)state;
    char command[64];
    snprintf(command, sizeof command, "rm -rf %s", scratch);
    return system(command);
}

/* SCRATCH/NAME, in one of four buffers: the fifth call reuses the first one's. */
static inline const char *scratch_path(const char *name)
{
    static char path[4][512];
    static int turn;
    char *p = path[turn++ % 4];
    snprintf(p, sizeof path[0], "%s/%s", scratch, name);
    return p;
}

/* Writes a file and makes the folders in its name. */
static inline const char *scratch_write(const char *name, const void *data, size_t bytes)
{
    const char *path = scratch_path(name);
    char command[600];
    snprintf(command, sizeof command, "mkdir -p \"$(dirname '%s')\"", path);
    assert_int_equal(system(command), 0);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, bytes, f), bytes);
    assert_int_equal(fclose(f), 0);
    return path;
}

/* Until disk_has_room, a write beyond `bytes` of a file fails in the middle, as on a full disk ("File too large"). */
static inline void disk_is_full(size_t bytes)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static inline void disk_has_room(void)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = limit.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    signal(SIGXFSZ, SIG_DFL);
}

/* A file of ../shared, or NULL after printing why the test is skipped. */
static inline const char *shared_path(const char *name)
{
    static char path[1024];
    const char *base = getenv("CLEAVE_SHARED");
    snprintf(path, sizeof path, "%s/%s", base ? base : "../shared", name);
    if (access(path, R_OK) == 0) return path;
    printf("SKIPPED: no ../shared (%s)\n", path);
    return NULL;
}

#endif
