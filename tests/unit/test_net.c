/* The graph from outside: names, units, removal, taps; cases of one net share parameters and agree. */
#include "../../core/base/rng.h"
#include "../../nets/device.h"
#include "../../nets/run.h"
#include "../../nets/tap.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

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
    assert_int_equal(
        net_create(&(net_spec){ .arch = arch, .classes = 10, .remove = remove, .n_remove = removed ? 1 : 0 },
                   &n),
        OK);
    return n;
}

static void unknown_arch_lists_the_known_ones(void **state)
{
    (void)state;
    net *n = NULL;
    assert_int_equal(net_create(&(net_spec){ .arch = "resnet21", .classes = 10 }, &n), ERR_USAGE);
    assert_non_null(strstr(status_message(), "resnet20"));
    assert_null(n);
}

static void removal_is_refused_with_a_reason(void **state)
{
    (void)state;
    static const struct {
        const char *arch, *unit, *why;
    } cases[] = {
        { "resnet20", "conv1", "stem" },
        { "resnet20", "layer2.0", "identity" },
        { "resnet18", "layer4.0", "identity" },
        { "vgg16_bn", "features.7", "channels" },
        { "vgg16_bn", "features.2", "no unit" },
        { "resnet20", "layer4.1", "no unit" },
        { "resnet50", "layer1.0", "identity" },
        { "mobilenetv2", "layers.1", "identity" },
        { "mobilenetv2", "conv2", "last convolution" },
        { "mobilenetv2_tv", "features.0.0", "stem" },
        { "mobilenetv2_tv", "features.3.conv.2", "no unit" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        net *n = NULL;
        char *remove[] = { (char *)cases[i].unit };
        assert_int_equal(
            net_create(&(net_spec){ .arch = cases[i].arch, .classes = 10, .remove = remove, .n_remove = 1 },
                       &n),
            ERR_USAGE);
        assert_non_null(strstr(status_message(), cases[i].why));
        assert_non_null(strstr(status_message(), cases[i].unit));
    }
    net *n = NULL;
    char *twice[] = { "layer1.1", "layer1.1" };
    assert_int_equal(
        net_create(&(net_spec){ .arch = "resnet20", .classes = 10, .remove = twice, .n_remove = 2 }, &n),
        ERR_USAGE);
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
    char names[160][64];
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
    n = create("resnet152", NULL);
    assert_int_equal(hooks_in(n, HOOKS_BLOCK, names), 51);
    assert_int_equal(hooks_in(n, HOOKS_LU2022, names), 51);
    assert_string_equal(names[50], "layer4.2");
    assert_int_equal(hooks_in(n, HOOKS_CONV, names), 151); /* 152 layers less the linear one */
    assert_string_equal(names[2], "layer1.0.conv2");
    assert_string_equal(names[3], "layer1.0");
    net_free(n);
}

/* Stem, 17 blocks, last convolution; three layers a block, but torchvision's first block has two. */
static void hooks_of_mobilenet(void **state)
{
    (void)state;
    static const struct {
        const char *arch, *last_block, *last;
        int convs;
        const char *conv[5]; /* the first of `hooks: conv` */
    } want[] = {
        { "mobilenetv2",
          "layers.16",
          "conv2",
          53,
          { "conv1", "layers.0.conv1", "layers.0.conv2", "layers.0", "layers.1.conv1" } },
        { "mobilenetv2_tv",
          "features.17",
          "features.18.0",
          52,
          { "features.0.0", "features.1.conv.0.0", "features.1", "features.2.conv.0.0",
            "features.2.conv.1.0" } },
    };
    char names[160][64];
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++) {
        net *n = create(want[i].arch, NULL);
        assert_int_equal(hooks_in(n, HOOKS_BLOCK, names), 19);
        assert_string_equal(names[17], want[i].last_block);
        assert_string_equal(names[18], want[i].last);
        assert_int_equal(hooks_in(n, HOOKS_CONV, names), want[i].convs);
        for (int k = 0; k < 5; k++) assert_string_equal(names[k], want[i].conv[k]);
        assert_int_equal(hooks_in(n, HOOKS_LU2022, names), 0); /* [Lu22] has none */
        net_free(n);
    }
}

typedef struct seen {
    int calls;
    shape4 shape;
    int rows;
    double sum;
} seen;

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

/* ---- initialisation (docs/nets.md) ---- */

typedef struct moments {
    double mean, sd, greatest, count;
} moments;

static moments moments_of(const net *n, const net_param *p)
{
    moments m = { .count = (double)p->count };
    double sum = 0, square = 0;
    float *x = malloc((size_t)p->count * sizeof *x);
    assert_non_null(x);
    assert_int_equal(net_param_read(n, p, x), OK);
    for (int64_t k = 0; k < p->count; k++) {
        sum += x[k];
        square += (double)x[k] * x[k];
        m.greatest = fmax(m.greatest, fabs((double)x[k]));
    }
    free(x);
    m.mean = sum / m.count;
    m.sd = sqrt(fmax(square / m.count - m.mean * m.mean, 0));
    return m;
}

enum { UNIFORM, NORMAL, ZERO };
typedef struct init_case {
    const char *param;
    int kind;
    double fan; /* sd = 1 / sqrt(3 fan) of U(+-1/sqrt(fan)); sqrt(2 / fan) of N */
} init_case;

static void check_spread(const char *arch, const init_case *want, moments m)
{
    double sd = want->kind == UNIFORM  ? sqrt(1 / (3 * want->fan))
                : want->kind == NORMAL ? sqrt(2 / want->fan)
                                       : 0;
    double error = sd / sqrt(m.count); /* standard error of the mean, at least that of the deviation */
    bool shape = want->kind == UNIFORM  ? m.greatest <= sqrt(1 / want->fan) && m.greatest > 1.7 * sd
                 : want->kind == NORMAL ? m.greatest > 2.5 * sd && m.greatest < 6 * sd
                                        : m.greatest == 0;
    if (!shape || fabs(m.sd - sd) > 4 * error || fabs(m.mean) > 4 * error)
        fail_msg("%s: %s has mean %g, sd %g (expected %g), greatest %g", arch, want->param, m.mean, m.sd, sd,
                 m.greatest);
}

static void check_init(const char *arch, const init_case *want, int n_want)
{
    net *n = create(arch, NULL);
    net_case cases[] = { { 1, false } };
    int n_params, found = 0;
    assert_int_equal(net_compile(n, device, F32, cases, 1), OK);
    assert_int_equal(net_init(n, 3), OK);
    const net_param *p = net_params(n, &n_params);
    for (int i = 0; i < n_params; i++) {
        moments m = moments_of(n, &p[i]);
        if (strstr(p[i].name, "running_var")) assert_true(m.mean == 1 && m.sd == 0);
        if (strstr(p[i].name, "running_mean")) assert_true(m.greatest == 0);
        for (int k = 0; k < n_want; k++) {
            if (strcmp(p[i].name, want[k].param)) continue;
            check_spread(arch, &want[k], m);
            found++;
        }
    }
    assert_int_equal(found, n_want);
    net_free(n);
}
#define CHECK_INIT(arch, ...)                                                                                \
    check_init(arch, (const init_case[]){ __VA_ARGS__ },                                                     \
               sizeof((const init_case[]){ __VA_ARGS__ }) / sizeof(init_case))

static void initialisation_has_the_stated_spread(void **state)
{
    (void)state;
    CHECK_INIT("vgg11_bn", { "features.4.weight", NORMAL, 9 * 128 }, { "features.4.bias", ZERO, 0 },
               { "classifier.1.weight", UNIFORM, 512 }, { "classifier.1.bias", UNIFORM, 512 });
    CHECK_INIT("resnet20", { "layer3.0.conv1.weight", NORMAL, 9 * 32 }, { "linear.weight", NORMAL, 64 });
    CHECK_INIT("resnet50", { "layer4.2.conv1.weight", UNIFORM, 2048 },
               { "layer4.2.conv2.weight", UNIFORM, 9 * 512 }, { "layer4.2.conv3.weight", UNIFORM, 512 },
               { "layer4.0.shortcut.0.weight", UNIFORM, 1024 }, { "fc.weight", UNIFORM, 2048 });
    CHECK_INIT("mobilenetv2", { "layers.15.conv1.weight", UNIFORM, 160 },
               { "layers.15.conv2.weight", UNIFORM, 9 }, { "layers.15.conv3.weight", UNIFORM, 960 },
               { "linear.weight", UNIFORM, 1280 });
    CHECK_INIT("mobilenetv2_tv", { "features.16.conv.0.0.weight", NORMAL, 960 },
               { "features.16.conv.1.0.weight", NORMAL, 9 * 960 },
               { "features.16.conv.2.weight", NORMAL, 160 }, { "classifier.1.weight", NORMAL, 2 / 1e-4 },
               { "classifier.1.bias", ZERO, 0 });
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unknown_arch_lists_the_known_ones),
        cmocka_unit_test(removal_is_refused_with_a_reason),
        cmocka_unit_test(a_removed_unit_is_gone_and_the_others_keep_their_names),
        cmocka_unit_test(hook_sets_follow_the_papers),
        cmocka_unit_test(hooks_of_mobilenet),
        cmocka_unit_test(taps_see_evaluation_and_padding_does_not_count),
        cmocka_unit_test(a_training_case_wants_every_row),
        cmocka_unit_test(cases_agree),
        cmocka_unit_test(initialisation_has_the_stated_spread),
    };
    return cmocka_run_group_tests(tests, open_ref, close_ref);
}
