/* tests/unit/test_ref.c -- the reference backend against numbers worked out by hand. The gradients are
 * checked in tests/grad/test_grad.c; here: what forward computes, and what op.h fixes about it. */
#include "../../core/base/rng.h"
#include "../../core/device/products.h"
#include "../../tools/check/opcheck.h"
#include "../../tools/check/problem.h"
#include "../must.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define FLOATS(...) ((const float[]){ __VA_ARGS__ })

static const opcheck_options forward = { .seed = 3 }, backward = { .seed = 3, .backward = true };

static backend *ref;

static int open_ref(void **state)
{
    (void)state;
    return ref_open(2, &ref) == OK ? 0 : -1;
}

static int close_ref(void **state)
{
    (void)state;
    backend_close(ref);
    return 0;
}

/* The problem with random inputs, to be replaced by `set` before `run`. */
static op_problem prepare(const char *problem, const opcheck_options *opt, opcheck_result *r)
{
    op_problem o;
    must(problem_parse(problem, &o));
    must(opcheck_prepare(&o, opt, r));
    return o;
}

static void set(float *to, int64_t n, const float *values)
{
    memcpy(to, values, (size_t)n * sizeof *to);
}

static void assert_close(const float *a, const float *expected, int64_t n)
{
    assert_non_null(a);
    for (int64_t i = 0; i < n; i++) {
        if (!(fabs((double)a[i] - expected[i]) <= 1e-6 * (1 + fabs(expected[i])))) {
            fail_msg("[%d] is %.9g instead of %.9g", (int)i, a[i], expected[i]);
        }
    }
}

static void convolution_is_cross_correlation(void **state)
{
    (void)state;
    opcheck_result r;
    op_problem o = prepare("conv n1c1h3w3_o1k2s1p0b", &forward, &r);
    set(r.x, 9, FLOATS(1, 2, 3, 4, 5, 6, 7, 8, 9));
    set(r.param[0], 4, FLOATS(1, 2, 3, 4));
    set(r.param[1], 1, FLOATS(1000));
    must(opcheck_execute(ref, &o, &forward, &r));
    assert_close(r.y, FLOATS(1037, 1047, 1067, 1077), 4);
    opcheck_free(&r);

    o = prepare("conv n1c1h3w3_o1k2s2p1", &forward, &r); /* zeros around, every second window */
    set(r.x, 9, FLOATS(1, 2, 3, 4, 5, 6, 7, 8, 9));
    set(r.param[0], 4, FLOATS(1, 2, 3, 4));
    must(opcheck_execute(ref, &o, &forward, &r));
    assert_close(r.y, FLOATS(4, 18, 36, 77), 4);
    opcheck_free(&r);
}

static void a_filter_sees_its_group_only(void **state)
{
    (void)state;
    opcheck_result r;
    const op_problem o = prepare("conv n1c4h1w1_o4k1s1p0g2", &forward, &r);
    set(r.x, 4, FLOATS(1, 2, 3, 4));
    set(r.param[0], 8, FLOATS(1, 10, 100, 1000, 1, 10, 100, 1000));
    must(opcheck_execute(ref, &o, &forward, &r));
    assert_close(r.y, FLOATS(21, 2100, 43, 4300), 4);
    opcheck_free(&r);
}

/* x = 1 2 3 6: mean 3, biased variance 3.5, unbiased 14/3. */
static void batch_norm_keeps_two_variances(void **state)
{
    (void)state;
    opcheck_result r;
    const op_problem o = prepare("bnact n2c1h1w2_relu", &forward, &r);
    const double inv = 1 / sqrt(3.5 + 1e-5);
    set(r.x, 4, FLOATS(1, 2, 3, 6));
    set(r.param[0], 1, FLOATS(2));
    set(r.param[1], 1, FLOATS(1));
    set(r.param[2], 1, FLOATS(10));
    set(r.param[3], 1, FLOATS(1));
    must(opcheck_execute(ref, &o, &forward, &r));
    assert_close(r.y, FLOATS(0, 0, 1, (float)(2 * 3 * inv + 1)), 4);
    assert_close(r.running_mean, FLOATS(0.9f * 10 + 0.1f * 3), 1);
    assert_close(r.running_var, FLOATS((float)(0.9 + 0.1 * 14 / 3)), 1);
    opcheck_free(&r);
}

static void inference_normalises_by_running_statistics(void **state)
{
    (void)state;
    opcheck_result r;
    const op_problem o = prepare("bnact n2c2h1w1_relu6_add_eval", &forward, &r);
    set(r.x, 4, FLOATS(3, 0, 2, 1));
    set(r.z, 4, FLOATS(0, 1, -9, 100));
    set(r.param[0], 2, FLOATS(2, 3));
    set(r.param[1], 2, FLOATS(1, -1));
    set(r.param[2], 2, FLOATS(1, 0));
    set(r.param[3], 2, FLOATS(4 - 1e-5f, 9 - 1e-5f));
    must(opcheck_execute(ref, &o, &forward, &r));
    assert_close(r.y, FLOATS(3, 0, 0, 6), 4); /* 2*2/2+1 | 3*0/3-1+1 | 2*1/2+1-9 | 3*1/3-1+100 */
    assert_memory_equal(r.running_mean, r.param[2], sizeof(float[2]));
    assert_memory_equal(r.running_var, r.param[3], sizeof(float[2]));
    opcheck_free(&r);
}

/* The padding is -infinity, not 0; of equal values the first gets the gradient. */
static void max_pooling_pads_and_breaks_ties(void **state)
{
    (void)state;
    opcheck_result r;
    const op_problem o = prepare("pool n1c1h3w3_max_k2s2p1", &backward, &r);
    set(r.x, 9, FLOATS(-5, -2, -2, -3, -1, -1, -3, -1, -1));
    set(r.dy, 4, FLOATS(1, 10, 100, 1000));
    must(opcheck_execute(ref, &o, &backward, &r));
    assert_close(r.y, FLOATS(-5, -2, -3, -1), 4);
    assert_close(r.dx, FLOATS(1, 10, 0, 100, 1000, 0, 0, 0, 0), 9);
    opcheck_free(&r);
}

static void global_average_pooling(void **state)
{
    (void)state;
    opcheck_result r;
    const op_problem o = prepare("pool n1c2h2w2_avg", &forward, &r);
    set(r.x, 8, FLOATS(1, 2, 3, 6, 0, 0, 0, 1));
    must(opcheck_execute(ref, &o, &forward, &r));
    assert_close(r.y, FLOATS(3, 0.25f), 2);
    opcheck_free(&r);
}

static void linear_with_activation(void **state)
{
    (void)state;
    opcheck_result r;
    const op_problem o = prepare("linear n2c1h1w2_o2_relu6", &forward, &r);
    set(r.x, 4, FLOATS(1, 2, -1, -3));
    set(r.param[0], 4, FLOATS(1, 10, 1, -1));
    set(r.param[1], 2, FLOATS(-20, 3));
    must(opcheck_execute(ref, &o, &forward, &r));
    assert_close(r.y, FLOATS(1, 2, 0, 5), 4);
    opcheck_free(&r);
}

/* op.h: the derivative of ReLU6 is 0 at 0 and at 6. */
static void the_derivative_at_a_kink_is_zero(void **state)
{
    (void)state;
    opcheck_result r;
    const op_problem o = prepare("linear n5c1h1w1_o1_relu6", &backward, &r);
    set(r.x, 5, FLOATS(-1, 0, 3, 6, 7));
    set(r.param[0], 1, FLOATS(1));
    set(r.param[1], 1, FLOATS(0));
    set(r.dy, 5, FLOATS(1, 1, 1, 1, 1));
    must(opcheck_execute(ref, &o, &backward, &r));
    assert_close(r.y, FLOATS(0, 0, 3, 6, 6), 5);
    assert_close(r.dx, FLOATS(0, 0, 1, 0, 0), 5);
    opcheck_free(&r);
}

static void shortcut_drops_pixels_and_adds_channels(void **state)
{
    (void)state;
    opcheck_result r;
    const op_problem o = prepare("shortcut n1c1h3w3_o4s2", &forward, &r);
    set(r.x, 9, FLOATS(1, 2, 3, 4, 5, 6, 7, 8, 9));
    must(opcheck_execute(ref, &o, &forward, &r));
    assert_close(r.y, FLOATS(0, 0, 0, 0, 1, 3, 7, 9, 0, 0, 0, 0, 0, 0, 0, 0), 16);
    opcheck_free(&r);
}

static void dropout_draws_the_documented_mask(void **state)
{
    (void)state;
    opcheck_result r;
    op_problem o;
    must(problem_parse("dropout n4c50h2w3_p0.3", &o));
    o.op.dropout.layer = 2;
    must(opcheck_run(ref, &o, &forward, &r));
    int kept = 0;
    for (int64_t i = 0; i < r.n_y; i++) {
        /* opcheck runs step 5 with seed 3 + 17 */
        const bool keep = rng_uniform(20, RNG_DROPOUT + 2, 5, (uint64_t)i) >= 0.3f;
        const float expected = keep ? r.x[i] / 0.7f : 0;
        assert_true(fabsf(r.y[i] - expected) <= 1e-6f);
        kept += keep;
    }
    assert_in_range(kept, 780, 900); /* of 1200: 840 +- 4 standard deviations */
    opcheck_free(&r);

    must(problem_parse("dropout n4c50h2w3_p0.3_eval", &o));
    must(opcheck_run(ref, &o, &forward, &r));
    assert_memory_equal(r.y, r.x, (size_t)r.n_x * sizeof(float));
    opcheck_free(&r);
}

/* Logits 0 and log 3: softmax 1/4 and 3/4. */
static void loss_counts_labelled_rows(void **state)
{
    (void)state;
    opcheck_result r;
    const float l = logf(3);
    const op_problem o = prepare("loss n4c2_s0.2", &backward, &r);
    const int32_t labels[] = { 1, -1, 0, 0 };
    set(r.x, 8, FLOATS(0, l, 500, -500, 0, l, 7, 7)); /* in the last row the first of two equals wins */
    memcpy(r.label, labels, sizeof labels);
    must(opcheck_execute(ref, &o, &backward, &r));

    const double right = -0.1 * log(0.25) - 0.9 * log(0.75), wrong = -0.9 * log(0.25) - 0.1 * log(0.75);
    assert_true(fabs(r.stats.loss - 1000 - right - wrong - log(2)) < 1e-6);
    assert_int_equal(r.stats.correct, 100 + 2);
    assert_int_equal(r.stats.rows, 10 + 3);
    assert_close(r.dx, FLOATS(0.15f / 3, -0.15f / 3, 0, 0, -0.65f / 3, 0.65f / 3, -0.4f / 3, 0.4f / 3), 8);
    opcheck_free(&r);
}

static void loss_survives_large_logits_and_no_rows(void **state)
{
    (void)state;
    opcheck_result r;
    const op_problem o = prepare("loss n2c2_s0", &backward, &r);
    set(r.x, 4, FLOATS(1e30f, -1e30f, 500, -500));
    r.label[0] = 0;
    r.label[1] = 1;
    must(opcheck_execute(ref, &o, &backward, &r));
    assert_true(r.stats.loss == 1000 + 1000);
    assert_close(r.dx, FLOATS(0, 0, 0.5f, -0.5f), 4);

    r.label[0] = r.label[1] = -1;
    must(opcheck_execute(ref, &o, &backward, &r));
    assert_true(r.stats.loss == 1000 && r.stats.rows == 10);
    assert_close(r.dx, FLOATS(0, 0, 0, 0), 4);
    opcheck_free(&r);
}

/* PyTorch's update, all in double and over several steps. */
static void sgd_follows_pytorch(void **state)
{
    (void)state;
    enum { N = 37, STEPS = 6 };
    for (int variant = 0; variant < 8; variant++) {
        const double lr = 0.05, momentum = variant & 1 ? 0.9 : 0, decay = variant & 2 ? 0.01 : 0;
        const bool nesterov = variant & 4;
        const step_scalars s = { (float)lr, (float)momentum, (float)decay, nesterov, 0, 0 };
        float value[N], grad[N], velocity[N] = { 0 };
        double w[N], buffer[N] = { 0 };
        bool replayed = true;
        step_handle handle = { NULL };

        for (int i = 0; i < N; i++) w[i] = value[i] = rng_normal(1, RNG_TEST, 0, (uint64_t)i);
        must(ref->step_begin(ref, &handle, &s, &replayed));
        assert_false(replayed);
        for (uint32_t t = 1; t <= STEPS; t++) {
            for (int i = 0; i < N; i++) {
                grad[i] = rng_normal(1, RNG_TEST, t, (uint64_t)i);
                const double g = grad[i] + decay * w[i];
                buffer[i] = buffer[i] * momentum + g;
                w[i] -= lr * (nesterov ? g + momentum * buffer[i] : buffer[i]);
            }
            must(ref->sgd(ref, value, grad, velocity, N));
        }
        must(ref->step_end(ref));
        for (int i = 0; i < N; i++) {
            assert_true(fabs(value[i] - w[i]) < 1e-6);
            assert_true(fabs(velocity[i] - buffer[i]) < 1e-5);
        }
    }
}

static void gram_nt_respects_leading_dimensions(void **state)
{
    (void)state;
    const float a[] = { 1, 2, 3, 99, 4, 5, 6, 99 }, b[] = { 1, 0, 1, 0, 2, 0 };
    float c[] = { -1, -1, -1, -1, -1, -1 };
    must(ref->products->product(ref, F32, 2, 2, 3, a, 4, b, 3, false, c, 3));
    assert_close(c, FLOATS(4, 4, -1, 10, 10, -1), 6);
}

static void threads_do_not_change_a_bit(void **state)
{
    (void)state;
    static const char *const problems[] = { "conv n3c5h7w7_o6k3s2p1b", "bnact n3c7h5w5_relu_add",
                                            "linear n5c40h1w1_o9_relu", "pool n3c4h9w9_max_k3s2p1",
                                            "bnact_pool n3c4h8w6_relu_max_k2s2p0" };
    backend *many;
    must(ref_open(4, &many));
    assert_int_equal(many->threads, 4);
    for (size_t p = 0; p < sizeof problems / sizeof problems[0]; p++) {
        op_problem o;
        opcheck_result a, b;
        must(problem_parse(problems[p], &o));
        must(opcheck_run(ref, &o, &backward, &a));
        must(opcheck_run(many, &o, &backward, &b));
        assert_memory_equal(a.y, b.y, (size_t)a.n_y * sizeof(float));
        assert_memory_equal(a.dx, b.dx, (size_t)a.n_x * sizeof(float));
        for (int i = 0; i < a.n_grads; i++) {
            assert_memory_equal(a.grad[i], b.grad[i], (size_t)a.n_param[i] * sizeof(float));
        }
        opcheck_free(&a);
        opcheck_free(&b);
    }
    backend_close(many);
}

/* By hand: bf16 has 8 bits of precision, so above 1 the step is 2^-7. Ties go to the even neighbour. */
static void bf16_rounds_to_nearest_even(void **state)
{
    (void)state;
    static const struct {
        float value;
        uint16_t bits;
    } known[] = {
        { 1, 0x3f80 },
        { 1 + 0x1p-8f, 0x3f80 },
        { 1 + 0x1.8p-7f, 0x3f82 },
        { 1 + 0x1.02p-8f, 0x3f81 },
        { -1 - 0x1p-8f, 0xbf80 },
        { 3.14159265f, 0x4049 },
        { 0, 0 },
        { -0.0f, 0x8000 },
        { INFINITY, 0x7f80 },
        { 0x1.fffffep127f, 0x7f80 },
        { 0x1p-126f, 0x0080 },
        { 65536 + 256, 0x4780 },
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        assert_int_equal(bf16_from(known[i].value), known[i].bits);
        assert_int_equal(bf16_from(bf16_to(known[i].bits)), known[i].bits);
    }
    assert_true(isnan(bf16_to(bf16_from(NAN))));
    uint32_t bits = 0x7f800001; /* a NaN whose upper half alone would be infinity */
    float odd;
    memcpy(&odd, &bits, sizeof odd);
    assert_true(isnan(bf16_to(bf16_from(odd))));
}

/* On data that bf16 holds exactly, an operation in bf16 is the operation in f32, its values rounded. */
static void bf16_is_f32_rounded_once(void **state)
{
    (void)state;
    static const char *const problems[] = { "conv n2c3h5w5_o4k3s1p1b", "bnact n2c5h4w4_relu_add",
                                            "pool n2c3h6w6_max_k2s2p0", "linear n3c24h1w1_o10_relu",
                                            "shortcut n2c4h6w6_o8s2" };
    for (size_t i = 0; i < sizeof problems / sizeof *problems; i++) {
        op_problem o;
        opcheck_result a = { 0 }, b = { 0 };
        const opcheck_options opt = { .seed = 3, .backward = true, .bf16_data = true, .dx_add = true };
        must(problem_parse(problems[i], &o));
        must(opcheck_run(ref, &o, &opt, &a));
        o.op.type = BF16;
        must(opcheck_run(ref, &o, &opt, &b));
        for (int64_t j = 0; j < a.n_y; j++) assert_true(b.y[j] == bf16_to(bf16_from(a.y[j])));
        for (int64_t j = 0; j < a.n_x; j++) assert_true(b.dx[j] == bf16_to(bf16_from(a.dx[j])));
        for (int g = 0; g < a.n_grads; g++)
            assert_memory_equal(a.grad[g], b.grad[g], (size_t)a.n_param[g] * sizeof(float));
        opcheck_free(&a);
        opcheck_free(&b);
    }
}

static void what_it_cannot_do_it_says(void **state)
{
    (void)state;
    op_problem o;
    plan *p;
    op_needs needs;
    must(problem_parse("bnact n2c3h1w1_none", &o));
    o.op.x.n = o.op.y.n = 1;
    assert_string_equal(ref->unsupported(ref, &o.op),
                        "batch normalisation needs at least two values per channel");
    assert_int_equal(ref->plan(ref, &o.op, &p, &needs), ERR_RUNTIME);
    assert_string_equal(status_message(), "batch normalisation needs at least two values per channel");

    must(problem_parse("conv n2c3h5w5_o4k3s1p1", &o));
    assert_null(ref->unsupported(ref, &o.op));

    const char *const pair =
        "only conv with bnact in evaluation, and bnact with max pool in training, are fused";
    must(problem_parse("conv_bnact n2c3h5w5_o4k3s1p1_relu", &o)); /* it has no backward */
    assert_string_equal(problem_unsupported(ref, &o), pair);
    assert_int_equal(problem_plan(ref, &o, &p, &needs), ERR_RUNTIME);
    must(problem_parse("conv_bnact n2c3h5w5_o4k3s1p1_relu_eval", &o));
    assert_null(problem_unsupported(ref, &o));
    must(problem_parse("bnact_pool n2c3h6w6_relu_add_max_k2s2p0",
                       &o)); /* a pair has one z, that of the second */
    assert_string_equal(problem_unsupported(ref, &o), pair);
}

static void memory_is_zeroed_and_aligned(void **state)
{
    (void)state;
    const size_t sizes[] = { 0, 1, 64, 1000 };
    for (size_t i = 0; i < 4; i++) {
        void *p;
        must(ref->alloc(ref, sizes[i], &p));
        assert_int_equal((uintptr_t)p % 64, 0);
        for (size_t j = 0; j < sizes[i]; j++) assert_int_equal(((char *)p)[j], 0);
        ref->release(ref, p, sizes[i]);
    }
    const float three[] = { 1, 2, 3 };
    float back[3] = { 9, 9, 9 };
    void *p;
    const shape4 s = { 3, 1, 1, 1 };
    must(ref->alloc(ref, ref->value_bytes(ref, s, F32), &p));
    must(ref->write_value(ref, p, s, F32, three));
    must(ref->read_value(ref, p, s, F32, 2, back)); /* two of three images */
    assert_close(back, FLOATS(1, 2, 9), 3);
    ref->release(ref, p, ref->value_bytes(ref, s, F32));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(convolution_is_cross_correlation),
        cmocka_unit_test(a_filter_sees_its_group_only),
        cmocka_unit_test(batch_norm_keeps_two_variances),
        cmocka_unit_test(inference_normalises_by_running_statistics),
        cmocka_unit_test(max_pooling_pads_and_breaks_ties),
        cmocka_unit_test(global_average_pooling),
        cmocka_unit_test(linear_with_activation),
        cmocka_unit_test(the_derivative_at_a_kink_is_zero),
        cmocka_unit_test(shortcut_drops_pixels_and_adds_channels),
        cmocka_unit_test(dropout_draws_the_documented_mask),
        cmocka_unit_test(loss_counts_labelled_rows),
        cmocka_unit_test(loss_survives_large_logits_and_no_rows),
        cmocka_unit_test(sgd_follows_pytorch),
        cmocka_unit_test(gram_nt_respects_leading_dimensions),
        cmocka_unit_test(threads_do_not_change_a_bit),
        cmocka_unit_test(bf16_rounds_to_nearest_even),
        cmocka_unit_test(bf16_is_f32_rounded_once),
        cmocka_unit_test(what_it_cannot_do_it_says),
        cmocka_unit_test(memory_is_zeroed_and_aligned),
    };
    return cmocka_run_group_tests(tests, open_ref, close_ref);
}
