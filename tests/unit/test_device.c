/* tests/unit/test_device.c -- backend_open: what is asked for is what opens, or an error. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../nets/device.h"

#include <stdlib.h>
#include <string.h>

static void opens(const char *device, const char *name)
{
    backend *b = NULL;
    char why[64] = "";
    assert_int_equal(backend_open(device, 1, &b, why, sizeof why), OK);
    assert_string_equal(b->name, name);
    assert_int_equal(b->threads, 1);
    assert_true(strlen(b->description) > 0);
    assert_true(strlen(why) > 0);
    backend_close(b);
}

static void each_device_opens_by_its_name(void **state)
{
    (void)state;
    opens("ref", "ref");
    opens("cpu", "cpu");
}

static void auto_takes_one_and_says_why(void **state)
{
    (void)state;
    backend *b = NULL;
    char why[64] = "", cut[4] = "xxx";
    assert_int_equal(backend_open("auto", 1, &b, why, sizeof why), OK);
    assert_string_equal(b->name, "cpu");
    assert_non_null(strstr(why, "cpu"));
    assert_null(strchr(why, '\n'));
    backend_close(b);
    assert_int_equal(backend_open("auto", 1, &b, cut, sizeof cut), OK); /* no room for all of it */
    assert_string_equal(cut, "cpu");
    backend_close(b);
    assert_int_equal(backend_open("auto", 1, &b, NULL, 0), OK);
    backend_close(b);
}

static void zero_threads_are_all_cores(void **state)
{
    (void)state;
    backend *b = NULL;
    assert_int_equal(backend_open("ref", 0, &b, NULL, 0), OK);
    assert_true(b->threads >= 1);
    backend_close(b);
}

static void what_cannot_be_opened_is_an_error(void **state)
{
    (void)state;
    backend *b = NULL;
    assert_int_equal(backend_open("cudax", 0, &b, NULL, 0), ERR_USAGE);
    assert_int_equal(backend_open("cuda:", 0, &b, NULL, 0), ERR_USAGE);
    assert_int_equal(backend_open("cuda:-1", 0, &b, NULL, 0), ERR_USAGE);
    assert_int_equal(backend_open("cuda:1x", 0, &b, NULL, 0), ERR_USAGE);
    assert_int_equal(backend_open("gpu", 0, &b, NULL, 0), ERR_USAGE);
    assert_int_equal(backend_open("", 0, &b, NULL, 0), ERR_USAGE);
    assert_null(b);
}

static status open_configured(char *device, precision_kind precision, backend **out)
{
    const config c = { .device = device, .threads = 1, .precision = precision };
    return device_open(&c, out, NULL, 0);
}

/* No device here rounds products to tf32; the line says what would run. */
static void tf32_is_refused_without_cuda(void **state)
{
    (void)state;
    static char *const devices[] = { "cpu", "ref", "auto" };
    for (int i = 0; i < 3; i++) {
        backend *b = NULL;
        assert_int_equal(open_configured(devices[i], PRECISION_TF32, &b), ERR_USAGE);
        assert_null(b);
        assert_non_null(strstr(status_message(), "precision tf32"));
        assert_non_null(strstr(status_message(), "precision=f32"));
        assert_null(strchr(status_message(), '\n'));
        for (precision_kind p = PRECISION_F32; p <= PRECISION_BF16; p++) {
            assert_int_equal(open_configured(devices[i], p, &b), OK);
            assert_false(b->tf32);
            backend_close(b);
            b = NULL;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_device_opens_by_its_name), cmocka_unit_test(auto_takes_one_and_says_why),
        cmocka_unit_test(zero_threads_are_all_cores),    cmocka_unit_test(what_cannot_be_opened_is_an_error),
        cmocka_unit_test(tf32_is_refused_without_cuda),
    };
    setenv("CLEAVE_PLUGINS", "/nowhere", 1); /* plugins: test_plugin.c */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
