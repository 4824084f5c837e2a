/* core/base/threads.c: how many threads there are, and the limits around the process. */
#include "../../core/base/file.h"
#include "../../core/base/log.h"
#include "../../core/base/threads.h"
#include "../scratch.h"

#include <omp.h>
#include <sched.h>

/* SCRATCH/NAME with this text; NAME may have folders. */
static void put(const char *name, const char *text)
{
    file_path path;
    assert_int_equal(path_set(&path, "%s/%s", scratch, name), OK);
    file_path folder = path;
    assert_true(path_to_parent(&folder));
    assert_int_equal(file_make_dirs(folder.s), OK);
    assert_int_equal(file_replace(path.s, text, strlen(text)), OK);
}

static int quota(const char *name)
{
    file_path self, root;
    assert_int_equal(path_set(&self, "%s/%s/self", scratch, name), OK);
    assert_int_equal(path_set(&root, "%s/%s/fs", scratch, name), OK);
    return threads_of_cgroup(self.s, root.s);
}

static void cgroup_version_2(void **state)
{
    (void)state;
    put("v2/self", "0::/a/b\n");
    assert_int_equal(quota("v2"), 0); /* nothing is mounted */
    put("v2/fs/a/b/cpu.max", "max 100000\n");
    assert_int_equal(quota("v2"), 0);
    put("v2/fs/a/b/cpu.max", "800000 100000\n");
    assert_int_equal(quota("v2"), 8);
    put("v2/fs/a/cpu.max", "250000 100000\n"); /* the group around it allows less */
    assert_int_equal(quota("v2"), 3);
    put("v2/fs/a/b/cpu.max", "1000 100000\n");
    assert_int_equal(quota("v2"), 1);
    put("v2/fs/a/b/cpu.max", "garbage\n");
    put("v2/fs/a/cpu.max", "100000 0\n");
    assert_int_equal(quota("v2"), 0);
    put("docker/self", "0::/system.slice/docker-1f2e.scope\n"); /* the host's path; here is only the mount */
    put("docker/fs/cpu.max", "200000 100000\n");
    assert_int_equal(quota("docker"), 2);
    put("docker/self", "0::/../../other\n");
    assert_int_equal(quota("docker"), 2);
    put("hybrid/self", "1:name=systemd:/\n0::/x\n");
    put("hybrid/fs/unified/x/cpu.max", "400000 100000\n");
    assert_int_equal(quota("hybrid"), 4);
}

static void cgroup_version_1(void **state)
{
    (void)state;
    put("v1/self", "12:cpuset:/c\n4:cpu,cpuacct:/c/d\n3:memory:/c\n");
    put("v1/fs/cpu,cpuacct/c/d/cpu.cfs_quota_us", "-1\n");
    put("v1/fs/cpu,cpuacct/c/d/cpu.cfs_period_us", "100000\n");
    assert_int_equal(quota("v1"), 0);
    put("v1/fs/cpu,cpuacct/c/d/cpu.cfs_quota_us", "150000\n");
    assert_int_equal(quota("v1"), 2);
    put("v1/fs/cpuset/c/cpu.cfs_quota_us", "1\n"); /* another controller's group */
    put("v1/fs/cpuset/c/cpu.cfs_period_us", "1\n");
    assert_int_equal(quota("v1"), 2);
    put("plain/self", "1:cpu:/docker/1f2e\n");
    put("plain/fs/cpu/cpu.cfs_quota_us", "600000\n");
    put("plain/fs/cpu/cpu.cfs_period_us", "100000\n");
    assert_int_equal(quota("plain"), 6);
    assert_int_equal(threads_of_cgroup("/nowhere", "/nowhere"), 0);
}

static void the_smallest_limit_counts(void **state)
{
    (void)state;
    unsetenv("OMP_NUM_THREADS");
    const int all = threads_available();
    assert_true(all >= 1 && all <= omp_get_num_procs());
    assert_int_equal(threads_choose(0), all);
    assert_int_equal(threads_choose(all + 1), all + 1); /* what was asked for is not replaced */
    static const char *const one[] = { "1", " 1 ", "1,4" };
    for (size_t i = 0; i < sizeof one / sizeof *one; i++) {
        setenv("OMP_NUM_THREADS", one[i], 1);
        assert_int_equal(threads_available(), 1);
        assert_int_equal(threads_choose(2), 2);
    }
    setenv("OMP_NUM_THREADS", "4096", 1);
    assert_int_equal(threads_available(), all);
    unsetenv("OMP_NUM_THREADS");
    cpu_set_t before, single;
    assert_int_equal(sched_getaffinity(0, sizeof before, &before), 0);
    CPU_ZERO(&single);
    for (int i = 0; i < CPU_SETSIZE && !CPU_COUNT(&single); i++)
        if (CPU_ISSET(i, &before)) CPU_SET(i, &single);
    assert_int_equal(sched_setaffinity(0, sizeof single, &single), 0);
    assert_int_equal(threads_available(), 1);
    assert_int_equal(sched_setaffinity(0, sizeof before, &before), 0);
}

static void without_levels_there_is_one_thread(void **state)
{
    (void)state;
    const int before = omp_get_max_active_levels();
    omp_set_max_active_levels(0);
    log_set_level(LOG_ERROR);
    assert_int_equal(threads_available(), 1);
    assert_int_equal(threads_choose(2), 1);
    omp_set_max_active_levels(before);
}

static void variables_are_checked(void **state)
{
    (void)state;
    static const char *const bad[] = { "100000", "4097", "0", "-1", "two", "2x", "99999999999999999999" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        setenv("OMP_NUM_THREADS", bad[i], 1);
        assert_int_equal(threads_start(), ERR_USAGE);
        char want[100];
        snprintf(want, sizeof want, "OMP_NUM_THREADS=%s: expected a whole number from 1 to 4096", bad[i]);
        assert_string_equal(status_message(), want);
    }
    setenv("OMP_NUM_THREADS", "", 1);
    assert_int_equal(threads_start(), OK);
    unsetenv("OMP_NUM_THREADS");
    setenv("OMP_THREAD_LIMIT", "none", 1);
    assert_int_equal(threads_start(), ERR_USAGE);
    assert_non_null(strstr(status_message(), "OMP_THREAD_LIMIT=none"));
    unsetenv("OMP_THREAD_LIMIT");
    omp_set_dynamic(1);
    assert_int_equal(threads_start(), OK);
    assert_int_equal(omp_get_dynamic(), 0);
    assert_int_equal(omp_get_max_threads(), threads_available());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cgroup_version_2),          cmocka_unit_test(cgroup_version_1),
        cmocka_unit_test(the_smallest_limit_counts), cmocka_unit_test(without_levels_there_is_one_thread),
        cmocka_unit_test(variables_are_checked),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
