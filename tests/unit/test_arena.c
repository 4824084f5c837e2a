/* tests/unit/test_arena.c -- the memory planner: never wrong, and not wasteful. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../core/device/arena.h"
#include "../../core/base/rng.h"

#define N_OF(array) ((int)(sizeof(array) / sizeof((array)[0])))

static size_t rounded(size_t bytes)
{
    return (bytes + ARENA_ALIGN - 1) / ARENA_ALIGN * ARENA_ALIGN;
}

/* The largest sum of (rounded) bytes alive at one time: no plan can do with less. The maximum is
 * reached where some request begins. */
static size_t lower_bound(const arena_request *r, int n)
{
    size_t most = 0;
    for (int t = 0; t < n; t++) {
        size_t sum = 0;
        for (int i = 0; i < n; i++) {
            if (r[i].first <= r[t].first && r[t].first <= r[i].last) sum += rounded(r[i].bytes);
        }
        if (sum > most) most = sum;
    }
    return most;
}

/* By definition, without the planner's own helpers: two requests share a byte and a moment. */
static void assert_valid(const arena_request *r, int n, size_t total)
{
    for (int i = 0; i < n; i++) {
        assert_int_equal(r[i].offset % ARENA_ALIGN, 0);
        assert_true(r[i].offset + r[i].bytes <= total);
        for (int j = 0; j < i; j++) {
            const int first = r[i].first > r[j].first ? r[i].first : r[j].first;
            const int last = r[i].last < r[j].last ? r[i].last : r[j].last;
            const size_t begin = r[i].offset > r[j].offset ? r[i].offset : r[j].offset;
            const size_t end_i = r[i].offset + r[i].bytes, end_j = r[j].offset + r[j].bytes;
            const size_t end = end_i < end_j ? end_i : end_j;
            if (first <= last && begin < end) fail_msg("requests %d and %d overlap", i, j);
        }
    }
}

static void nothing_needs_nothing(void **state)
{
    (void)state;
    size_t total = 99;
    assert_int_equal(arena_plan(NULL, 0, &total), OK);
    assert_int_equal(total, 0);
}

static void empty_requests_lie_at_zero(void **state)
{
    (void)state;
    arena_request r[] = { { 0, 0, 5, 77 }, { 100, 0, 5, 77 }, { 0, 2, 3, 77 } };
    size_t total;
    assert_int_equal(arena_plan(r, N_OF(r), &total), OK);
    assert_int_equal(r[0].offset, 0);
    assert_int_equal(r[1].offset, 0);
    assert_int_equal(r[2].offset, 0);
    assert_int_equal(total, rounded(100));
}

static void values_that_never_meet_share_bytes(void **state)
{
    (void)state;
    arena_request r[] = { { 1000, 0, 1 }, { 1000, 2, 3 }, { 900, 4, 4 } };
    size_t total;
    assert_int_equal(arena_plan(r, N_OF(r), &total), OK);
    assert_int_equal(total, 1024);
    assert_valid(r, N_OF(r), total);
}

static void the_last_moment_counts(void **state)
{
    (void)state;
    arena_request r[] = { { ARENA_ALIGN, 0, 2 }, { ARENA_ALIGN, 2, 3 } };
    size_t total;
    assert_int_equal(arena_plan(r, N_OF(r), &total), OK);
    assert_int_equal(total, 2 * ARENA_ALIGN);
    assert_valid(r, N_OF(r), total);
}

/* Forward leaves a value for backward at every layer, the gradient walks back through two buffers. */
static void a_chain_of_layers_is_planned_without_waste(void **state)
{
    (void)state;
    enum { LAYERS = 50 };
    arena_request r[2 * LAYERS];
    size_t total;
    for (int i = 0; i < LAYERS; i++) {
        const size_t bytes = (size_t)4096 * (size_t)(1 + (LAYERS - i) / 10);
        const int backward = 2 * LAYERS - 1 - i;
        r[2 * i] = (arena_request){ bytes, i, backward, 0 };
        r[2 * i + 1] = (arena_request){ bytes, backward - 1, backward, 0 };
    }
    assert_int_equal(arena_plan(r, N_OF(r), &total), OK);
    assert_valid(r, N_OF(r), total);
    assert_true(total <= lower_bound(r, N_OF(r)) * 105 / 100);
}

static void random_problems_never_overlap(void **state)
{
    (void)state;
    enum { PROBLEMS = 300, MOST = 120 };
    arena_request r[MOST];
    double waste = 0;

    for (uint32_t p = 0; p < PROBLEMS; p++) {
        const int n = 1 + (int)rng_below(1, RNG_TEST, p, 0, MOST);
        size_t total;
        for (int i = 0; i < n; i++) {
            const uint64_t at = 4 * (uint64_t)i;
            r[i].first = (int)rng_below(1, RNG_TEST, p, at + 1, 100);
            r[i].last = r[i].first + (int)rng_below(1, RNG_TEST, p, at + 2, 30);
            r[i].bytes = rng_below(1, RNG_TEST, p, at + 3, 100000);
        }
        assert_int_equal(arena_plan(r, n, &total), OK);
        assert_valid(r, n, total);
        const size_t bound = lower_bound(r, n);
        assert_true(total >= bound);
        assert_true(total <= bound * 3 / 2);
        waste += (double)total / (double)bound - 1;
    }
    assert_true(waste / PROBLEMS < 0.10);
}

static void the_plan_is_a_function_of_the_requests(void **state)
{
    (void)state;
    enum { N = 40 };
    arena_request a[N], b[N];
    size_t total_a, total_b;
    for (int i = 0; i < N; i++) {
        a[i] = (arena_request){ 640, i % 7, i % 7 + i % 3, 1 };
        b[i] = a[i];
        b[i].offset = 12345;
    }
    assert_int_equal(arena_plan(a, N, &total_a), OK);
    assert_int_equal(arena_plan(b, N, &total_b), OK);
    assert_int_equal(total_a, total_b);
    for (int i = 0; i < N; i++) assert_int_equal(a[i].offset, b[i].offset);
}

static void impossible_requests_are_refused(void **state)
{
    (void)state;
    arena_request backwards[] = { { 64, 3, 2 } };
    arena_request huge[] = { { SIZE_MAX - 10, 0, 1 } };
    arena_request sum[] = { { SIZE_MAX / 2, 0, 1 }, { SIZE_MAX / 2, 0, 1 }, { SIZE_MAX / 2, 0, 1 } };
    size_t total = 7;
    assert_int_equal(arena_plan(backwards, 1, &total), ERR_RUNTIME);
    assert_int_equal(arena_plan(huge, 1, &total), ERR_RUNTIME);
    assert_int_equal(arena_plan(sum, 3, &total), ERR_RUNTIME);
    assert_int_equal(total, 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_needs_nothing),
        cmocka_unit_test(empty_requests_lie_at_zero),
        cmocka_unit_test(values_that_never_meet_share_bytes),
        cmocka_unit_test(the_last_moment_counts),
        cmocka_unit_test(a_chain_of_layers_is_planned_without_waste),
        cmocka_unit_test(random_problems_never_overlap),
        cmocka_unit_test(the_plan_is_a_function_of_the_requests),
        cmocka_unit_test(impossible_requests_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
