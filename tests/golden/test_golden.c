/* Whole nets against PyTorch in float64: check/golden.h says of what. */
#include "../../check/golden.h"
#include "../../core/file.h"
#include "../../core/rng.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static void must(status st)
{
    if (st != OK) fail_msg("%s", status_message());
}

static void tell(const char *line)
{
    print_error("%s\n", line);
}

static void check(const char *arch, const char *device)
{
    char path[64];
    golden_result r;
    backend *b;
    must(path_format(path, sizeof path, "tests/golden/%s.safetensors", arch));
    must(backend_open(device, 0, &b, NULL, 0));
    must(golden_check(path, b, tell, &r));
    backend_close(b);
    print_message("# %s on %s: worst error of %s\n", arch, device, r.worst);
    assert_string_equal(r.arch, arch);
    assert_int_equal(r.mismatches, 0);
    for (int i = 0; i < GOLDEN_PHASES; i++) /* 0 would mean that nothing was compared */
        assert_true(r.error[i] > 0 && r.error[i] <= GOLDEN_TOLERANCE);
}

static void use_convolution(const char *algorithm)
{
    assert_int_equal(setenv("CLEAVE_CONV", algorithm, 1), 0);
}

static void resnet20_on_ref(void **state)
{
    (void)state;
    check("resnet20", "ref");
}

static void resnet20_on_cpu(void **state)
{
    (void)state;
    use_convolution("direct");
    check("resnet20", "cpu");
}

static void resnet18_on_cpu(void **state)
{
    (void)state;
    use_convolution("direct");
    check("resnet18", "cpu");
}

static void vgg11_on_cpu(void **state)
{
    (void)state;
    use_convolution("direct");
    check("vgg11_bn", "cpu");
}

static void resnet18_on_cpu_with_winograd(void **state)
{
    (void)state;
    use_convolution("winograd");
    check("resnet18", "cpu");
}

/* The checker is checked: each kind of error that a record has to show. */
enum { N_PROBE = 5000 };

static int mismatches_after(void (*spoil)(double *t))
{
    golden_result r = { 0 };
    double golden[GOLDEN_RECORD];
    double *t = malloc(N_PROBE * sizeof *t);
    assert_non_null(t);
    for (uint64_t i = 0; i < N_PROBE; i++) t[i] = (double)rng_normal(0, RNG_TEST, 0, i);
    golden_record("probe", t, N_PROBE, golden);
    spoil(t);
    golden_compare(&r, GOLDEN_FORWARD, NULL, "probe", golden, t, N_PROBE, golden[0], 0);
    free(t);
    return r.mismatches;
}

static void leave(double *t)
{
    (void)t;
}
static void grow(double *t)
{
    for (int i = 0; i < N_PROBE; i++) t[i] *= 1.0003;
}
static void flip_one_in_a_hundred(double *t)
{
    for (int i = 0; i < N_PROBE; i += 100) t[i] = -t[i];
}
static void flip_all(double *t)
{
    for (int i = 0; i < N_PROBE; i++) t[i] = -t[i];
}
static void swap_two(double *t)
{
    double first = t[0];
    t[0] = t[1];
    t[1] = first;
}
static void lose_one(double *t)
{
    t[17] = NAN;
}

static void the_comparison_can_fail(void **state)
{
    (void)state;
    assert_int_equal(mismatches_after(leave), 0);
    assert_true(mismatches_after(grow) > 0);
    assert_true(mismatches_after(flip_one_in_a_hundred) > 0);
    assert_true(mismatches_after(flip_all) > 0);
    assert_true(mismatches_after(swap_two) > 0);
    assert_true(mismatches_after(lose_one) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_comparison_can_fail),
        cmocka_unit_test(resnet20_on_ref),
        cmocka_unit_test(resnet20_on_cpu),
        cmocka_unit_test(resnet18_on_cpu),
        cmocka_unit_test(vgg11_on_cpu),
        cmocka_unit_test(resnet18_on_cpu_with_winograd),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
