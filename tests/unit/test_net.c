/* The graph from outside: names, units, removal, taps; cases of one net share parameters and agree. */
#include "../../nets/net.h"
#include "../../core/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static backend *device;

static int open_ref(void **state)
{
    (void)state;
    return backend_open("ref", 0, &device, NULL, 0) == OK ? 0 : -1;
}

static int close_ref(void **state)
{
    (void)state;
    backend_close(device);
    return 0;
}

static net *create(const char *arch, const char *removed)
{
    net *n = NULL;
    char *remove[] = { (char *)removed };
    assert_int_equal(net_create(arch, 10, remove, removed ? 1 : 0, &n), OK);
    return n;
}

static void unknown_arch_lists_the_known_ones(void **state)
{
    (void)state;
    net *n = NULL;
    assert_int_equal(net_create("resnet21", 10, NULL, 0, &n), ERR_USAGE);
    assert_non_null(strstr(status_message(), "resnet20"));
    assert_null(n);
}

static void removal_is_refused_with_a_reason(void **state)
{
    (void)state;
    static const struct { const char *arch, *unit, *why; } cases[] = {
        { "resnet20", "conv1", "stem" },
        { "resnet20", "layer2.0", "identity" },
        { "resnet18", "layer4.0", "identity" },
        { "vgg16_bn", "features.7", "channels" },
        { "vgg16_bn", "features.2", "no unit" },
        { "resnet20", "layer4.1", "no unit" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        net *n = NULL;
        char *remove[] = { (char *)cases[i].unit };
        assert_int_equal(net_create(cases[i].arch, 10, remove, 1, &n), ERR_USAGE);
        assert_non_null(strstr(status_message(), cases[i].why));
        assert_non_null(strstr(status_message(), cases[i].unit));
    }
    net *n = NULL;
    char *twice[] = { "layer1.1", "layer1.1" };
    assert_int_equal(net_create("resnet20", 10, twice, 2, &n), ERR_USAGE);
}

static void a_removed_unit_is_gone_and_the_others_keep_their_names(void **state)
{
    (void)state;
    net *whole = create("resnet20", NULL), *cut = create("resnet20", "layer2.1");
    int n_whole, n_cut, n_params;
    const net_unit *units = net_units(whole, &n_whole), *kept = net_units(cut, &n_cut);
    assert_int_equal(n_whole, 10); /* stem and nine blocks */
    assert_int_equal(n_cut, 9);
    assert_string_equal(units[5].name, "layer2.1");
    assert_string_equal(kept[5].name, "layer2.2");
    assert_int_equal(net_param_count(whole) - net_param_count(cut), units[5].params);
    assert_int_equal(net_macs(whole) - net_macs(cut), units[5].macs);
    const net_param *p = net_params(cut, &n_params);
    for (int i = 0; i < n_params; i++) assert_null(strstr(p[i].name, "layer2.1."));
    net_free(whole);
    net_free(cut);
}

static int hooks_in(const net *n, hook_set set, char names[][64])
{
    int all, count = 0;
    const net_hook *h = net_hooks(n, &all);
    for (int i = 0; i < all; i++)
        if (h[i].sets >> set & 1) strcpy(names[count++], h[i].name);
    return count;
}

static void hook_sets_follow_the_papers(void **state)
{
    (void)state;
    char names[64][64];
    net *n = create("resnet20", NULL);
    assert_int_equal(hooks_in(n, HOOKS_BLOCK, names), 10);
    assert_string_equal(names[0], "conv1");
    assert_string_equal(names[9], "layer3.2");
    assert_int_equal(hooks_in(n, HOOKS_CONV, names), 19);
    assert_string_equal(names[1], "layer1.0.conv1");
    assert_string_equal(names[2], "layer1.0");
    assert_int_equal(hooks_in(n, HOOKS_LU2022, names), 10);
    assert_string_equal(names[0], "conv1.raw");
    assert_string_equal(names[1], "layer1.0");
    net_free(n);
    n = create("vgg16_bn", NULL);
    assert_int_equal(hooks_in(n, HOOKS_BLOCK, names), 13);
    assert_string_equal(names[12], "features.40");
    assert_int_equal(hooks_in(n, HOOKS_LU2022, names), 13); /* as many points as the published VGG16 curve */
    assert_string_equal(names[0], "features.0.raw");
    net_free(n);
}

typedef struct seen { int calls; shape4 shape; int rows; double sum; } seen;

static status look(void *ctx, const tap_view *v)
{
    seen *s = ctx;
    status st = OK;
    int64_t values = v->rows * shape_image(v->shape);
    float *x = malloc((size_t)values * sizeof *x);
    assert_non_null(x);
    s->calls++;
    s->shape = v->shape;
    s->rows = v->rows;
    TRY(tap_read(v, x));
    for (int64_t i = 0; i < values; i++) s->sum += x[i];
out:
    free(x);
    return st;
}

static float *random_images(int n)
{
    float *x = malloc((size_t)n * 3072 * sizeof *x);
    assert_non_null(x);
    for (int i = 0; i < n * 3072; i++) x[i] = rng_normal(7, RNG_TEST, 0, (uint64_t)i);
    return x;
}

static void taps_see_evaluation_and_padding_does_not_count(void **state)
{
    (void)state;
    net *n = create("resnet20", NULL);
    seen raw = { 0 }, block = { 0 };
    net_case cases[] = { { 4, false } };
    loss_stats stats;
    int32_t label[] = { 3, 9 };
    float *x = random_images(2), logits[20];
    assert_int_equal(net_tap(n, "conv1.raw", look, &raw), OK);
    assert_int_equal(net_tap(n, "layer3.2", look, &block), OK);
    assert_int_equal(net_tap(n, "layer3.2", look, &block), ERR_RUNTIME);
    assert_int_equal(net_tap(n, "layer9.9", look, &block), ERR_USAGE);
    assert_int_equal(net_compile(n, device, F32, cases, 1), OK);
    assert_int_equal(net_init(n, 1), OK);
    assert_int_equal(net_input(n, 0, x, label, 2), OK);
    assert_int_equal(net_forward(n, 0), OK);
    assert_int_equal(raw.calls, 1);
    assert_int_equal(raw.rows, 2);
    assert_int_equal(raw.shape.c, 16);
    assert_int_equal(block.shape.c, 64);
    assert_int_equal(block.shape.h, 8);
    assert_true(block.sum > 0); /* after a ReLU */
    assert_int_equal(net_stats(n, &stats), OK);
    assert_int_equal(stats.rows, 2);
    assert_int_equal(net_logits(n, 0, 2, logits), OK);
    double loss = 0;
    for (int i = 0; i < 2; i++) {
        double sum = 0;
        for (int c = 0; c < 10; c++) sum += exp((double)logits[10 * i + c]);
        loss += log(sum) - (double)logits[10 * i + label[i]];
    }
    assert_float_equal(stats.loss, loss, 1e-5 * loss);
    free(x);
    net_free(n);
}

static void a_training_case_wants_every_row(void **state)
{
    (void)state;
    net *n = create("resnet20", NULL);
    net_case cases[] = { { 4, true } };
    float *x = random_images(4);
    assert_int_equal(net_compile(n, device, F32, cases, 1), OK);
    assert_int_equal(net_input(n, 0, x, NULL, 3), ERR_RUNTIME);
    assert_int_equal(net_input(n, 0, x, NULL, 5), ERR_RUNTIME);
    free(x);
    net_free(n);
}

/* Four images in one case or two by two in another: the same logits. Liveness errors would show here. */
static void cases_agree(void **state)
{
    (void)state;
    net *n = create("resnet20", NULL);
    net_case cases[] = { { 4, false }, { 2, false }, { 4, true } };
    float *x = random_images(4), four[40], two[40];
    assert_int_equal(net_compile(n, device, F32, cases, 3), OK);
    assert_int_equal(net_init(n, 1), OK);
    assert_int_equal(net_input(n, 0, x, NULL, 4), OK);
    assert_int_equal(net_forward(n, 0), OK);
    assert_int_equal(net_logits(n, 0, 4, four), OK);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(net_input(n, 1, x + 2 * 3072 * i, NULL, 2), OK);
        assert_int_equal(net_forward(n, 1), OK);
        assert_int_equal(net_logits(n, 1, 2, two + 20 * i), OK);
    }
    assert_memory_equal(four, two, sizeof four);
    free(x);
    net_free(n);
}

static void initialisation_has_the_stated_spread(void **state)
{
    (void)state;
    net *n = create("vgg11_bn", NULL);
    net_case cases[] = { { 1, false } };
    int n_params;
    assert_int_equal(net_compile(n, device, F32, cases, 1), OK);
    assert_int_equal(net_init(n, 3), OK);
    const net_param *p = net_params(n, &n_params);
    for (int i = 0; i < n_params; i++) {
        float *x = malloc((size_t)p[i].count * sizeof *x);
        double sum = 0, square = 0, count = (double)p[i].count;
        assert_non_null(x);
        assert_int_equal(net_param_read(n, &p[i], x), OK);
        for (int64_t k = 0; k < p[i].count; k++) sum += x[k], square += (double)x[k] * x[k];
        double sd = sqrt(square / count - sum / count * sum / count), want = -1;
        if (!strcmp(p[i].name, "features.4.weight")) want = sqrt(2. / (9 * 128));      /* N(0, 2 / (k k c_out)) */
        if (!strcmp(p[i].name, "features.4.bias")) want = 0;
        if (!strcmp(p[i].name, "classifier.1.weight")) want = 1 / sqrt(3. * 512);      /* U(+-1/sqrt(fan_in)) */
        if (!strcmp(p[i].name, "features.5.weight")) assert_true(sum == count);
        if (want >= 0) assert_float_equal(sd, want, 0.02 * want);
        free(x);
    }
    net_free(n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unknown_arch_lists_the_known_ones),
        cmocka_unit_test(removal_is_refused_with_a_reason),
        cmocka_unit_test(a_removed_unit_is_gone_and_the_others_keep_their_names),
        cmocka_unit_test(hook_sets_follow_the_papers),
        cmocka_unit_test(taps_see_evaluation_and_padding_does_not_count),
        cmocka_unit_test(a_training_case_wants_every_row),
        cmocka_unit_test(cases_agree),
        cmocka_unit_test(initialisation_has_the_stated_spread),
    };
    return cmocka_run_group_tests(tests, open_ref, close_ref);
}
