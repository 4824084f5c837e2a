/* tests/unit/test_opcheck.c -- the helper that compares backends must itself be able to fail. */
#include "../../tools/check/opcheck.h"
#include "../../tools/check/problem.h"
#include "../must.h"

#include <math.h>
#include <string.h>

static void the_error_is_relative_and_never_hides_nan(void **state)
{
    (void)state;
    const float ref[] = { 1, -4, 2 }, same[] = { 1, -4, 2 }, off[] = { 1, -4, 3 }, flipped[] = { 1, 4, 2 };
    const float nan[] = { 1, -4, NAN }, infinite[] = { 1, -INFINITY, 2 };
    assert_true(opcheck_error(same, ref, 3) == 0);
    assert_true(opcheck_error(off, ref, 3) == 0.25);
    assert_true(opcheck_error(flipped, ref, 3) == 2);
    assert_true(isinf(opcheck_error(nan, ref, 3)));
    assert_true(isinf(opcheck_error(ref, nan, 3)));
    assert_true(isinf(opcheck_error(infinite, infinite, 3)));
    assert_true(isinf(opcheck_error(NULL, ref, 3)));
    assert_true(isinf(opcheck_error(NULL, NULL, 3)));
}

/* The distance of every pre-activation to the kinks, from an op without activation on the same data. */
static void data_keep_their_margin(void **state)
{
    (void)state;
    static const char *const problems[] = { "bnact n3c7h5w5_relu6", "bnact n3c7h5w5_relu6_add",
                                            "linear n9c40h1w1_o20_relu6" };
    const opcheck_options opt = { .seed = 5, .margin = 0.1f };
    backend *ref;
    must(ref_open(1, &ref));
    for (size_t p = 0; p < 3; p++) {
        op_problem o;
        opcheck_result r;
        int below = 0, inside = 0, above = 0;
        must(problem_parse(problems[p], &o));
        must(opcheck_prepare(&o, &opt, &r));
        if (o.op.kind == OP_BNACT) o.op.bnact.act = ACT_NONE;
        if (o.op.kind == OP_LINEAR) o.op.linear.act = ACT_NONE;
        must(opcheck_execute(ref, &o, &opt, &r));
        for (int64_t i = 0; i < r.n_y; i++) {
            assert_true(fabsf(r.y[i]) > 0.0999f && fabsf(r.y[i] - 6) > 0.0999f);
            below += r.y[i] < 0;
            inside += r.y[i] > 0 && r.y[i] < 6;
            above += r.y[i] > 6;
        }
        assert_true(below > 0 && inside > 0 && above > 0);
        opcheck_free(&r);
    }
    backend_close(ref);
}

static void bf16_data_are_bf16(void **state)
{
    (void)state;
    const opcheck_options rounded = { .seed = 5, .backward = true, .bf16_data = true };
    op_problem o;
    opcheck_result r;
    must(problem_parse("bnact n2c5h5w5_relu_add", &o));
    must(opcheck_prepare(&o, &rounded, &r));
    for (int64_t i = 0; i < r.n_x; i++) {
        const float values[] = { r.x[i], r.z[i], r.dy[i], r.dx0[i], r.dz0[i] };
        uint32_t bits[5];
        memcpy(bits, values, sizeof bits);
        for (int j = 0; j < 5; j++) assert_int_equal(bits[j] & 0xffff, 0);
    }
    opcheck_free(&r);
}

/* ref, but its plans claim that backward does not read x, or y. */
static backend *honest;
static bool hide_x;

static status lying_plan(backend *b, const op *o, plan **out, op_needs *needs)
{
    const status st = honest->plan(b, o, out, needs);
    if (hide_x) {
        needs->backward_x = false;
    } else {
        needs->backward_y = false;
    }
    return st;
}

static void a_plan_that_understates_its_needs_is_caught(void **state)
{
    (void)state;
    const opcheck_options opt = { .seed = 5, .backward = true };
    backend *liar;
    backend table;
    op_problem o;
    opcheck_result r;

    must(ref_open(1, &liar));
    table = *liar;
    honest = &table;
    liar->plan = lying_plan;
    must(problem_parse("linear n3c4h1w1_o5_relu", &o));

    hide_x = true;
    must(opcheck_run(liar, &o, &opt, &r));
    assert_true(isinf(opcheck_error(r.grad[0], r.grad[0], r.n_param[0])));
    opcheck_free(&r);

    hide_x = false; /* a NaN in y passes for "not cut off": dy goes through unmasked */
    must(opcheck_run(liar, &o, &opt, &r));
    opcheck_result right;
    liar->plan = table.plan;
    must(opcheck_run(liar, &o, &opt, &right));
    assert_true(opcheck_error(r.dx, right.dx, r.n_x) > 0.01);
    opcheck_free(&r);
    opcheck_free(&right);
    backend_close(liar);
}

/* A recomputed y that lacks the shortcut. */
static status recompute_without_z(plan *p, const op_args *a)
{
    op_args less = *a;
    less.z = a->x;
    return honest->recompute(p, &less);
}

static void a_y_that_is_recomputed_otherwise_is_caught(void **state)
{
    (void)state;
    const opcheck_options opt = { .seed = 1, .backward = true };
    backend *b, table;
    op_problem o;
    opcheck_result r;
    must(ref_open(1, &b));
    table = *b;
    honest = &table;
    must(problem_parse("bnact n2c5h5w5_relu_add", &o));
    must(opcheck_run(b, &o, &opt, &r));
    assert_true(opcheck_error(r.y, r.y, r.n_y) == 0);
    opcheck_free(&r);
    b->recompute = recompute_without_z;
    must(opcheck_run(b, &o, &opt, &r));
    assert_true(isinf(opcheck_error(r.y, r.y, r.n_y)));
    opcheck_free(&r);
    backend_close(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_error_is_relative_and_never_hides_nan),
        cmocka_unit_test(data_keep_their_margin),
        cmocka_unit_test(bf16_data_are_bf16),
        cmocka_unit_test(a_plan_that_understates_its_needs_is_caught),
        cmocka_unit_test(a_y_that_is_recomputed_otherwise_is_caught),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
