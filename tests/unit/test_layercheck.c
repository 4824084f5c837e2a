/* tools/check/layercheck.c: a backend that computes something else is noticed, forward and backward. */
#include "../../tools/check/layercheck.h"
#include "../must.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static backend *ref, *spoiled;
static status (*forward)(plan *, const op_args *);
static status (*backward)(plan *, const op_args *);
static float spoil;

/* The second value of an output is off by a share `spoil`. */
static status forward_wrong(plan *p, const op_args *a)
{
    status st = forward(p, a);
    if (a->y) ((float *)a->y)[1] *= 1 + spoil;
    if (a->stats) a->stats->loss *= 1 + (double)spoil;
    return st;
}

static status backward_wrong(plan *p, const op_args *a)
{
    status st = backward(p, a);
    if (a->grad[0]) a->grad[0][1] *= 1 + spoil;
    if (!a->grad[0] && a->dx) ((float *)a->dx)[1] *= 1 + spoil;
    return st;
}

static int open_backends(void **state)
{
    (void)state;
    if (ref_open(1, &ref) != OK || ref_open(1, &spoiled) != OK) return 1;
    forward = spoiled->forward;
    backward = spoiled->backward;
    return 0;
}

static int close_backends(void **state)
{
    (void)state;
    backend_close(ref);
    backend_close(spoiled);
    return 0;
}

static layer_errors check(const char *problem)
{
    layer_errors e;
    must(layer_check(problem, ref, spoiled, &e));
    return e;
}

static void the_same_backend_has_no_error(void **state)
{
    (void)state;
    spoiled->forward = forward;
    spoiled->backward = backward;
    for (int i = 0; layer_problems[i]; i++) {
        layer_errors e = check(layer_problems[i]);
        assert_non_null(e.forward.what);
        assert_true(e.forward.error == 0 && e.backward.error == 0);
        assert_true(layer_error_ok(&e.forward) && layer_error_ok(&e.backward));
    }
}

static const char *const some[] = { "conv n2c3h6w6_o4k3s1p1", "linear n3c24h1w1_o10_none",
                                    "bnact n4c6h5w5_none", "pool n2c3h4w4_avg", "loss n5c10_s0" };

static void a_wrong_value_is_noticed(void **state)
{
    static const float spoils[] = { -2, 0.01f, NAN }; /* the sign, a percent, nothing */
    (void)state;
    for (size_t s = 0; s < sizeof spoils / sizeof *spoils; s++) {
        spoil = spoils[s];
        for (size_t i = 0; i < sizeof some / sizeof *some; i++) {
            spoiled->forward = forward_wrong;
            spoiled->backward = backward;
            layer_errors e = check(some[i]);
            assert_false(layer_error_ok(&e.forward));
            spoiled->forward = forward;
            spoiled->backward = backward_wrong;
            e = check(some[i]);
            assert_true(layer_error_ok(&e.forward));
            assert_false(layer_error_ok(&e.backward));
        }
    }
}

static void not_a_problem(void **state)
{
    layer_errors e;
    (void)state;
    assert_int_equal(layer_check("conv nonsense", ref, spoiled, &e), ERR_USAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_backend_has_no_error),
        cmocka_unit_test(a_wrong_value_is_noticed),
        cmocka_unit_test(not_a_problem),
    };
    return cmocka_run_group_tests(tests, open_backends, close_backends);
}
