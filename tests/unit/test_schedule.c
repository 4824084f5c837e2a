/* nets/schedule.c against values worked out by hand from [Yang23]'s protocol and from the formulas. */
#include "../../nets/schedule.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void assert_near(double got, double want)
{
    if (fabs(got - want) > 1e-7 * fabs(want) + 1e-15) fail_msg("%.17g, not %.17g", got, want);
}

static int milestones[] = { 49, 99 };
static const config_train base = {
    .epochs = 150, .lr = 0.01f, .gamma = 0.1f, .milestones = milestones, .milestones_count = 2
};

/* "0-based epochs 0-48 at 0.01, 49-98 at 0.001, 99-149 at 0.0001" */
static void step(void **state)
{
    (void)state;
    for (int epoch = 0; epoch < 150; epoch++)
        for (int s = 0; s < 196; s += 195)
            assert_near(schedule_lr(&base, epoch, s, 196), epoch < 49 ? 0.01 : epoch < 99 ? 0.001 : 0.0001);
}

static void constant(void **state)
{
    (void)state;
    config_train t = base;
    t.schedule = SCHEDULE_CONSTANT;
    assert_near(schedule_lr(&t, 0, 0, 196), 0.01);
    assert_near(schedule_lr(&t, 149, 195, 196), 0.01);
}

/* 10 epochs of 4 steps: step 10 of 40 is a quarter of the way, cos(pi / 4). */
static void cosine(void **state)
{
    (void)state;
    config_train t = { .epochs = 10, .lr = 0.1f, .schedule = SCHEDULE_COSINE };
    assert_near(schedule_lr(&t, 0, 0, 4), 0.1);
    assert_near(schedule_lr(&t, 2, 2, 4), 0.1 * 0.8535533905932737);
    assert_near(schedule_lr(&t, 5, 0, 4), 0.05);
    assert_near(schedule_lr(&t, 7, 2, 4), 0.1 * 0.1464466094067262);
    assert_near(schedule_lr(&t, 9, 3, 4), 0.1 * 0.0015413331334360182); /* the last one is above 0 */
    double last = 1;
    for (int s = 0; s < 40; s++) {
        double lr = schedule_lr(&t, s / 4, s % 4, 4);
        assert_true(lr < last && lr > 0);
        last = lr;
    }
}

/* 2 epochs of 4 steps: 1/8, 2/8, .. 8/8, then the schedule. */
static void warmup(void **state)
{
    (void)state;
    config_train t = { .epochs = 10, .lr = 0.1f, .schedule = SCHEDULE_CONSTANT, .warmup = 2 };
    for (int s = 0; s < 8; s++) assert_near(schedule_lr(&t, s / 4, s % 4, 4), 0.1 * (s + 1) / 8);
    assert_near(schedule_lr(&t, 2, 0, 4), 0.1);

    t.schedule = SCHEDULE_COSINE; /* its 32 steps begin after the warm-up */
    assert_near(schedule_lr(&t, 0, 0, 4), 0.1 / 8);
    assert_near(schedule_lr(&t, 1, 3, 4), 0.1);
    assert_near(schedule_lr(&t, 2, 0, 4), 0.1);
    assert_near(schedule_lr(&t, 6, 0, 4), 0.05);
    assert_near(schedule_lr(&t, 4, 0, 4), 0.1 * 0.8535533905932737);

    t = base;
    t.warmup = 5;
    assert_near(schedule_lr(&t, 4, 195, 196), 0.01);
    assert_near(schedule_lr(&t, 49, 0, 196), 0.001);
}

/* Configurations at the edge give finite rates. */
static void edges(void **state)
{
    (void)state;
    config_train t = { .epochs = 2, .lr = 1, .schedule = SCHEDULE_COSINE, .warmup = 5 };
    assert_near(schedule_lr(&t, 1, 1, 2), 0.4); /* never gets through the warm-up */
    t.warmup = 2;
    assert_near(schedule_lr(&t, 1, 1, 2), 1);
    t = (config_train){ .epochs = 0, .lr = 1, .schedule = SCHEDULE_COSINE };
    assert_near(schedule_lr(&t, 0, 0, 1), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(step),   cmocka_unit_test(constant), cmocka_unit_test(cosine),
        cmocka_unit_test(warmup), cmocka_unit_test(edges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
