/* tests/backend/test_fused.c -- operations that run as one on cpu, and values that are recomputed.
 *
 * Evaluation with BN folded into the convolutions, against the same net with a tap in front of every BN, which keeps the
 * two apart: the same logits but for rounding, and never those of older weights or statistics. Training that recomputes
 * values in backward, against training that keeps them: the same bits. */
#include "../../core/base/rng.h"
#include "../../core/device/fusion.h"
#include "../../nets/builder.h"
#include "../../nets/device.h"
#include "../../tools/check/opcheck.h"
#include "../must.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH = 4, CLASSES = 10, LOGITS = BATCH * CLASSES, CASE_HALF = 2 };

/* Folding rounds each weight once more. Winograd's error is that of tests/backend/test_backend.c. A deep net passes both
 * on: seen up to 1.0e-6 of the largest logit. */
static const double TOLERANCE = 1e-5;

static backend *cpu;

static int open_cpu(void **state)
{
    (void)state;
    return backend_open("cpu", 1, &cpu, NULL, 0) != OK;
}

static int close_cpu(void **state)
{
    (void)state;
    backend_close(cpu);
    return 0;
}

static status ignore(void *ctx, const tap_view *v)
{
    (void)v;
    ++*(int *)ctx;
    return OK;
}

static net *create(const char *arch, bool apart, int *taps)
{
    const net_case cases[] = { { BATCH, false }, { BATCH, true }, { BATCH / 2, false } };
    net *n;
    int n_hooks;
    must(net_create(&(net_spec){ .arch = arch, .classes = CLASSES }, &n));
    const net_hook *hook = net_hooks(n, &n_hooks);
    for (int h = 0; apart && h < n_hooks; h++)
        if (strstr(hook[h].name, ".raw")) must(net_tap(n, hook[h].name, ignore, taps));
    must(net_compile(n, cpu, F32, cases, 3));
    must(net_init(n, 5));
    return n;
}

static float *random_images(uint32_t array)
{
    float *x = malloc(sizeof *x * BATCH * 3072);
    assert_non_null(x);
    for (int i = 0; i < BATCH * 3072; i++) x[i] = rng_normal(7, RNG_TEST, array, (uint64_t)i);
    return x;
}

static void evaluate(net *n, const float *x, float *logits)
{
    must(net_input(n, CASE_EVAL, x, NULL, BATCH));
    must(net_forward(n, CASE_EVAL));
    must(net_logits(n, CASE_EVAL, BATCH, logits));
}

static void assert_same(const char *arch, const char *when, net *n, net *apart, const float *x, float *logits)
{
    float want[LOGITS];
    evaluate(n, x, logits);
    evaluate(apart, x, want);
    const double error = opcheck_error(logits, want, LOGITS);
    if (getenv("CLEAVE_TEST_VERBOSE")) print_message("%-16s %-24s %.1e\n", arch, when, error);
    if (!(error <= TOLERANCE)) fail_msg("%s, %s: off by %.1e", arch, when, error);
}

/* The number of BNs that took no time of their own. */
static int fused(net *n)
{
    int count = 0;
    double *seconds = malloc(sizeof *seconds * (size_t)net_layer_count(n));
    must(net_forward_timed(n, CASE_EVAL, seconds));
    for (int i = 0; i < net_layer_count(n); i++)
        count += !strcmp(net_layer_at(n, i).kind, "bnact") && seconds[i] == 0;
    free(seconds);
    return count;
}

static void learn(net *n, const float *x, bool step)
{
    const int32_t label[BATCH] = { 1, 2, 3, 4 };
    const step_scalars s = { .lr = 0.01f };
    must(net_input(n, CASE_TRAIN, x, label, BATCH));
    must(step ? net_step(n, CASE_TRAIN, &s) : net_forward(n, CASE_TRAIN));
}

static void folded_nets_agree(void **state)
{
    static const struct {
        const char *arch;
        int bns, apart; /* fused without and with the taps; a shortcut's BN cannot be tapped */
    } nets[] = { { "resnet20", 19, 0 }, { "vgg11_bn", 8, 0 }, { "mobilenetv2", 57, 4 } };
    (void)state;
    for (size_t i = 0; i < sizeof nets / sizeof *nets; i++) {
        int taps = 0;
        const char *arch = nets[i].arch;
        net *n = create(arch, false, NULL), *apart = create(arch, true, &taps);
        float *x = random_images(1), *other = random_images(2), first[LOGITS], then[LOGITS];
        float half[LOGITS / 2];
        net *both[] = { n, apart };
        assert_same(arch, "at first", n, apart, x, first);
        assert_true(taps > 0);
        assert_int_equal(fused(n), nets[i].bns);
        assert_int_equal(fused(apart), nets[i].apart);
        for (int k = 0; k < 2; k++) learn(both[k], other, false);
        assert_same(arch, "new statistics", n, apart, x, then);
        assert_true(opcheck_error(first, then, LOGITS) > 10 * TOLERANCE);
        for (int k = 0; k < 2; k++) learn(both[k], other, true);
        assert_same(arch, "new weights", n, apart, x, first);
        assert_true(opcheck_error(first, then, LOGITS) > 10 * TOLERANCE);
        /* Another case of the net may overwrite what this one has folded. */
        must(net_input(n, CASE_HALF, x, NULL, BATCH / 2));
        must(net_forward(n, CASE_HALF));
        must(net_logits(n, CASE_HALF, BATCH / 2, half));
        assert_true(opcheck_error(half, first, LOGITS / 2) <= TOLERANCE);
        assert_same(arch, "after another case", n, apart, x, then);
        assert_memory_equal(first, then, sizeof first);
        free(x);
        free(other);
        net_free(n);
        net_free(apart);
    }
}

/* The backend as it is, except that its plans do not offer to recompute y. */
static backend plain;
static status plan_without_recompute(backend *b, const op *o, plan **out, op_needs *needs)
{
    const status st = plain.plan(b, o, out, needs);
    needs->recompute = false;
    return st;
}

static void train(const char *arch, int steps, float *logits, size_t *bytes)
{
    float *x = random_images(1);
    net *n = create(arch, false, NULL);
    const net_memory m = net_memory_used(n);
    *bytes = m.act + m.saved;
    for (int i = 0; i < steps; i++) learn(n, x, true);
    evaluate(n, x, logits);
    free(x);
    net_free(n);
}

/* Recomputing values in backward, instead of keeping them, changes no bit of a training and saves memory. */
static void recomputed_values_are_the_same(void **state)
{
    static const char *const archs[] = { "resnet20", "mobilenetv2" };
    (void)state;
    for (int i = 0; i < 2; i++) {
        float kept[LOGITS], recomputed[LOGITS];
        size_t kept_bytes, recomputed_bytes;
        train(archs[i], 2, recomputed, &recomputed_bytes);
        plain = *cpu;
        cpu->plan = plan_without_recompute;
        train(archs[i], 2, kept, &kept_bytes);
        cpu->plan = plain.plan;
        assert_memory_equal(kept, recomputed, sizeof kept);
        assert_true(recomputed_bytes < 0.9 * kept_bytes);
    }
}

/* Two convolutions read x, and when the backward of the deeper one, c6, begins, v is not kept any more: x is computed from
 * v, which is read after c5 only as the summand of x. No net of the zoo has such a place. */
static net *entangled(void)
{
    const net_case cases[] = { { BATCH, false }, { BATCH, true } };
    const conv_cfg k = { .out = 16, .kernel = 3 };
    net *n = calloc(1, sizeof *n);
    assert_non_null(n);
    net_builder b = { .net = n, .conv_init = PARAM_NORMAL_IN, .linear_init = PARAM_UNIFORM, .unit = NONE };
    snprintf(n->arch, sizeof n->arch, "entangled");
    n->classes = CLASSES;
    must(net_grow(&n->value, 0, sizeof *n->value));
    n->value[n->n_values++] = (net_value){ { 1, 3, 32, 32 }, NONE };
    const ref w = conv(&b, "w", 0, k), v = bn_add(&b, "b1", conv(&b, "c1", 0, k), w, ACT_RELU);
    const ref x = bn_add(&b, "b2", conv(&b, "c2", v, k), v, ACT_RELU), c3 = conv(&b, "c3", x, k);
    const ref c4 = conv(&b, "c4", w, k), c5 = conv(&b, "c5", v, k), c6 = conv(&b, "c6", x, k);
    ref sum = bn(&b, "s1", c3, ACT_RELU);
    sum = bn_add(&b, "s2", c4, sum, ACT_RELU);
    sum = bn_add(&b, "s3", c5, sum, ACT_RELU);
    sum = bn_add(&b, "s4", c6, sum, ACT_RELU);
    n->logits = linear(&b, "fc", global_average_pool(&b, sum), CLASSES, ACT_NONE);
    must(b.st);
    const shape4 logits = n->value[n->logits].shape;
    must(net_grow(&n->node, n->n_nodes, sizeof *n->node));
    n->node[n->n_nodes++] = (net_node){ .op = { .kind = OP_LOSS, .x = logits, .y = logits },
                                        .x = n->logits,
                                        .z = NONE,
                                        .y = NONE,
                                        .param = n->n_params };
    must(net_compile(n, cpu, F32, cases, 2));
    must(net_init(n, 1));
    return n;
}

static void train_entangled(float *logits)
{
    float *x = random_images(1);
    net *n = entangled();
    learn(n, x, true);
    evaluate(n, x, logits);
    free(x);
    net_free(n);
}

static void the_first_reader_in_backward_decides(void **state)
{
    float kept[LOGITS], recomputed[LOGITS];
    (void)state;
    train_entangled(recomputed);
    plain = *cpu;
    cpu->plan = plan_without_recompute;
    train_entangled(kept);
    cpu->plan = plain.plan;
    assert_memory_equal(kept, recomputed, sizeof kept);
}

/* The fusion of the backend as it is, except for BN with pooling. */
static const char *no_pooling(backend *b, const op *first, const op *then)
{
    return then->kind == OP_POOL ? "no" : plain.fusion->unsupported(b, first, then);
}

/* A step in which BN and pooling run as one gives the results of two operations, and saves memory. Only one step, because
 * afterwards a value at a kink may fall on its other side. */
static void pooled_normalisations_train_alike(void **state)
{
    float fused_logits[LOGITS], apart[LOGITS];
    size_t fused_bytes, apart_bytes;
    (void)state;
    train("vgg11_bn", 1, fused_logits, &fused_bytes);
    plain = *cpu;
    const backend_fusion without_pooling = { .unsupported = no_pooling, .plan = plain.fusion->plan };
    cpu->fusion = &without_pooling;
    train("vgg11_bn", 1, apart, &apart_bytes);
    cpu->fusion = plain.fusion;
    const double error = opcheck_error(fused_logits, apart, LOGITS);
    if (getenv("CLEAVE_TEST_VERBOSE")) print_message("a step of vgg11_bn: off by %.1e\n", error);
    assert_true(error <= TOLERANCE);
    assert_true(fused_bytes < apart_bytes);
}

static void write_first(net *n, const char *param, float value)
{
    int n_params;
    const net_param *p = net_params(n, &n_params);
    for (int i = 0; i < n_params; i++) {
        if (strcmp(p[i].name, param)) continue;
        float *v = malloc((size_t)p[i].count * sizeof *v);
        must(net_param_read(n, &p[i], v));
        v[0] = value;
        must(net_param_write(n, &p[i], v));
        free(v);
    }
}

/* oneDNN's ReLU makes 0 of NaN: it has to be found before. */
static void what_is_not_finite_is_noticed(void **state)
{
    static const char *const names[] = { "layer1.0.conv1.weight", "layer1.0.bn1.running_var",
                                         "layer1.0.bn1.bias" };
    (void)state;
    for (int i = 0; i < 3; i++) {
        net *n = create("resnet20", false, NULL);
        float *x = random_images(1), logits[LOGITS];
        evaluate(n, x, logits);
        write_first(n, names[i], i ? NAN : INFINITY);
        must(net_input(n, CASE_EVAL, x, NULL, BATCH));
        assert_int_equal(net_forward(n, CASE_EVAL), ERR_DIVERGED);
        assert_non_null(strstr(status_message(), "layer1.0.bn1: "));
        write_first(n, names[i], 1);
        evaluate(n, x, logits);
        assert_true(isfinite(logits[0]));
        free(x);
        net_free(n);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(folded_nets_agree),
        cmocka_unit_test(recomputed_values_are_the_same),
        cmocka_unit_test(the_first_reader_in_backward_decides),
        cmocka_unit_test(pooled_normalisations_train_alike),
        cmocka_unit_test(what_is_not_finite_is_noticed),
    };
    return cmocka_run_group_tests(tests, open_cpu, close_cpu);
}
