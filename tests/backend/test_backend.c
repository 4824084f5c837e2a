/* tests/backend/test_backend.c -- the cpu backend against the definition (layers/), one problem a line.
 *
 * Errors are max |cpu - ref| / max |ref| of each output. ref sums in double, cpu in float (2^-24 = 6e-8):
 * a sum of k terms in blocked order is off by some sqrt(k) * 6e-8 of its largest terms. Seen on the
 * problems here: at most 1.1e-6 (direct) and 2.3e-6 (Winograd); the limits leave a factor of four for
 * other processors' order of summation. */
#include "../../tools/check/opcheck.h"
#include "../../tools/check/problem.h"
#include "pair.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const double DIRECT = 4e-6;
/* The transforms of F(4x4, 3x3) have entries up to 8 and subtract: they lose about one more digit. */
static const double WINOGRAD = 1e-5;

/* Values in bf16: both round the same sum once, so they differ by a unit in the last place at most, 2^-7 of
 * the largest; where cpu adds to a gradient it has rounded the summand before, which may cost another half.
 * Gradients of parameters are f32 sums of exact products: no worse than DIRECT, but the processor's bf16
 * products round sums of two. */
static const double BF16_VALUE = 1.2e-2, BF16_GRAD = 4e-6;

/* Where BN is folded into a convolution, bf16 weights are rounded before or after folding: a unit in the last place of
 * each, which the sum averages. Seen: at most 7.0e-3, inside BF16_VALUE. */

/* --- against ref --- */

static int compare_all(const char *problem, const op_problem *o, const opcheck_result *a,
                       const opcheck_result *b, double value_limit, double limit)
{
    opcheck_output output[OPCHECK_OUTPUTS];
    const int n = opcheck_compare(a, b, output);
    int wrong = 0;
    for (int i = 0; i < n; i++) {
        const double error = output[i].error, allowed = output[i].value ? value_limit : limit;
        if (getenv("CLEAVE_TEST_VERBOSE"))
            print_message("%-40s %-12s %.1e\n", problem, output[i].name, error);
        if (error <= allowed) continue;
        print_error("%s: %s is off by %.2e, allowed %.1e\n", problem, output[i].name, error, allowed);
        wrong++;
    }
    if (o->op.kind == OP_LOSS) {
        assert_int_equal(a->stats.correct, b->stats.correct);
        assert_int_equal(a->stats.rows, b->stats.rows);
        assert_true(fabs(a->stats.loss - b->stats.loss) <= 1e-9 * fabs(b->stats.loss));
    }
    return wrong;
}

static int run_both(const char *problem, const opcheck_options *options, double value_limit, double limit)
{
    op_problem o;
    opcheck_result a = { 0 }, b = { 0 };
    must(problem_parse(problem, &o));
    opcheck_options opt = *options;
    opt.backward = opt.backward && o.op.training;
    must(opcheck_run(cpu, &o, &opt, &a));
    must(opcheck_run(ref, &o, &opt, &b));
    int wrong = compare_all(problem, &o, &a, &b, value_limit, limit);
    opcheck_free(&a);
    opcheck_free(&b);
    return wrong;
}

/* Forward and backward; overwriting, adding, and with nothing wanted but one thing. */
static int check_variants(const char *problem, bool bf16, double value_limit, double limit)
{
    static const opcheck_options variants[] = {
        { .seed = 1, .backward = true },
        { .seed = 2, .backward = true, .dx_add = true, .dz_add = true, .ignored = 3 },
        { .seed = 3, .backward = true, .no_dx = true },
        { .seed = 4, .backward = true, .no_grad = true, .ties = true },
        { .seed = 5, .backward = true, .dx_add = true },
        { .seed = 6, .backward = true, .dz_add = true },
    };
    int wrong = 0;
    for (size_t v = 0; v < sizeof variants / sizeof *variants; v++) {
        opcheck_options o = variants[v];
        o.bf16_data = bf16;
        /* A step of x in bf16 moves y by far more than the usual margin: as much room as the steps need. */
        if (bf16) o.margin = strstr(problem, "relu6") ? 0.1f : 0.02f;
        wrong += run_both(problem, &o, value_limit, limit);
    }
    return wrong;
}

static void check(const char *const *problems, double limit)
{
    int wrong = 0;
    for (; *problems; problems++) wrong += check_variants(*problems, false, limit, limit);
    assert_int_equal(wrong, 0);
}

static void check_bf16(const char *const *problems)
{
    int wrong = 0;
    op_problem o;
    must(problem_parse("bnact n2c16h4w4_relu_bf16", &o));
    if (problem_unsupported(cpu, &o)) {
        print_message("SKIPPED: %s\n", problem_unsupported(cpu, &o));
        skip();
    }
    for (; *problems; problems++) {
        char problem[PROBLEM_BYTES];
        snprintf(problem, sizeof problem, "%s_bf16", *problems);
        wrong += check_variants(problem, true, BF16_VALUE, BF16_GRAD);
    }
    assert_int_equal(wrong, 0);
}

static const char *const conv_problems[] = {
    "conv n2c3h8w8_o16k3s1p1",
    "conv n2c3h9w7_o16k3s2p1b",
    "conv n3c1h6w6_o3k3s1p1",
    "conv n2c2h5w5_o1k3s1p1",
    "conv n1c4h5w5_o5k3s1p1b",
    "conv n2c17h7w5_o24k3s1p1",
    "conv n2c24h8w8_o17k3s2p1b",
    "conv n2c16h8w8_o16k3s1p1",
    "conv n4c32h8w8_o32k3s1p1b",
    "conv n2c16h8w8_o32k1s1p0",
    "conv n2c24h9w9_o40k1s2p0",
    "conv n2c64h8w8_o128k1s2p0",
    "conv n3c20h6w6_o3k1s1p0b",
    "conv n2c3h12w12_o8k5s1p2",
    "conv n2c16h8w8_o16k5s2p2",
    "conv n2c3h16w16_o16k7s2p3",
    "conv n2c16h7w7_o32k2s1p0",
    "conv n2c32h1w1_o10k1s1p0b",
    "conv n5c24h1w1_o17k1s1p0",
    "conv n2c17h1w1_o16k3s1p1",
    "conv n2c16h4w4_o8k4s1p0",
    "conv n2c16h3w3_o17k3s1p0",
    "conv n1c8h1w9_o8k1s1p0",
    "conv n2c3h1w1_o1k1s1p0",
    NULL,
};

static const char *const grouped_problems[] = {
    "conv n2c32h8w8_o32k3s1p1g32",    "conv n2c24h7w7_o24k3s2p1g24b",
    "conv n2c96h5w5_o96k3s1p1g96",    "conv n2c32h6w6_o64k3s1p1g2",
    "conv n2c12h6w6_o8k3s1p1g4b",     "conv n2c3h6w6_o3k3s1p1g3",
    "conv n2c16h6w6_o32k3s1p1g16",    "conv n2c32h1w1_o32k3s1p1g32",
    "conv n2c17h8w8_o17k3s1p1g17",    "conv n1c5h9w9_o5k3s2p1g5b",
    "conv n2c37h7w5_o37k3s2p1g37",    "conv n2c33h2w2_o33k3s1p1g33",
    "conv n2c144h4w4_o144k3s2p1g144", "conv n2c1h6w6_o1k3s1p1",
    "conv n2c2h5w5_o4k1s1p0g2",       NULL,
};

static const char *const winograd_problems[] = {
    "conv n4c32h8w8_o32k3s1p1",
    "conv n2c64h16w16_o64k3s1p1b",
    "conv n3c48h7w9_o80k3s1p1",
    "conv n2c17h8w8_o40k3s1p1b",
    "conv n2c128h4w4_o64k3s1p1",
    "conv n2c16h5w6_o16k3s1p1",
    "conv n2c3h8w8_o32k3s1p1",
    "conv n2c32h2w2_o32k3s1p1",
    "conv n3c17h2w2_o40k3s1p1b",
    "conv n2c32h9w3_o32k3s1p1",
    "conv n1c32h1w1_o32k3s1p1",
    /* Of winograd.c: sums by all threads together, several groups of tiles, several parts of the sums, both. */
    "conv n258c160h1w2_o200k3s1p1",
    "conv n5c272h4w3_o280k3s1p1",
    "conv n258c272h2w1_o296k3s1p1",
    NULL,
};

static void conv_direct(void **state)
{
    (void)state;
    setenv("CLEAVE_CONV", "direct", 1);
    check(conv_problems, DIRECT);
    check(winograd_problems, DIRECT);
    check(grouped_problems, DIRECT);
    unsetenv("CLEAVE_CONV");
}

static void conv_winograd(void **state)
{
    (void)state;
    setenv("CLEAVE_CONV", "winograd", 1);
    check(winograd_problems, WINOGRAD);
    unsetenv("CLEAVE_CONV");
}

static void conv_auto(void **state)
{
    static const char *const problems[] = { "conv n16c32h8w8_o32k3s1p1", "conv n8c64h9w8_o40k3s1p1", NULL };
    (void)state;
    check(conv_problems, WINOGRAD);
    check(problems, WINOGRAD);
}

static const char *const bnact_problems[] = {
    "bnact n4c16h8w8_relu",
    "bnact n4c16h8w8_relu_add",
    "bnact n2c17h5w7_none",
    "bnact n3c24h9w9_relu6_add",
    "bnact n2c3h6w6_relu_add",
    "bnact n5c1h4w4_relu6",
    "bnact n8c24h1w1_relu_add",
    "bnact n9c32h1w1_none_add",
    "bnact n100c40h3w3_relu",
    "bnact n2c8h33w17_none_add",
    "bnact n2c64h1w2_relu",
    "bnact n4c17h8w8_relu_add_eval",
    "bnact n2c3h6w6_relu6_add_eval",
    "bnact n2c32h4w4_none_eval",
    "bnact n1c24h1w1_relu_eval",
    "bnact n4c17h8w8_relu_add_frozen",
    "bnact n3c24h9w9_none_frozen",
    "bnact n2c64h4w4_relu6_frozen",
    NULL,
};

static void bnact(void **state)
{
    (void)state;
    check(bnact_problems, DIRECT);
}

static const char *const bnact_pool_problems[] = {
    "bnact_pool n4c16h8w8_relu_max_k2s2p0",
    "bnact_pool n2c64h2w2_relu_max_k2s2p0", /* y [2, 64, 1, 1] */
    "bnact_pool n3c24h6w4_relu6_max_k2s2p0",
    "bnact_pool n3c17h9w6_none_max_k3s3p0",
    "bnact_pool n9c40h4w4_relu_max_k4s4p0",
    "bnact_pool n2c32h36w40_relu_max_k2s2p0",
    "bnact_pool n2c24h8w8_relu_frozen_max_k2s2p0",
    "bnact_pool n64c64h64w32_relu_max_k2s2p0", /* dx of a size that is stored past the caches */
    NULL,
};

static void bnact_pool(void **state)
{
    (void)state;
    check(bnact_pool_problems, DIRECT);
}

static const char *const conv_bnact_problems[] = {
    "conv_bnact n2c3h8w8_o16k3s1p1_relu_eval",
    "conv_bnact n3c17h7w5_o24k3s2p1b_none_eval",
    "conv_bnact n4c32h8w8_o32k3s1p1b_relu_add_eval",
    "conv_bnact n3c48h7w9_o80k3s1p1_relu_eval",
    "conv_bnact n2c64h9w8_o64k3s1p1_none_add_eval",
    "conv_bnact n2c17h8w8_o40k3s1p1_relu6_add_eval",
    "conv_bnact n2c24h8w8_o144k1s1p0_relu6_eval",
    "conv_bnact n2c144h8w8_o24k1s1p0_none_add_eval",
    "conv_bnact n2c64h8w8_o128k1s2p0_none_eval",
    "conv_bnact n2c96h8w8_o96k3s2p1g96_relu6_eval",
    "conv_bnact n2c40h5w5_o40k3s1p1g40_relu_add_eval",
    "conv_bnact n2c12h6w6_o8k3s1p1g4b_relu_eval",
    "conv_bnact n2c24h6w6_o3k3s1p1_relu_add_eval",
    "conv_bnact n5c24h1w1_o17k1s1p0b_relu_add_eval",
    "conv_bnact n5c32h1w1_o32k1s1p0_relu6_add_eval",
    "conv_bnact n1c5h9w9_o7k3s2p1_none_add_eval",
    NULL,
};

static void conv_bnact(void **state)
{
    (void)state;
    setenv("CLEAVE_CONV", "direct", 1);
    check(conv_bnact_problems, DIRECT);
    setenv("CLEAVE_CONV", "winograd", 1);
    check(conv_bnact_problems, WINOGRAD);
    unsetenv("CLEAVE_CONV");
}

static const char *const pool_problems[] = {
    "pool n2c16h8w8_max_k2s2p0",
    "pool n2c17h7w9_max_k2s2p0",
    "pool n2c3h6w6_max_k2s2p0",
    "pool n2c24h9w9_max_k3s2p1",
    "pool n1c1h7w7_max_k3s1p1",
    "pool n2c40h2w2_max_k2s2p0",
    "pool n2c64h2w2_max_k2s2p0",
    "pool n2c16h9w9_max_k2s3p0",
    "pool n2c5h8w8_max_k5s4p2",
    "pool n2c16h8w8_avg",
    "pool n2c17h5w3_avg",
    "pool n2c3h4w4_avg",
    "pool n2c24h1w1_avg",
    "pool n2c64h4w4_avg",
    "pool n2c24h9w9_max_k3s2p1_eval",
    NULL,
};

static void pool(void **state)
{
    (void)state;
    check(pool_problems, 1e-6); /* no sums, or short ones */
}

static const char *const linear_problems[] = {
    "linear n3c24h1w1_o10_relu", "linear n64c512h1w1_o512_relu",  "linear n5c17h3w3_o7_none",
    "linear n4c16h2w2_o1_relu6", "linear n1c1h1w1_o1_none",       "linear n7c32h1w1_o100_none",
    "linear n2c3h4w4_o33_relu",  "linear n5c17h3w3_o7_relu_eval", NULL,
};

static void linear(void **state)
{
    (void)state;
    check(linear_problems, DIRECT);
}

static const char *const dropout_problems[] = {
    "dropout n2c24h1w1_p0.5",
    "dropout n3c17h5w5_p0.25",
    "dropout n2c3h4w4_p0.9",
    "dropout n4c512h1w1_p0.5",
    "dropout n2c16h4w4_p0",
    "dropout n3c17h5w5_p0.5_eval",
    NULL,
};

static void dropout(void **state)
{
    (void)state;
    check(dropout_problems,
          2e-7); /* the same values drop; 1 / (1 - p), a product and a sum are rounded: 3 * 2^-24 */
}

static const char *const shortcut_problems[] = {
    "shortcut n2c16h6w6_o32s2", "shortcut n2c32h8w8_o64s2", "shortcut n2c17h5w7_o24s2",
    "shortcut n2c3h6w6_o8s1",   "shortcut n2c1h4w4_o3s2",   "shortcut n2c16h2w2_o24s2",
    "shortcut n2c24h1w1_o40s1", "shortcut n2c24h5w5_o24s2", NULL,
};

static void shortcut(void **state)
{
    (void)state;
    check(shortcut_problems, 1e-7); /* copies, and one addition */
}

static const char *const loss_problems[] = { "loss n5c10_s0",    "loss n64c10_s0.1",   "loss n3c2_s0",
                                             "loss n7c100_s0.2", "loss n4c10_s0_eval", NULL };

static void loss(void **state)
{
    (void)state;
    check(loss_problems, 1e-6);
}

/* Mean 1000 times the deviation: a plain sum of squares in float would find no digit of the variance. */
static void bnact_of_a_large_mean(void **state)
{
    op_problem o;
    opcheck_result a = { 0 }, b = { 0 };
    const opcheck_options opt = { .seed = 9, .backward = true };
    (void)state;
    must(problem_parse("bnact n16c24h16w16_none", &o));
    must(opcheck_prepare(&o, &opt, &a));
    must(opcheck_prepare(&o, &opt, &b));
    for (int64_t i = 0; i < a.n_x; i++) a.x[i] = b.x[i] = a.x[i] + 1000;
    must(opcheck_execute(cpu, &o, &opt, &a));
    must(opcheck_execute(ref, &o, &opt, &b));
    assert_int_equal(compare_all("large mean", &o, &a, &b, DIRECT, DIRECT), 0);
    opcheck_free(&a);
    opcheck_free(&b);
}

#define BF16_TEST(name)                                                                                      \
    static void name##_bf16(void **state)                                                                    \
    {                                                                                                        \
        (void)state;                                                                                         \
        check_bf16(name##_problems);                                                                         \
    }
BF16_TEST(conv)
BF16_TEST(grouped)
BF16_TEST(winograd)
BF16_TEST(bnact)
BF16_TEST(conv_bnact)
BF16_TEST(bnact_pool)
BF16_TEST(pool)
BF16_TEST(linear)
BF16_TEST(dropout)
BF16_TEST(shortcut)
BF16_TEST(loss)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(conv_direct),
        cmocka_unit_test(conv_winograd),
        cmocka_unit_test(conv_auto),
        cmocka_unit_test(bnact),
        cmocka_unit_test(conv_bnact),
        cmocka_unit_test(bnact_of_a_large_mean),
        cmocka_unit_test(pool),
        cmocka_unit_test(linear),
        cmocka_unit_test(dropout),
        cmocka_unit_test(shortcut),
        cmocka_unit_test(loss),
        cmocka_unit_test(conv_bf16),
        cmocka_unit_test(grouped_bf16),
        cmocka_unit_test(winograd_bf16),
        cmocka_unit_test(bnact_bf16),
        cmocka_unit_test(conv_bnact_bf16),
        cmocka_unit_test(pool_bf16),
        cmocka_unit_test(linear_bf16),
        cmocka_unit_test(dropout_bf16),
        cmocka_unit_test(shortcut_bf16),
        cmocka_unit_test(loss_bf16),
        cmocka_unit_test(bnact_pool),
        cmocka_unit_test(bnact_pool_bf16),
    };
    return cmocka_run_group_tests(tests, open_pair, close_pair);
}
