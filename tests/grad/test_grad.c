/* tests/grad/test_grad.c -- every derivative of the layers against central differences (opcheck_gradients). Signed values
 * are compared. The last tests corrupt gradients on purpose and expect the check to fail. */
#include "../../tools/check/opcheck.h"
#include "../../tools/check/problem.h"
#include "../must.h"

#include <math.h>
#include <stdlib.h>

static const double TOLERANCE = 1e-4;

static const opcheck_options plain = { .seed = 1, .backward = true, .margin = 0.3f };

typedef void corruption(const op_problem *, opcheck_result *);

static backend *ref;

static int open_ref(void **state)
{
    (void)state;
    return ref_open(1, &ref) == OK ? 0 : -1;
}

static int close_ref(void **state)
{
    (void)state;
    backend_close(ref);
    return 0;
}

/* The error of the gradients, after `corrupt` (if any) has changed them. */
static double gradient_error(const char *problem, opcheck_options opt, corruption *corrupt)
{
    op_problem o;
    opcheck_result r;
    double error;
    must(problem_parse(problem, &o));
    must(opcheck_run(ref, &o, &opt, &r));
    if (corrupt) corrupt(&o, &r);
    must(opcheck_gradients(ref, &o, &opt, &r, &error));
    opcheck_free(&r);
    return error;
}

static void assert_gradients(const char *problem, opcheck_options opt)
{
    const double error = gradient_error(problem, opt, NULL);
    if (!(error <= TOLERANCE)) fail_msg("%s: the gradient is off by %g of its scale", problem, error);
}

static void convolution(void **state)
{
    (void)state;
    static const char *const problems[] = {
        "conv n2c3h5w5_o4k3s1p1",    /* the usual one */
        "conv n1c1h4w5_o1k1s1p0",    /* the smallest */
        "conv n3c5h7w6_o3k3s2p1b",   /* stride, bias, odd sizes: the last column of x is not used by all */
        "conv n2c4h6w5_o6k1s2p0",    /* three of four pixels are not used at all */
        "conv n2c4h5w5_o6k3s1p1g2",  /* groups */
        "conv n2c4h6w7_o4k3s2p1g4",  /* depthwise */
        "conv n2c3h5w4_o6k3s1p1g3b", /* depthwise with two filters a channel */
        "conv n1c2h5w5_o2k5s3p2",    /* a kernel as large as the image */
        "conv n1c2h4w4_o2k2s2p1",    /* an even kernel */
        "conv n2c3h7w3_o2k3s1p0",    /* no padding */
    };
    for (size_t i = 0; i < sizeof problems / sizeof problems[0]; i++) assert_gradients(problems[i], plain);
}

static void batch_norm_add_activation(void **state)
{
    (void)state;
    static const char *const problems[] = {
        "bnact n2c3h5w5_none",
        "bnact n2c3h5w5_relu",
        "bnact n2c5h5w5_relu6",
        "bnact n3c3h4w5_none_add",
        "bnact n2c17h3w5_relu_add",
        "bnact n2c5h5w5_relu6_add",
        "bnact n7c2h1w1_none",            /* after a pooled image */
        "bnact n2c3h5w5_none_add_frozen", /* by the running statistics */
    };
    for (size_t i = 0; i < sizeof problems / sizeof problems[0]; i++) assert_gradients(problems[i], plain);
}

static void pooling(void **state)
{
    (void)state;
    static const char *const problems[] = {
        "pool n2c3h6w6_max_k2s2p0", "pool n2c2h7w5_max_k3s2p1", /* windows overlap */
        "pool n1c2h5w5_max_k2s2p0",                             /* the last row and column are dropped */
        "pool n1c2h5w6_max_k3s1p1", "pool n2c3h6w5_avg",        "pool n2c3h1w1_avg",
    };
    for (size_t i = 0; i < sizeof problems / sizeof problems[0]; i++) assert_gradients(problems[i], plain);
}

/* With seeds for which no window has its two largest values within a step. */
static void batch_norm_pooling(void **state)
{
    (void)state;
    static const struct {
        const char *problem;
        uint64_t seed;
    } problems[] = {
        { "bnact_pool n2c2h4w4_relu_max_k2s2p0", 1 },
        { "bnact_pool n2c2h3w5_none_max_k3s2p1", 4 },
        { "bnact_pool n2c1h6w3_relu6_max_k3s3p0", 10 },
        { "bnact_pool n2c3h2w4_relu_frozen_max_k2s2p0", 4 },
    };
    for (size_t i = 0; i < sizeof problems / sizeof problems[0]; i++) {
        opcheck_options opt = plain;
        opt.seed = problems[i].seed;
        assert_gradients(problems[i].problem, opt);
    }
}

static void linear(void **state)
{
    (void)state;
    static const char *const problems[] = {
        "linear n3c24h1w1_o10_none",
        "linear n3c24h1w1_o10_relu",
        "linear n4c6h2w3_o9_relu6",
        "linear n1c1h1w1_o1_none",
    };
    for (size_t i = 0; i < sizeof problems / sizeof problems[0]; i++) assert_gradients(problems[i], plain);
}

static void dropout(void **state)
{
    (void)state;
    assert_gradients("dropout n2c24h1w1_p0.5", plain);
    assert_gradients("dropout n2c3h4w5_p0.1", plain);
    assert_gradients("dropout n2c3h2w2_p0", plain);
}

static void shortcut(void **state)
{
    (void)state;
    assert_gradients("shortcut n2c4h6w6_o8s2", plain);
    assert_gradients("shortcut n2c3h7w5_o6s2", plain); /* odd sizes and an odd number of new channels */
    assert_gradients("shortcut n2c3h4w4_o3s1", plain); /* the identity */
}

static void loss(void **state)
{
    (void)state;
    opcheck_options ignoring = plain;
    ignoring.ignored = 3;
    assert_gradients("loss n5c10_s0", plain);
    assert_gradients("loss n5c10_s0.1", plain);
    assert_gradients("loss n8c10_s0", ignoring);
    assert_gradients("loss n7c3_s0.3", ignoring);
    assert_gradients("loss n1c2_s0", plain);
}

static void flip(float *a, int64_t n)
{
    for (int64_t i = 0; i < n; i++) a[i] = -a[i];
}

static void flip_dx(const op_problem *o, opcheck_result *r)
{
    (void)o;
    flip(r->dx, r->n_x);
}

static void flip_dz(const op_problem *o, opcheck_result *r)
{
    (void)o;
    flip(r->dz, r->n_x);
}

static void flip_first_parameter(const op_problem *o, opcheck_result *r)
{
    (void)o;
    flip(r->grad[0], r->n_param[0]);
}

static void flip_second_parameter(const op_problem *o, opcheck_result *r)
{
    (void)o;
    flip(r->grad[1], r->n_param[1]);
}

/* A single wrong element, and not the largest. */
static void flip_one_weight(const op_problem *o, opcheck_result *r)
{
    (void)o;
    int64_t middle = 0;
    for (int64_t i = 1; i < r->n_param[0]; i++) {
        if (fabsf(fabsf(r->grad[0][i]) - 0.5f) < fabsf(fabsf(r->grad[0][middle]) - 0.5f)) middle = i;
    }
    flip(&r->grad[0][middle], 1);
}

/* The loss without the division by the number of rows. */
static void multiply_by_rows(const op_problem *o, opcheck_result *r)
{
    for (int64_t i = 0; i < r->n_x; i++) r->dx[i] *= (float)o->op.x.n;
}

/* Batch normalisation as if mean and variance did not depend on x: the terms with 1/m are missing. */
static void forget_the_statistics(const op_problem *o, opcheck_result *r)
{
    const int64_t HW = (int64_t)o->op.x.h * o->op.x.w, m = o->op.x.n * HW;
    for (int c = 0; c < o->op.x.c; c++) {
        double mean = 0, square = 0;
        for (int64_t j = 0; j < m; j++) {
            const double x = r->x[(j / HW * o->op.x.c + c) * HW + j % HW];
            mean += x / (double)m;
            square += x * x / (double)m;
        }
        for (int64_t j = 0; j < m; j++) {
            const int64_t i = (j / HW * o->op.x.c + c) * HW + j % HW;
            r->dx[i] = (float)(r->dy[i] * r->param[0][c] / sqrt(square - mean * mean + o->op.bnact.eps));
        }
    }
}

/* An activation whose derivative is forgotten. */
static void forget_the_mask(const op_problem *o, opcheck_result *r)
{
    (void)o;
    for (int64_t i = 0; i < r->n_x; i++) r->dz[i] = r->dy[i];
}

/* The other way round: frozen statistics do not move with x. */
static void add_the_statistics(const op_problem *o, opcheck_result *r)
{
    const int64_t HW = (int64_t)o->op.x.h * o->op.x.w, m = o->op.x.n * HW;
    for (int c = 0; c < o->op.x.c; c++) {
        double mean = 0;
        for (int64_t j = 0; j < m; j++) mean += r->dx[(j / HW * o->op.x.c + c) * HW + j % HW] / (double)m;
        for (int64_t j = 0; j < m; j++) r->dx[(j / HW * o->op.x.c + c) * HW + j % HW] -= (float)mean;
    }
}

static void nan_in_dx(const op_problem *o, opcheck_result *r)
{
    (void)o;
    r->dx[r->n_x - 1] = NAN;
}

static void the_check_catches_wrong_gradients(void **state)
{
    (void)state;
    static const struct {
        const char *problem;
        corruption *corrupt;
    } wrong[] = {
        { "conv n2c3h5w5_o4k3s1p1b", flip_dx },
        { "conv n2c3h5w5_o4k3s1p1b", flip_first_parameter },
        { "conv n2c3h5w5_o4k3s1p1b", flip_second_parameter },
        { "conv n2c3h5w5_o4k3s1p1b", flip_one_weight },
        { "conv n2c3h5w5_o4k3s1p1b", nan_in_dx },
        { "bnact n2c3h5w5_relu_add", flip_dx },
        { "bnact n2c3h5w5_relu_add", flip_dz },
        { "bnact n2c3h5w5_relu_add", flip_first_parameter },
        { "bnact n2c3h5w5_relu_add", flip_second_parameter },
        { "bnact n2c3h5w5_relu_add", forget_the_mask },
        { "bnact n2c3h5w5_none", forget_the_statistics },
        { "bnact n2c3h5w5_none_frozen", add_the_statistics },
        { "linear n3c24h1w1_o10_relu", flip_dx },
        { "pool n2c3h6w6_max_k2s2p0", flip_dx },
        { "loss n5c10_s0.1", flip_dx },
        { "loss n5c10_s0.1", multiply_by_rows },
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        const double error = gradient_error(wrong[i].problem, plain, wrong[i].corrupt);
        if (!(error > 100 * TOLERANCE))
            fail_msg("corruption %zu of %s passes: %g", i, wrong[i].problem, error);
    }
}

/* dx_add and dz_add: what was there, plus the gradient; the parameters' gradients are overwritten. */
static void gradients_add_where_asked(void **state)
{
    (void)state;
    static const char *const problems[] = {
        "conv n2c3h5w5_o4k3s2p1b", "bnact n2c3h5w5_relu_add", "pool n2c3h7w7_max_k3s2p1", "pool n2c3h6w6_avg",
        "linear n3c6h2w2_o5_relu", "dropout n2c5h3w3_p0.5",   "shortcut n2c4h5w5_o8s2",   "loss n5c10_s0.1",
    };
    for (size_t p = 0; p < sizeof problems / sizeof problems[0]; p++) {
        op_problem o;
        opcheck_options adding = plain;
        opcheck_result a, b;
        adding.dx_add = adding.dz_add = true;
        must(problem_parse(problems[p], &o));
        must(opcheck_run(ref, &o, &plain, &a));
        must(opcheck_run(ref, &o, &adding, &b));
        for (int64_t i = 0; i < a.n_x; i++) {
            a.dx[i] += a.dx0[i];
            if (a.dz) a.dz[i] += a.dz0[i];
        }
        assert_true(opcheck_error(b.dx, a.dx, a.n_x) < 1e-6);
        if (a.dz) assert_true(opcheck_error(b.dz, a.dz, a.n_x) < 1e-6);
        for (int i = 0; i < a.n_grads; i++) {
            assert_true(opcheck_error(b.grad[i], a.grad[i], a.n_param[i]) == 0);
        }
        opcheck_free(&a);
        opcheck_free(&b);
    }
}

/* A gradient that nobody wants is not computed, and the others are what they were. */
static void unwanted_gradients_are_left_out(void **state)
{
    (void)state;
    static const char *const problems[] = {
        "conv n2c3h5w5_o4k3s2p1b",  "bnact n2c3h5w5_relu_add", "linear n3c6h2w2_o5_relu", "pool n1c2h4w4_avg",
        "pool n1c2h4w4_max_k2s2p0", "dropout n2c5h3w3_p0.5",   "shortcut n2c4h5w5_o8s2",  "loss n5c10_s0.1",
    };
    for (size_t p = 0; p < sizeof problems / sizeof problems[0]; p++) {
        op_problem o;
        opcheck_options no_dx = plain, no_grad = plain;
        opcheck_result all, a, b;
        no_dx.no_dx = no_grad.no_grad = true;
        must(problem_parse(problems[p], &o));
        must(opcheck_run(ref, &o, &plain, &all));
        must(opcheck_run(ref, &o, &no_dx, &a));
        must(opcheck_run(ref, &o, &no_grad, &b));
        assert_null(a.dx);
        assert_null(a.dz);
        assert_true(opcheck_error(b.dx, all.dx, all.n_x) == 0);
        if (all.dz) assert_true(opcheck_error(b.dz, all.dz, all.n_x) == 0);
        for (int i = 0; i < all.n_grads; i++) {
            assert_null(b.grad[i]);
            assert_true(opcheck_error(a.grad[i], all.grad[i], all.n_param[i]) == 0);
        }
        opcheck_free(&all);
        opcheck_free(&a);
        opcheck_free(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(convolution),
        cmocka_unit_test(batch_norm_add_activation),
        cmocka_unit_test(pooling),
        cmocka_unit_test(batch_norm_pooling),
        cmocka_unit_test(linear),
        cmocka_unit_test(dropout),
        cmocka_unit_test(shortcut),
        cmocka_unit_test(loss),
        cmocka_unit_test(the_check_catches_wrong_gradients),
        cmocka_unit_test(gradients_add_where_asked),
        cmocka_unit_test(unwanted_gradients_are_left_out),
    };
    return cmocka_run_group_tests(tests, open_ref, close_ref);
}
