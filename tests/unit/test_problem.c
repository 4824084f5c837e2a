/* tests/unit/test_problem.c -- problem strings: what they mean, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../tools/check/problem.h"

#define N_OF(array) (sizeof(array) / sizeof((array)[0]))

static op_problem parsed(const char *text)
{
    op_problem o;
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
    op_problem o = parsed("conv n2c6h5w7_o4k3s2p1g2b");
    assert_int_equal(o.op.kind, OP_CONV);
    assert_true(o.op.training && o.op.type == F32);
    assert_shape(o.op.x, 2, 6, 5, 7);
    assert_shape(o.op.y, 2, 4, 3, 4);
    assert_true(o.op.conv.out == 4 && o.op.conv.kernel == 3 && o.op.conv.stride == 2 && o.op.conv.pad == 1);
    assert_true(o.op.conv.groups == 2 && o.op.conv.bias);

    o = parsed("conv n1c3h32w32_o64k3s1p1");
    assert_shape(o.op.y, 1, 64, 32, 32);
    assert_true(o.op.conv.groups == 1 && !o.op.conv.bias);

    o = parsed("bnact n2c17h5w5_relu6_add_eval_bf16");
    assert_int_equal(o.op.kind, OP_BNACT);
    assert_true(o.op.bnact.act == ACT_RELU6 && o.op.bnact.add && !o.op.training && o.op.type == BF16);
    assert_true(o.op.bnact.eps == 1e-5f && o.op.bnact.momentum == 0.1f);
    assert_shape(o.op.y, 2, 17, 5, 5);

    o = parsed("conv_bnact n2c6h5w7_o4k3s2p1g2b_relu_add_eval");
    assert_true(o.fused && o.op.kind == OP_CONV && !o.op.training);
    assert_true(o.then.kind == OP_BNACT && !o.then.training);
    assert_shape(o.op.y, 2, 4, 3, 4);
    assert_shape(o.then.y, 2, 4, 3, 4);
    assert_true(o.op.conv.groups == 2 && o.op.conv.bias && o.op.conv.stride == 2);
    assert_true(o.then.bnact.act == ACT_RELU && o.then.bnact.add && !o.then.bnact.frozen);
    assert_true(o.then.bnact.eps == 1e-5f);

    o = parsed("pool n2c3h7w6_max_k3s2p1");
    assert_true(o.op.kind == OP_POOL && o.op.pool.kind == POOL_MAX);
    assert_true(o.op.pool.kernel == 3 && o.op.pool.stride == 2 && o.op.pool.pad == 1);
    assert_shape(o.op.y, 2, 3, 4, 3);

    o = parsed("bnact_pool n2c3h7w6_relu6_max_k3s2p1");
    assert_true(o.fused && o.op.kind == OP_BNACT && o.op.training && o.op.bnact.act == ACT_RELU6);
    assert_true(o.then.kind == OP_POOL && o.then.training && !o.op.bnact.add);
    assert_true(o.then.pool.kernel == 3 && o.then.pool.stride == 2 && o.then.pool.pad == 1);
    assert_shape(o.op.x, 2, 3, 7, 6);
    assert_shape(o.op.y, 2, 3, 7, 6);
    assert_shape(o.then.y, 2, 3, 4, 3);

    o = parsed("pool n2c3h7w6_avg");
    assert_true(o.op.pool.kind == POOL_AVG_GLOBAL);
    assert_shape(o.op.y, 2, 3, 1, 1);

    o = parsed("linear n3c6h2w2_o10_relu");
    assert_true(o.op.kind == OP_LINEAR && o.op.linear.out == 10 && o.op.linear.act == ACT_RELU);
    assert_shape(o.op.y, 3, 10, 1, 1);

    o = parsed("dropout n2c24h1w1_p0.25");
    assert_true(o.op.kind == OP_DROPOUT && o.op.dropout.p == 0.25f);
    assert_shape(o.op.y, 2, 24, 1, 1);

    o = parsed("shortcut n2c16h7w6_o32s2");
    assert_true(o.op.kind == OP_SHORTCUT && o.op.shortcut.out == 32 && o.op.shortcut.stride == 2);
    assert_shape(o.op.y, 2, 32, 4, 3);

    o = parsed("loss n5c10_s0.1");
    assert_true(o.op.kind == OP_LOSS && o.op.loss.smoothing == 0.1f);
    assert_shape(o.op.x, 5, 10, 1, 1);
}

static void what_is_printed_is_read_back(void **state)
{
    (void)state;
    static const char *const problems[] = {
        "conv n2c6h5w7_o4k3s2p1g2b",
        "conv n1c1h1w1_o1k1s1p0",
        "bnact n2c17h5w5_relu_add",
        "bnact_pool n2c17h6w4_none_max_k2s2p0",
        "bnact_pool n2c17h6w4_relu_frozen_max_k2s2p0",
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
        const op_problem o = parsed(problems[i]);
        char text[PROBLEM_BYTES];
        problem_print(&o, text);
        assert_string_equal(text, problems[i]);
    }
    const op_problem tenth = parsed("dropout n2c24h1w1_p0.1"); /* not exact in binary */
    char text[PROBLEM_BYTES];
    problem_print(&tenth, text);
    assert_true(parsed(text).op.dropout.p == 0.1f);
}

static void anything_else_is_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "",
        "conv",
        "convolution n2c3h5w5_o4k3s1p1",
        "conv n2c3h5w5_o4k3s1",           /* no pad */
        "conv n2c3h5w5_o4k3s1p1x",        /* too much */
        "conv n2c3h5w5_o4k3s1p1bg3",      /* wrong order */
        "conv n2c3h5w5_o4k3s1p1 ",        /* a blank */
        "conv n0c3h5w5_o4k3s1p1",         /* no images */
        "conv n2c3h5w5_o4k3s0p1",         /* no stride */
        "conv n2c-3h5w5_o4k3s1p1",        /* a sign */
        "conv n2c3h5w5_o4k3s1p1g2",       /* 3 channels in 2 groups */
        "conv n2c3h2w5_o4k3s1p0",         /* the kernel does not fit */
        "conv n2c3h5w9999999_o4k3s1p1",   /* too many digits */
        "bnact n2c3h5w5",                 /* no activation */
        "bnact n2c3h5w5_relu7",           /* */
        "bnact n1c3h1w1_relu",            /* the variance of one value */
        "conv_bnact n2c3h5w5_o4k3s1p1",   /* the activation is missing */
        "conv_nothing n2c3h5w5_o4k3s1p1", /* no such layer */
        "pool n2c3h6w6_max_k2s2p2",       /* windows in the padding only */
        "pool n2c3h6w6_min_k2s2p0",       /* */
        "linear n3c24h1w1_relu",          /* no width */
        "dropout n2c24h1w1_p1",           /* everything dropped */
        "dropout n2c24h1w1_p0x1p-1",      /* hexadecimal */
        "dropout n2c24h1w1_p",            /* */
        "shortcut n2c16h6w6_o8s2",        /* fewer channels */
        "loss n5c10h1w1_s0.1",            /* a loss has rows, not images */
        "loss n5c10_s0.1_bf16_eval",      /* wrong order */
    };
    for (size_t i = 0; i < N_OF(wrong); i++) {
        op_problem o = { .op = { .training = true, .x = { 7, 7, 7, 7 } } };
        if (problem_parse(wrong[i], &o) != ERR_USAGE) fail_msg("'%s' is taken for a problem", wrong[i]);
        assert_shape(o.op.x, 7, 7, 7, 7); /* untouched */
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
