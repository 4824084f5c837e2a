/* tests/unit/test_problem.c -- problem strings: what they mean, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../tools/check/problem.h"

#define N_OF(array) (sizeof(array) / sizeof((array)[0]))

static op parsed(const char *text)
{
    op o;
    if (problem_parse(text, &o) != OK) fail_msg("%s", status_message());
    return o;
}

static void assert_shape(shape4 s, int n, int c, int h, int w)
{
    if (!shape_equal(s, (shape4){ n, c, h, w })) {
        fail_msg("[%d,%d,%d,%d] instead of [%d,%d,%d,%d]", s.n, s.c, s.h, s.w, n, c, h, w);
    }
}

static void every_field_arrives(void **state)
{
    (void)state;
    op o = parsed("conv n2c6h5w7_o4k3s2p1g2b");
    assert_int_equal(o.kind, OP_CONV);
    assert_true(o.training && o.type == F32);
    assert_shape(o.x, 2, 6, 5, 7);
    assert_shape(o.y, 2, 4, 3, 4);
    assert_true(o.conv.out == 4 && o.conv.kernel == 3 && o.conv.stride == 2 && o.conv.pad == 1);
    assert_true(o.conv.groups == 2 && o.conv.bias);

    o = parsed("conv n1c3h32w32_o64k3s1p1");
    assert_shape(o.y, 1, 64, 32, 32);
    assert_true(o.conv.groups == 1 && !o.conv.bias);

    o = parsed("bnact n2c17h5w5_relu6_add_eval_bf16");
    assert_int_equal(o.kind, OP_BNACT);
    assert_true(o.bnact.act == ACT_RELU6 && o.bnact.add && !o.training && o.type == BF16);
    assert_true(o.bnact.eps == 1e-5f && o.bnact.momentum == 0.1f);
    assert_shape(o.y, 2, 17, 5, 5);

    o = parsed("conv_bnact n2c6h5w7_o4k3s2p1g2b_relu_add_eval");
    assert_true(o.kind == OP_CONV_BNACT && !o.training);
    assert_shape(o.y, 2, 4, 3, 4);
    assert_true(o.conv_bnact.conv.groups == 2 && o.conv_bnact.conv.bias && o.conv_bnact.conv.stride == 2);
    assert_true(o.conv_bnact.bnact.act == ACT_RELU && o.conv_bnact.bnact.add && !o.conv_bnact.bnact.frozen);
    assert_true(o.conv_bnact.bnact.eps == 1e-5f);

    o = parsed("pool n2c3h7w6_max_k3s2p1");
    assert_true(o.kind == OP_POOL && o.pool.kind == POOL_MAX);
    assert_true(o.pool.kernel == 3 && o.pool.stride == 2 && o.pool.pad == 1);
    assert_shape(o.y, 2, 3, 4, 3);

    o = parsed("bnact_pool n2c3h7w6_max_k3s2p1_relu6");
    assert_true(o.kind == OP_BNACT_POOL && o.training && op_bnact(&o)->act == ACT_RELU6 &&
                !op_bnact(&o)->add);
    assert_true(o.bnact_pool.pool.kernel == 3 && o.bnact_pool.pool.stride == 2 && o.bnact_pool.pool.pad == 1);
    assert_shape(o.x, 2, 3, 7, 6);
    assert_shape(o.y, 2, 3, 4, 3);

    o = parsed("pool n2c3h7w6_avg");
    assert_true(o.pool.kind == POOL_AVG_GLOBAL);
    assert_shape(o.y, 2, 3, 1, 1);

    o = parsed("linear n3c6h2w2_o10_relu");
    assert_true(o.kind == OP_LINEAR && o.linear.out == 10 && o.linear.act == ACT_RELU);
    assert_shape(o.y, 3, 10, 1, 1);

    o = parsed("dropout n2c24h1w1_p0.25");
    assert_true(o.kind == OP_DROPOUT && o.dropout.p == 0.25f);
    assert_shape(o.y, 2, 24, 1, 1);

    o = parsed("shortcut n2c16h7w6_o32s2");
    assert_true(o.kind == OP_SHORTCUT && o.shortcut.out == 32 && o.shortcut.stride == 2);
    assert_shape(o.y, 2, 32, 4, 3);

    o = parsed("loss n5c10_s0.1");
    assert_true(o.kind == OP_LOSS && o.loss.smoothing == 0.1f);
    assert_shape(o.x, 5, 10, 1, 1);
}

static void what_is_printed_is_read_back(void **state)
{
    (void)state;
    static const char *const problems[] = {
        "conv n2c6h5w7_o4k3s2p1g2b",
        "conv n1c1h1w1_o1k1s1p0",
        "bnact n2c17h5w5_relu_add",
        "bnact_pool n2c17h6w4_max_k2s2p0_none",
        "bnact_pool n2c17h6w4_max_k2s2p0_relu_frozen",
        "bnact n2c17h5w5_none_eval",
        "bnact n2c17h5w5_relu_add_frozen",
        "pool n2c3h6w6_max_k2s2p0",
        "pool n2c3h6w6_avg_bf16",
        "linear n3c24h1w1_o10_relu6",
        "dropout n2c24h1w1_p0.5",
        "shortcut n2c16h6w6_o32s2",
        "loss n5c10_s0.125_eval",
        "conv_bnact n2c6h5w7_o4k3s2p1g2b_relu6_add_eval_bf16",
        "conv_bnact n2c6h5w7_o4k3s2p1_none_eval",
    };
    for (size_t i = 0; i < N_OF(problems); i++) {
        const op o = parsed(problems[i]);
        char text[PROBLEM_BYTES];
        problem_print(&o, text);
        assert_string_equal(text, problems[i]);
    }
    const op tenth = parsed("dropout n2c24h1w1_p0.1"); /* not exact in binary */
    char text[PROBLEM_BYTES];
    problem_print(&tenth, text);
    assert_true(parsed(text).dropout.p == 0.1f);
}

static void anything_else_is_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "",
        "conv",
        "convolution n2c3h5w5_o4k3s1p1",
        "conv n2c3h5w5_o4k3s1",              /* no pad */
        "conv n2c3h5w5_o4k3s1p1x",           /* too much */
        "conv n2c3h5w5_o4k3s1p1bg3",         /* wrong order */
        "conv n2c3h5w5_o4k3s1p1 ",           /* a blank */
        "conv n0c3h5w5_o4k3s1p1",            /* no images */
        "conv n2c3h5w5_o4k3s0p1",            /* no stride */
        "conv n2c-3h5w5_o4k3s1p1",           /* a sign */
        "conv n2c3h5w5_o4k3s1p1g2",          /* 3 channels in 2 groups */
        "conv n2c3h2w5_o4k3s1p0",            /* the kernel does not fit */
        "conv n2c3h5w9999999_o4k3s1p1",      /* too many digits */
        "bnact n2c3h5w5",                    /* no activation */
        "bnact n2c3h5w5_relu7",              /* */
        "bnact n1c3h1w1_relu",               /* the variance of one value */
        "conv_bnact n2c3h5w5_o4k3s1p1_relu", /* it has no backward */
        "pool n2c3h6w6_max_k2s2p2",          /* windows in the padding only */
        "pool n2c3h6w6_min_k2s2p0",          /* */
        "linear n3c24h1w1_relu",             /* no width */
        "dropout n2c24h1w1_p1",              /* everything dropped */
        "dropout n2c24h1w1_p0x1p-1",         /* hexadecimal */
        "dropout n2c24h1w1_p",               /* */
        "shortcut n2c16h6w6_o8s2",           /* fewer channels */
        "loss n5c10h1w1_s0.1",               /* a loss has rows, not images */
        "loss n5c10_s0.1_bf16_eval",         /* wrong order */
    };
    for (size_t i = 0; i < N_OF(wrong); i++) {
        op o = { .training = true, .x = { 7, 7, 7, 7 } };
        if (problem_parse(wrong[i], &o) != ERR_USAGE) fail_msg("'%s' is taken for a problem", wrong[i]);
        assert_shape(o.x, 7, 7, 7, 7); /* untouched */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_field_arrives),
        cmocka_unit_test(what_is_printed_is_read_back),
        cmocka_unit_test(anything_else_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
