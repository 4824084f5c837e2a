/* What a net costs. prune/cost.h. */
#include "../../core/base/progress.h"
#include "../../prune/cost.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* Multiply-accumulates by hand: 3x3 convolutions over 32x32x16, 16x16x32, 8x8x64, option A, linear 64-10. */
static void resnet20_on_the_reference_device(void **state)
{
    (void)state;
    cost c;
    int64_t stage = 9 * 16 * 16 * 1024; /* one convolution within a stage: the same in all three */
    double start = time_now();
    assert_int_equal(cost_measure("resnet20", 10, NULL, 0, "ref", 1, F32, 2, &c), OK);
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
    char *remove[] = { "layer1.1", "layer1.2" };
    assert_int_equal(cost_measure("resnet20", 10, NULL, 0, "ref", 1, F32, 1, &full), OK);
    assert_int_equal(cost_measure("resnet20", 10, remove, 2, "ref", 1, F32, 1, &cut), OK);
    assert_int_equal(full.params - cut.params, 2 * 4672);
    assert_int_equal(full.macs - cut.macs, 4 * 9 * 16 * 16 * 1024);
}

static void failures(void **state)
{
    (void)state;
    cost c;
    char *stem[] = { "conv1" };
    assert_int_equal(cost_measure("resnet21", 10, NULL, 0, "ref", 1, F32, 1, &c), ERR_USAGE);
    assert_int_equal(cost_measure("resnet20", 10, stem, 1, "ref", 1, F32, 1, &c), ERR_USAGE);
    assert_int_equal(cost_measure("resnet20", 10, NULL, 0, "abacus", 1, F32, 1, &c), ERR_USAGE);
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
