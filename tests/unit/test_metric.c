/* Exactly so many units: by gain, by value, by chance, from the end. prune/metric.h. */
#include "../../prune/metric.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { N = 7 };

/* Point 0 and 3 cannot go; gains of the others over the point before: +.2 -.05 | +.1 -.1 +.02. */
static const criterion_point curve[N] = {
    { "stem", .1, false, 0, "it is the stem" },
    { "a1", .3, true, 1, NULL },
    { "a2", .25, true, 1, NULL },
    { "b0", .4, false, 2, "it changes shape" },
    { "b1", .5, true, 2, NULL },
    { "b2", .4, true, 2, NULL },
    { "b3", .42, true, 2, NULL },
};

static criterion_decision d[N];

/* "a2 b2": the names of what goes. */
static const char *cut(void)
{
    static char text[64];
    text[0] = '\0';
    for (int t = 0; t < N; t++) {
        if (!d[t].cut) continue;
        size_t used = strlen(text);
        snprintf(text + used, sizeof text - used, "%s%s", used ? " " : "", curve[t].name);
    }
    return text;
}

static void the_least_gain_goes_first_and_the_rest_is_measured_again(void **state)
{
    (void)state;
    /* b2 (-.1); then b3 over b1: .42 - .5 = -.08; then a2 (-.05); b1 over b0 +.1; a1 +.2. */
    static const char *const wanted[] = { "", "b2", "b2 b3", "a2 b2 b3", "a2 b1 b2 b3", "a1 a2 b1 b2 b3" };
    for (int count = 0; count <= 5; count++) {
        assert_int_equal(pick_by_gain(curve, N, count, PICK_LEAST, d), OK);
        assert_string_equal(cut(), wanted[count]);
    }
    assert_true(strstr(d[5].reason, "-0.1") != NULL);
    assert_true(strstr(d[0].reason, "it is the stem") != NULL);
    assert_int_equal(pick_by_gain(curve, N, 6, PICK_LEAST, d), ERR_USAGE);
}

static void or_the_most(void **state)
{
    (void)state;
    /* a1 (+.2); then a2 over the stem: +.15; then b1: .5 - .4 = +.1. */
    static const char *const wanted[] = { "", "a1", "a1 a2", "a1 a2 b1" };
    for (int count = 0; count <= 3; count++) {
        assert_int_equal(pick_by_gain(curve, N, count, PICK_MOST, d), OK);
        assert_string_equal(cut(), wanted[count]);
    }
}

static void points_without_a_value_stay(void **state)
{
    (void)state;
    criterion_point holed[N];
    memcpy(holed, curve, sizeof holed);
    holed[5].value = NAN;
    assert_int_equal(pick_by_gain(holed, N, 2, PICK_LEAST, d), OK);
    assert_string_equal(cut(), "a2 b3"); /* b3 over b1: -.08; a2: -.05 */
    assert_int_equal(pick_by_gain(holed, N, 5, PICK_LEAST, d), ERR_USAGE);
    assert_int_equal(pick_smallest(holed, N, 4, d), OK);
    assert_string_equal(cut(), "a1 a2 b1 b3");
    assert_int_equal(pick_last(holed, N, 5, d), OK); /* asks no values */
}

static void the_smallest_values(void **state)
{
    (void)state;
    assert_int_equal(pick_smallest(curve, N, 3, d), OK);
    assert_string_equal(cut(), "a1 a2 b2");
    criterion_point equal[N];
    memcpy(equal, curve, sizeof equal);
    for (int t = 0; t < N; t++) equal[t].value = 0;
    assert_int_equal(pick_smallest(equal, N, 2, d), OK); /* ties: the deeper ones */
    assert_string_equal(cut(), "b2 b3");
    assert_int_equal(pick_by_gain(equal, N, 2, PICK_LEAST, d), OK);
    assert_string_equal(cut(), "b2 b3");
}

static void from_the_end(void **state)
{
    (void)state;
    assert_int_equal(pick_last(curve, N, 4, d), OK);
    assert_string_equal(cut(), "a2 b1 b2 b3");
    assert_int_equal(pick_last(curve, N, 6, d), ERR_USAGE);
}

/* Every unit that can go is drawn as often as any other; the same seed and draw are the same. */
static void by_chance(void **state)
{
    (void)state;
    enum { DRAWS = 4000 };
    int times[N] = { 0 };
    for (uint64_t seed = 0; seed < DRAWS; seed++) {
        char before[64];
        int n = 0;
        assert_int_equal(pick_random(curve, N, 2, seed % 40, seed / 40, d), OK);
        snprintf(before, sizeof before, "%s", cut());
        for (int t = 0; t < N; t++) {
            assert_true(!d[t].cut || curve[t].removable);
            times[t] += d[t].cut;
            n += d[t].cut;
        }
        assert_int_equal(n, 2);
        assert_int_equal(pick_random(curve, N, 2, seed % 40, seed / 40, d), OK);
        assert_string_equal(cut(), before);
    }
    /* 2 of 5: mean 1600, standard deviation sqrt(4000 * .4 * .6) = 31. */
    for (int t = 0; t < N; t++) assert_true(!curve[t].removable || fabs(times[t] - 1600.0) < 5 * 31);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_least_gain_goes_first_and_the_rest_is_measured_again),
        cmocka_unit_test(or_the_most),
        cmocka_unit_test(points_without_a_value_stay),
        cmocka_unit_test(the_smallest_values),
        cmocka_unit_test(from_the_end),
        cmocka_unit_test(by_chance),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
