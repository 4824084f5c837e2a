/* What a net costs. prune/cost.h. */
#include "../../core/base/clock.h"
#include "../../prune/cost.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static status measure(const char *key, int batch, cost *out)
{
    char size[32];
    config *cfg;
    snprintf(size, sizeof size, "train.batch=%d", batch);
    char *overrides[] = { "net.arch=resnet20", "device=ref", "threads=1", size, (char *)key };
    assert_int_equal(config_load(NULL, overrides, 5, &cfg), OK);
    status st = cost_measure(cfg, out);
    config_free(cfg);
    return st;
}

/* Multiply-accumulates by hand: 3x3 convolutions over 32x32x16, 16x16x32, 8x8x64, option A, linear 64-10. */
static void resnet20_on_the_reference_device(void **state)
{
    (void)state;
    cost c;
    int64_t stage = 9 * 16 * 16 * 1024; /* one convolution within a stage: the same in all three */
    double start = time_now();
    assert_int_equal(measure("seed=0", 2, &c), OK);
    double seconds = time_now() - start;
    assert_int_equal(c.params, 269722);
    assert_int_equal(c.macs, 9 * 3 * 16 * 1024 + 16 * stage + 2 * stage / 2 + 640);
    assert_true(c.latency_ms > 0 && 1e-3 * c.latency_ms * 10 < seconds); /* half of 20 passes are as slow */
    assert_true(c.images_per_s > 2 / seconds);
}

static void cutting_is_counted(void **state)
{
    (void)state;
    cost full, cut;
    assert_int_equal(measure("seed=0", 1, &full), OK);
    assert_int_equal(measure("net.remove=[layer1.1, layer1.2]", 1, &cut), OK);
    assert_int_equal(full.params - cut.params, 2 * 4672);
    assert_int_equal(full.macs - cut.macs, 4 * 9 * 16 * 16 * 1024);
}

static void failures(void **state)
{
    (void)state;
    cost c;
    assert_int_equal(measure("net.arch=resnet21", 1, &c), ERR_USAGE);
    assert_int_equal(measure("net.remove=[conv1]", 1, &c), ERR_USAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(resnet20_on_the_reference_device),
        cmocka_unit_test(cutting_is_counted),
        cmocka_unit_test(failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
