/* Whole nets against PyTorch in float64: tools/check/golden.h says of what. */
#include "../../nets/device.h"
#include "../../core/base/file.h"
#include "../../core/base/rng.h"
#include "../../tools/check/golden.h"
#include "../must.h"

#include <math.h>
#include <stdlib.h>

static void tell(const char *line)
{
    print_error("%s\n", line);
}

/* conv: which algorithm the cpu device takes for convolutions, core/cpu/conv.c. */
typedef struct golden_case {
    const char *arch, *device, *conv;
} golden_case;

static void against_golden(void **state)
{
    const golden_case *c = *state;
    char path[64];
    golden_result r;
    backend *b;
    assert_int_equal(setenv("CLEAVE_CONV", c->conv, 1), 0);
    must(text_format(path, sizeof path, "tests/golden/%s.safetensors", c->arch));
    must(backend_open(c->device, 0, &b, NULL, 0));
    must(golden_check(path, b, tell, &r));
    backend_close(b);
    for (int i = 0; i < GOLDEN_PHASES; i++) /* 0 would mean that nothing was compared */
        assert_true(r.error[i] > 0);
    print_message("# %s on %s: %.2g forward, %.2g backward, %.2g training; worst of %s\n", c->arch, c->device,
                  r.error[GOLDEN_FORWARD], r.error[GOLDEN_BACKWARD], r.error[GOLDEN_TRAINING], r.worst);
    assert_string_equal(r.arch, c->arch);
    assert_int_equal(r.mismatches, 0);
    for (int i = 0; i < GOLDEN_PHASES; i++) assert_true(r.error[i] <= GOLDEN_TOLERANCE);
}
#define GOLDEN(arch, device, conv)                                                                           \
    {                                                                                                        \
        arch " on " device ", " conv, against_golden, NULL, NULL, &(golden_case)                             \
        {                                                                                                    \
            arch, device, conv                                                                               \
        }                                                                                                    \
    }

/* The checker is checked: each kind of error that a record has to show. */
enum { N_PROBE = 5000 };

static int mismatches_after(void (*spoil)(double *t))
{
    golden_result r = { 0 };
    double golden[GOLDEN_MAX_RECORD];
    double *t = malloc(N_PROBE * sizeof *t);
    assert_non_null(t);
    for (uint64_t i = 0; i < N_PROBE; i++) t[i] = (double)rng_normal(0, RNG_TEST, 0, i);
    golden_record("probe", t, N_PROBE, golden, GOLDEN_MAX_RECORD);
    spoil(t);
    golden_compare(&r, GOLDEN_FORWARD, NULL, "probe", golden, GOLDEN_MAX_RECORD, t, N_PROBE, golden[0], 0);
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
        cmocka_unit_test(the_comparison_can_fail), GOLDEN("resnet20", "ref", "direct"),
        GOLDEN("resnet20", "cpu", "direct"),       GOLDEN("resnet18", "cpu", "direct"),
        GOLDEN("resnet18", "cpu", "winograd"),     GOLDEN("vgg11_bn", "cpu", "direct"),
        GOLDEN("resnet50", "cpu", "direct"),       GOLDEN("resnet101", "cpu", "direct"),
        GOLDEN("mobilenetv2", "ref", "direct"),    GOLDEN("mobilenetv2", "cpu", "direct"),
        GOLDEN("mobilenetv2_tv", "cpu", "direct"), GOLDEN("resnet152", "cpu", "direct"),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
