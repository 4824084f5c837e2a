/* data/dataset.c: the table of formats, limits, the number of classes, and nothing left over on failure. */
#include "../../data/dataset.h"
#include "../image32.h"
#include "../scratch.h"

static void write_cifar10(void)
{
    static const char *const names[] = { "data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin",
                                         "data_batch_4.bin", "data_batch_5.bin", "test_batch.bin" };
    static uint8_t records[3 * 3073];
    for (int i = 0; i < 6; i++) scratch_write(names[i], records, sizeof records);
}

static void opens_either_or_both(void **state)
{
    (void)state;
    dataset train, test;
    char path[256];
    write_cifar10();
    snprintf(path, sizeof path, "%s", scratch);
    config_data cfg = { CONFIG32, .format = DATA_CIFAR10, .path = path, .train_limit = 7, .test_limit = 2 };
    assert_int_equal(dataset_open(&cfg, 10, &train, &test), OK);
    assert_int_equal(train.n, 7);
    assert_int_equal(test.n, 2);
    dataset_free(&train);
    dataset_free(&test);
    assert_int_equal(dataset_open(&cfg, 10, NULL, &test), OK);
    assert_int_equal(test.n, 2);
    dataset_free(&test);
    cfg.train_limit = 0;
    assert_int_equal(dataset_open(&cfg, 10, &train, NULL), OK);
    assert_int_equal(train.n, 15);
    dataset_free(&train);
    dataset_free(&train); /* a zeroed one is harmless */
}

static void every_format_is_in_the_table(void **state)
{
    (void)state;
    dataset test;
    config_data cfg = { CONFIG32, .path = "/nonexistent/place" };
    for (cfg.format = DATA_CIFAR10; cfg.format < DATA_SYNTHETIC; cfg.format++) {
        assert_int_equal(dataset_open(&cfg, 10, NULL, &test), ERR_DATA);
        assert_non_null(strstr(status_message(), "/nonexistent/place"));
    }
    cfg.test_limit = 10;
    assert_int_equal(dataset_open(&cfg, 10, NULL, &test), OK);
    assert_int_equal(test.n, 10);
    dataset_free(&test);
}

static void the_net_must_fit(void **state)
{
    (void)state;
    dataset train, test;
    config_data cfg = { CONFIG32, .format = DATA_SYNTHETIC, .path = "", .train_limit = 20, .test_limit = 20 };
    assert_int_equal(dataset_open(&cfg, 100, &train, &test), ERR_DATA);
    assert_non_null(strstr(status_message(), "has 10 classes"));
    assert_non_null(strstr(status_message(), "100 outputs"));
    assert_null(train.image);
    assert_null(test.image);
}

/* Training is fine, test is not: nothing of training may stay behind. */
static void all_or_nothing(void **state)
{
    (void)state;
    dataset train, test;
    char path[256];
    write_cifar10();
    snprintf(path, sizeof path, "%s", scratch);
    assert_int_equal(unlink(scratch_path("test_batch.bin")), 0);
    config_data cfg = { CONFIG32, .format = DATA_CIFAR10, .path = path };
    assert_int_equal(dataset_open(&cfg, 10, &train, &test), ERR_DATA);
    assert_null(train.image);
    assert_null(train.label);
    assert_int_equal(train.n, 0);
    assert_null(test.image);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(opens_either_or_both),
        cmocka_unit_test(every_format_is_in_the_table),
        cmocka_unit_test(the_net_must_fit),
        cmocka_unit_test(all_or_nothing),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
