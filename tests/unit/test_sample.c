/* Which images an analysis looks at. graph/sample.h. */
#include "../../core/base/rng.h"
#include "../../graph/sample.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { N = 1000, CLASSES = 10 };

static int32_t label[N];

/* Class 9 has 20 images, class 8 none. */
static int make_labels(void **state)
{
    (void)state;
    for (int i = 0; i < N; i++) label[i] = i < 20 ? 9 : (int32_t)rng_below(1, RNG_TEST, 0, (uint64_t)i, 8);
    return 0;
}

static int draw(uint64_t seed, int want, bool balanced, int *out)
{
    int n = -1;
    assert_int_equal(sample_draw(seed, want, balanced, label, N, CLASSES, out, &n), OK);
    for (int i = 0; i < n; i++) assert_in_range(out[i], i ? out[i - 1] + 1 : 0, N - 1);
    return n;
}

static void ascending_without_replacement_by_seed(void **state)
{
    (void)state;
    int a[N], b[N], c[N];
    assert_int_equal(draw(0, 400, false, a), 400);
    assert_int_equal(draw(0, 400, false, b), 400);
    assert_int_equal(draw(1, 400, false, c), 400);
    assert_memory_equal(a, b, 400 * sizeof(int));
    assert_memory_not_equal(a, c, 400 * sizeof(int));
    assert_int_equal(draw(0, 5000, false, a), N); /* fewer images than wanted: all of them */
    assert_int_equal(draw(0, 0, false, a), 0);
}

/* Over many seeds every image is drawn about equally often. */
static void every_image_has_the_same_chance(void **state)
{
    (void)state;
    int out[N], times[N] = { 0 };
    for (uint64_t seed = 0; seed < 400; seed++) {
        int n = draw(seed, 250, false, out);
        for (int i = 0; i < n; i++) times[out[i]]++;
    }
    for (int i = 0; i < N; i++) assert_in_range(times[i], 100 - 50, 100 + 50); /* sd 8.7: almost 6 of them */
}

static void balanced(void **state)
{
    (void)state;
    const int want[] = { 90, 95, 1000 }, each[] = { 10, 10, 20 };
    for (int k = 0; k < 3; k++) {
        int out[N], count[CLASSES] = { 0 };
        assert_int_equal(draw(3, want[k], true, out), 9 * each[k]);
        for (int i = 0; i < 9 * each[k]; i++) count[label[out[i]]]++;
        for (int c = 0; c < CLASSES; c++) assert_int_equal(count[c], c == 8 ? 0 : each[k]);
    }
}

static void the_union_begins_with_the_first_images(void **state)
{
    (void)state;
    const int sample[] = { 0, 3, 7, 9 };
    int image[10];
    int32_t vertex[10];
    assert_int_equal(sample_union(sample, 4, 4, 10, image, vertex), 6);
    assert_memory_equal(image, ((const int[]){ 0, 1, 2, 3, 7, 9 }), 6 * sizeof(int));
    assert_memory_equal(vertex, ((const int32_t[]){ 0, -1, -1, 1, 2, 3 }), 6 * sizeof(int32_t));
    assert_int_equal(sample_union(sample, 4, 0, 10, image, vertex), 4);
    assert_int_equal(sample_union(sample, 0, 10, 10, image, vertex), 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ascending_without_replacement_by_seed),
        cmocka_unit_test(every_image_has_the_same_chance),
        cmocka_unit_test(balanced),
        cmocka_unit_test(the_union_begins_with_the_first_images),
    };
    return cmocka_run_group_tests(tests, make_labels, NULL);
}
