/* tests/unit/test_plugin.c -- backends in files of their own: what opens, and the one line where nothing
 * does. The files are tests/plugins/NAME.c, built into $B/tests/plugins/NAME/libcleave_cuda.so. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../core/base/log.h"
#include "../../nets/device.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char installed[4096]; /* where tests/run says the real plugin is */

static void use(const char *name)
{
    char folder[4096];
    const char *build = getenv("B");
    snprintf(folder, sizeof folder, "%s/tests/plugins/%s", build ? build : "build", name);
    setenv("CLEAVE_PLUGINS", folder, 1);
}

static void refused(const char *device, const char *part)
{
    backend *b = NULL;
    assert_int_equal(backend_open(device, 1, &b, NULL, 0), ERR_RUNTIME);
    assert_null(b);
    if (!strstr(status_message(), part)) fail_msg("\"%s\" does not say \"%s\"", status_message(), part);
    assert_ptr_equal(strstr(status_message(), "device "), status_message());
    assert_null(strchr(status_message(), '\n'));
}

/* auto: the same reason, in one line, and a CPU. */
static void falls_back(const char *part)
{
    backend *b = NULL;
    char why[1300] = "";
    assert_int_equal(backend_open("auto", 1, &b, why, sizeof why), OK);
    assert_string_equal(b->name, "cpu");
    assert_ptr_equal(strstr(why, "cpu (auto: no cuda: "), why);
    if (!strstr(why, part)) fail_msg("\"%s\" does not say \"%s\"", why, part);
    assert_null(strchr(why, '\n'));
    backend_close(b);
}

static void a_plugin_opens_with_its_device_and_threads(void **state)
{
    (void)state;
    backend *b = NULL;
    char why[100];
    use("works");
    assert_int_equal(backend_open("cuda", 3, &b, why, sizeof why), OK);
    assert_string_equal(b->description, "device 0");
    assert_int_equal(b->threads, 3);
    assert_string_equal(why, "as asked");
    backend_close(b);
    assert_int_equal(backend_open("cuda:7", 1, &b, NULL, 0), OK);
    assert_string_equal(b->description, "device 7");
    backend_close(b);
}

static void only_precision_tf32_rounds_products(void **state)
{
    (void)state;
    use("works");
    for (precision_kind p = PRECISION_F32; p <= PRECISION_TF32; p++) {
        backend *b = NULL;
        char why[100];
        const config c = { .device = p == PRECISION_TF32 ? "auto" : "cuda:1", .precision = p };
        assert_int_equal(device_open(&c, &b, why, sizeof why), OK);
        assert_int_equal(b->tf32, p == PRECISION_TF32);
        assert_int_equal(config_type(&c), p == PRECISION_BF16 ? BF16 : F32);
        assert_true(strlen(why) > 0);
        backend_close(b);
    }
}

static void auto_takes_a_plugin_that_works(void **state)
{
    (void)state;
    backend *b = NULL;
    char why[100];
    use("works");
    assert_int_equal(backend_open("auto", 1, &b, why, sizeof why), OK);
    assert_string_equal(b->name, "cuda");
    assert_non_null(strstr(why, "cuda"));
    backend_close(b);
}

/* In every line that a tool prints: "cpu" where there is no GPU to be missed, with the reason where there is one. */
static void a_cpu_needs_no_excuse_without_a_gpu(void **state)
{
    (void)state;
    backend *b = NULL;
    char why[1300];
    const config automatic = { .device = "auto" }, asked = { .device = "ref" };
    setenv("CLEAVE_PLUGINS", "/nowhere", 1);
    assert_int_equal(device_open(&automatic, &b, why, sizeof why), OK);
    if (access("/dev/nvidiactl", F_OK) != 0 && access("/dev/dxg", F_OK) != 0)
        assert_string_equal(why, "cpu");
    else
        assert_ptr_equal(strstr(why, "cpu (auto: no cuda: "), why);
    backend_close(b);
    assert_int_equal(device_open(&asked, &b, why, sizeof why), OK);
    assert_string_equal(why, "ref");
    backend_close(b);
}

static void what_the_device_says_is_passed_on(void **state)
{
    (void)state;
    use("works");
    refused("cuda:8", "device cuda:8: there is no device 8");
    refused("cuda:99999999999999999999", "there is no device 2147483647");
}

static void a_missing_plugin_is_named(void **state)
{
    (void)state;
    setenv("CLEAVE_PLUGINS", "/nowhere", 1);
    refused("cuda", "device cuda: this build has no cuda backend (there is no /nowhere/libcleave_cuda.so)");
    falls_back("this build has no cuda backend");
}

static void other_interfaces_are_refused(void **state)
{
    (void)state;
    use("old");
    refused("cuda", "build both from the same source");
    falls_back("build both from the same source");
    use("resized");
    refused("cuda:1", "build both from the same source");
    use("stranger");
    refused("cuda", "is not a backend");
}

static void a_damaged_plugin_is_an_error(void **state)
{
    (void)state;
    char folder[64] = "/tmp/cleave-plugin-XXXXXX", path[128];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/libcleave_cuda.so", folder);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs("not a library\n", f) >= 0);
    assert_int_equal(fclose(f), 0);
    setenv("CLEAVE_PLUGINS", folder, 1);
    refused("cuda", path);
    falls_back(path);
    unlink(path);
    rmdir(folder);
}

/* A folder or a file that everyone may write to, as in /tmp, decides nothing. */
static void a_folder_of_everyone_is_refused(void **state)
{
    (void)state;
    char folder[64] = "/tmp/cleave-plugin-XXXXXX", path[128], command[600];
    const char *build = getenv("B");
    backend *b = NULL;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/libcleave_cuda.so", folder);
    snprintf(command, sizeof command, "cp %s/tests/plugins/works/libcleave_cuda.so %s",
             build ? build : "build", path);
    assert_int_equal(system(command), 0);
    assert_int_equal(chmod(path, 0755), 0);
    setenv("CLEAVE_PLUGINS", folder, 1);
    assert_int_equal(backend_open("cuda", 1, &b, NULL, 0), OK);
    backend_close(b);
    assert_int_equal(chmod(folder, 01777), 0);
    refused("cuda", "CLEAVE_PLUGINS: everyone may write to /tmp/cleave-plugin-");
    falls_back("everyone may write");
    assert_int_equal(chmod(folder, 0755), 0);
    assert_int_equal(chmod(path, 0757), 0);
    refused("cuda", path);
    unlink(path);
    rmdir(folder);
}

/* The real one. */
static void cuda_without_a_gpu_says_so(void **state)
{
    (void)state;
    char path[4200];
    snprintf(path, sizeof path, "%s/libcleave_cuda.so", installed);
    if (access(path, F_OK)) {
        print_message("SKIPPED: the CUDA backend was not built: no CUDA toolkit with cuDNN here\n");
        skip();
    }
    if (access("/dev/nvidiactl", F_OK) == 0 || access("/dev/dxg", F_OK) == 0) {
        print_message("SKIPPED: there is an NVIDIA driver here; make test-cuda tests the GPU\n");
        skip();
    }
    setenv("CLEAVE_PLUGINS", installed, 1);
    refused("cuda", "device cuda: no NVIDIA driver is installed");
    refused("cuda:1", "device cuda:1: no NVIDIA driver is installed");
    falls_back("no NVIDIA driver is installed");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plugin_opens_with_its_device_and_threads),
        cmocka_unit_test(only_precision_tf32_rounds_products),
        cmocka_unit_test(auto_takes_a_plugin_that_works),
        cmocka_unit_test(a_cpu_needs_no_excuse_without_a_gpu),
        cmocka_unit_test(what_the_device_says_is_passed_on),
        cmocka_unit_test(a_missing_plugin_is_named),
        cmocka_unit_test(other_interfaces_are_refused),
        cmocka_unit_test(a_damaged_plugin_is_an_error),
        cmocka_unit_test(a_folder_of_everyone_is_refused),
        cmocka_unit_test(cuda_without_a_gpu_says_so),
    };
    const char *folder = getenv("CLEAVE_PLUGINS");
    snprintf(installed, sizeof installed, "%s", folder ? folder : "bin");
    log_set_level(LOG_QUIET);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
