/* Counting and inheriting: sizes of nets and units, the savings of [Yang23] Table 1, and a cut that must
 * not change what the net computes. prune/surgery.h. */
#include "../../nets/checkpoint.h"
#include "../../nets/device.h"
#include "../../nets/run.h"
#include "../../prune/surgery.h"
#include "../scratch.h"
#include <math.h>

enum { MAX_NAMES = 24 };
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* Splits "a b c"; the pieces live in `text`. */
static unsigned split(char *text, char **names)
{
    unsigned n = 0;
    for (char *p = strtok(text, " "); p; p = strtok(NULL, " ")) names[n++] = p;
    return n;
}

static net *create(const char *arch, const char *remove)
{
    char text[512], *names[MAX_NAMES];
    net *n;
    snprintf(text, sizeof text, "%s", remove);
    unsigned count = split(text, names);
    if (net_create(&(net_spec){ .arch = arch, .classes = 10, .remove = names, .n_remove = count }, &n) != OK)
        fail_msg("%s", status_message());
    return n;
}

/* ---- accounting, without a device ---- */

static void parameter_counts(void **state)
{
    (void)state;
    const struct {
        const char *arch;
        int64_t params;
    } want[] = {
        /* as published, docs/nets.md */
        { "resnet18", 11173962 },      { "resnet34", 21282122 },  { "resnet20", 269722 },
        { "resnet32", 464154 },        { "resnet44", 658586 },    { "resnet56", 853018 },
        { "resnet110", 1727962 },      { "vgg11_bn", 9756426 },   { "vgg13_bn", 9941322 },
        { "vgg16_bn", 15253578 },      { "vgg19_bn", 20565834 },  { "resnet50", 23520842 },
        { "resnet101", 42512970 },     { "resnet152", 58156618 }, { "mobilenetv2", 2296922 },
        { "mobilenetv2_tv", 2236682 },
    };
    for (size_t i = 0; i < COUNT(want); i++) {
        net *n = create(want[i].arch, "");
        assert_int_equal(net_param_count(n), want[i].params);
        net_free(n);
    }
}

static void unit_sizes(void **state)
{
    (void)state;
    const struct {
        const char *arch, *unit;
        int64_t params;
    } want[] = {
        /* [Yang23] Table 1 */
        { "resnet18", "layer1.1", 73984 },        { "resnet18", "layer2.1", 295424 },
        { "resnet18", "layer3.1", 1180672 },      { "resnet18", "layer4.1", 4720640 },
        { "resnet56", "layer1.8", 4672 },         { "resnet56", "layer2.8", 18560 },
        { "resnet56", "layer3.8", 73984 },        { "vgg16_bn", "features.3", 37056 },
        { "vgg16_bn", "features.10", 147840 },    { "vgg16_bn", "features.17", 590592 },
        { "vgg16_bn", "features.40", 2360832 },   { "resnet50", "layer1.1", 70400 },
        { "resnet101", "layer2.3", 280064 },      { "resnet152", "layer3.35", 1117184 },
        { "resnet152", "layer4.2", 4462592 },     { "mobilenetv2", "layers.2", 8832 },
        { "mobilenetv2", "layers.4", 14848 },     { "mobilenetv2", "layers.9", 54272 },
        { "mobilenetv2", "layers.11", 118272 },   { "mobilenetv2", "layers.15", 320000 },
        { "mobilenetv2_tv", "features.3", 8832 }, { "mobilenetv2_tv", "features.16", 320000 },
    };
    for (size_t i = 0; i < COUNT(want); i++) {
        int n_units, found = 0;
        net *full = create(want[i].arch, ""), *cut = create(want[i].arch, want[i].unit);
        const net_unit *unit = net_units(full, &n_units);
        for (int u = 0; u < n_units; u++) {
            if (strcmp(unit[u].name, want[i].unit)) continue;
            found++;
            assert_int_equal(unit[u].params, want[i].params);
            assert_int_equal(net_macs(full) - net_macs(cut), unit[u].macs);
        }
        assert_int_equal(found, 1);
        assert_int_equal(net_param_count(full) - net_param_count(cut), want[i].params);
        net_free(cut);
        net_free(full);
    }
}

static void table_1(void **state)
{
    (void)state;
    const struct {
        const char *arch, *remove, *percent;
    } want[] = {
        /* Yang's column */
        { "resnet18", "layer4.1", "42.25" },
        { "resnet34", "layer3.4 layer3.5 layer4.1 layer4.2", "55.46" },
        { "vgg11_bn", "features.22 features.25", "48.40" },
        { "vgg16_bn", "features.17 features.34 features.37 features.40", "50.30" },
        { "vgg19_bn", "features.36 features.40 features.43 features.46 features.49", "57.40" },
        { "resnet56",
          "layer1.5 layer1.6 layer1.7 layer1.8 layer2.6 layer2.7 layer2.8 "
          "layer3.3 layer3.4 layer3.5 layer3.6 layer3.7 layer3.8",
          "60.76" },
        { "resnet50", "layer3.4 layer3.5 layer4.1 layer4.2", "47.45" },
        /* Lu's; of ResNet18 and VGG11 none is cut */
        { "resnet18", "", "0.00" },
        { "vgg11_bn", "", "0.00" },
        { "resnet50", "layer3.5 layer4.2", "23.72" },
        { "resnet34", "layer4.2", "22.18" },
        { "vgg16_bn", "features.37 features.40", "30.95" }, /* printed as 30.96 */
        { "vgg19_bn", "features.46 features.49", "22.96" },
        { "resnet56",
          "layer1.5 layer1.6 layer1.7 layer1.8 layer2.7 layer2.8 "
          "layer3.5 layer3.6 layer3.7 layer3.8",
          "41.24" },
        /* all that can go: the cuts behind the published 70.10 and 47.47 are not known */
        { "mobilenetv2",
          "layers.2 layers.4 layers.5 layers.7 layers.8 layers.9 layers.11 layers.12 layers.14 layers.15",
          "46.93" },
    };
    for (size_t i = 0; i < COUNT(want); i++) {
        char percent[16];
        net *full = create(want[i].arch, ""), *cut = create(want[i].arch, want[i].remove);
        double saved = (double)(net_param_count(full) - net_param_count(cut)) / (double)net_param_count(full);
        snprintf(percent, sizeof percent, "%.2f", 100 * saved);
        assert_string_equal(percent, want[i].percent);
        net_free(cut);
        net_free(full);
    }
}

static void units_that_cannot_go(void **state)
{
    (void)state;
    const struct {
        const char *arch;
        char *unit;
    } bad[] = {
        { "resnet18", "layer4.0" },          { "resnet20", "conv1" },
        { "resnet20", "layer1.3" },          { "vgg16_bn", "features.0" },
        { "vgg16_bn", "features.4" },        { "resnet50", "layer1.0" },
        { "resnet101", "layer3.0" },         { "mobilenetv2", "conv1" },
        { "mobilenetv2", "conv2" },          { "mobilenetv2", "layers.0" },
        { "mobilenetv2", "layers.1" },       { "mobilenetv2", "layers.3" },
        { "mobilenetv2", "layers.16" },      { "mobilenetv2_tv", "features.0.0" },
        { "mobilenetv2_tv", "features.17" }, { "mobilenetv2_tv", "features.18.0" },
    };
    for (size_t i = 0; i < COUNT(bad); i++) {
        net *n;
        assert_int_equal(
            net_create(
                &(net_spec){ .arch = bad[i].arch, .classes = 10, .remove = &bad[i].unit, .n_remove = 1 }, &n),
            ERR_USAGE);
        assert_non_null(strstr(status_message(), bad[i].unit));
    }
}

static void names_union(void **state)
{
    (void)state;
    char *a[] = { "layer3.2", "layer1.1" }, *b[] = { "layer1.1", "layer2.2", "layer2.2" };
    char **out;
    unsigned n;
    assert_int_equal(surgery_names(a, 2, b, 3, &out, &n), OK);
    assert_int_equal(n, 3);
    assert_string_equal(out[0], "layer3.2");
    assert_string_equal(out[1], "layer1.1");
    assert_string_equal(out[2], "layer2.2");
    surgery_names_free(out, n);
    assert_int_equal(surgery_names(NULL, 0, NULL, 0, &out, &n), OK);
    assert_int_equal(n, 0);
    surgery_names_free(out, n);
    surgery_names_free(NULL, 0);
}

/* ---- inheriting, on the reference device ---- */

static const net_case one_image = { 1, false };
static const char *parent_path;

typedef struct trained {
    backend *b;
    net *n;
} trained;

static trained compiled_on(const char *device, const char *arch, const char *remove, uint64_t seed)
{
    trained t = { .n = create(arch, remove) };
    assert_int_equal(backend_open(device, 1, &t.b, NULL, 0), OK);
    assert_int_equal(net_compile(t.n, t.b, F32, &one_image, 1), OK);
    assert_int_equal(net_init(t.n, seed), OK);
    return t;
}

static trained compiled(const char *arch, const char *remove, uint64_t seed)
{
    return compiled_on("ref", arch, remove, seed);
}

static void close_trained(trained t)
{
    net_free(t.n);
    backend_close(t.b);
}

static const net_param *param(const net *n, const char *name)
{
    int count;
    const net_param *p = net_params(n, &count);
    for (int i = 0; i < count; i++)
        if (!strcmp(p[i].name, name)) return &p[i];
    fail_msg("no parameter %s", name);
    return NULL;
}

static float *values(const net *n, const net_param *p)
{
    float *v = malloc((size_t)p->count * sizeof *v);
    assert_non_null(v);
    assert_int_equal(net_param_read(n, p, v), OK);
    return v;
}

static void fill(net *n, const char *name, float value)
{
    const net_param *p = param(n, name);
    float *v = values(n, p);
    for (int64_t i = 0; i < p->count; i++) v[i] = value;
    assert_int_equal(net_param_write(n, p, v), OK);
    free(v);
}

static void logits(net *n, float out[10])
{
    float image[3 * 32 * 32];
    for (int i = 0; i < 3 * 32 * 32; i++) image[i] = (float)sin(0.1 * i) + (float)(i % 7) / 7;
    assert_int_equal(net_input(n, 0, image, NULL, 1), OK);
    assert_int_equal(net_forward(n, 0), OK);
    assert_int_equal(net_logits(n, 0, 1, out), OK);
}

static void save(net *n)
{
    parent_path = scratch_path("parent.safetensors");
    assert_int_equal(checkpoint_save(n, parent_path, NULL, 0, NULL), OK);
}

/* A block whose last BN has gamma = beta = 0 adds nothing to its shortcut, which is >= 0 already or followed
 * by no ReLU: without it every bit of the logits is the same. */
static void cut_without_effect(const char *device, const char *arch, const char *units,
                               const char *const silent[4], const char *statistics[2])
{
    trained full = compiled_on(device, arch, "", 1), cut = compiled_on(device, arch, units, 2);
    for (size_t i = 0; i < 4; i++) fill(full.n, silent[i], 0);
    fill(full.n, statistics[0], 0.25f); /* a running mean, a running variance: inherited, too */
    fill(full.n, statistics[1], 1.5f);
    float want[10], got[10];
    save(full.n);
    logits(full.n, want);
    logits(cut.n, got);
    assert_memory_not_equal(got, want, sizeof want); /* another seed */
    assert_int_equal(surgery_inherit(cut.n, parent_path), OK);
    logits(cut.n, got);
    assert_memory_equal(got, want, sizeof want);
    close_trained(cut);
    close_trained(full);
}

static void cut_of_a_block_that_does_nothing(void **state)
{
    (void)state;
    cut_without_effect("ref", "resnet20", "layer1.1 layer3.2",
                       (const char *[]){ "layer1.1.bn2.weight", "layer1.1.bn2.bias", "layer3.2.bn2.weight",
                                         "layer3.2.bn2.bias" },
                       (const char *[]){ "bn1.running_mean", "layer2.1.bn1.running_var" });
}

static void cut_of_a_bottleneck_that_does_nothing(void **state)
{
    (void)state;
    cut_without_effect("cpu", "resnet50", "layer1.1 layer3.5",
                       (const char *[]){ "layer1.1.bn3.weight", "layer1.1.bn3.bias", "layer3.5.bn3.weight",
                                         "layer3.5.bn3.bias" },
                       (const char *[]){ "bn1.running_mean", "layer2.1.bn2.running_var" });
}

static void cut_of_an_inverted_residual_that_does_nothing(void **state)
{
    (void)state;
    cut_without_effect("ref", "mobilenetv2", "layers.2 layers.15",
                       (const char *[]){ "layers.2.bn3.weight", "layers.2.bn3.bias", "layers.15.bn3.weight",
                                         "layers.15.bn3.bias" },
                       (const char *[]){ "bn1.running_mean", "layers.14.bn2.running_var" });
    cut_without_effect("ref", "mobilenetv2_tv", "features.3 features.16",
                       (const char *[]){ "features.3.conv.3.weight", "features.3.conv.3.bias",
                                         "features.16.conv.3.weight", "features.16.conv.3.bias" },
                       (const char *[]){ "features.0.1.running_mean", "features.15.conv.1.1.running_var" });
}

/* The same for a convolution of VGG made the identity: w = 1 in the middle of its own channel. */
static void cut_of_an_identity_convolution(void **state)
{
    (void)state;
    trained full = compiled("vgg11_bn", "", 1), cut = compiled("vgg11_bn", "features.11", 2);
    const net_param *p = param(full.n, "features.11.weight");
    float *w = values(full.n, p), want[10], got[10];
    for (int64_t i = 0; i < p->count; i++) w[i] = i % 9 == 4 && i / 9 % 256 == i / 9 / 256 ? 1 : 0;
    assert_int_equal(net_param_write(full.n, p, w), OK);
    free(w);
    fill(full.n, "features.12.running_var", 1 - 1e-5f); /* + eps = 1 */
    save(full.n);
    logits(full.n, want);
    assert_int_equal(surgery_inherit(cut.n, parent_path), OK);
    logits(cut.n, got);
    for (int i = 0; i < 10; i++) assert_true(fabsf(got[i] - want[i]) <= 1e-5f * fabsf(want[i]) + 1e-6f);
    close_trained(cut);
    close_trained(full);
}

static void every_kept_tensor_is_copied(void **state)
{
    (void)state;
    trained full = compiled("resnet20", "", 3), cut = compiled("resnet20", "layer2.1", 4);
    save(full.n);
    assert_int_equal(surgery_inherit(cut.n, parent_path), OK);
    int count;
    const net_param *p = net_params(cut.n, &count);
    for (int i = 0; i < count; i++) {
        float *got = values(cut.n, &p[i]), *want = values(full.n, param(full.n, p[i].name));
        assert_memory_equal(got, want, (size_t)p[i].count * sizeof *got);
        free(want);
        free(got);
    }
    close_trained(cut);
    close_trained(full);
}

/* Inheriting from the parent's file with the tensor conv1.weight changed. */
static status inherit_changed(net *pruned, const char *name, int64_t rows)
{
    st_file f;
    const char *path = scratch_path("changed.safetensors");
    assert_int_equal(st_open(parent_path, &f), OK);
    st_tensor *conv1 = (st_tensor *)st_find(&f, "conv1.weight");
    assert_non_null(conv1);
    char *own_name = conv1->name;
    conv1->name = (char *)name;
    conv1->count = conv1->count / conv1->shape[0] * rows;
    conv1->shape[0] = rows;
    assert_int_equal(st_write(path, f.tensor, f.n_tensors, f.meta, f.n_meta), OK);
    conv1->name = own_name;
    st_close(&f);
    return surgery_inherit(pruned, path);
}

static void inheriting_fails(void **state)
{
    (void)state;
    trained full = compiled("resnet20", "", 5), cut = compiled("resnet20", "layer2.1", 6);
    save(full.n);

    assert_int_equal(inherit_changed(cut.n, "layer9.0.conv1.weight", 16), ERR_DATA); /* of no unit */
    assert_non_null(strstr(status_message(), "layer9.0.conv1.weight"));

    /* harmless, but conv1.weight is missing now */
    assert_int_equal(inherit_changed(cut.n, "module.optimizer.conv1.weight", 16), ERR_DATA);
    assert_non_null(strstr(status_message(), "conv1.weight"));

    assert_int_equal(inherit_changed(cut.n, "conv1.weight", 8), ERR_DATA); /* another shape */
    assert_non_null(strstr(status_message(), "conv1.weight"));

    assert_int_equal(inherit_changed(cut.n, "conv1.weight", 16), OK);
    close_trained(cut);
    close_trained(full);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parameter_counts),
        cmocka_unit_test(unit_sizes),
        cmocka_unit_test(table_1),
        cmocka_unit_test(units_that_cannot_go),
        cmocka_unit_test(names_union),
        cmocka_unit_test(cut_of_a_block_that_does_nothing),
        cmocka_unit_test(cut_of_a_bottleneck_that_does_nothing),
        cmocka_unit_test(cut_of_an_inverted_residual_that_does_nothing),
        cmocka_unit_test(cut_of_an_identity_convolution),
        cmocka_unit_test(every_kept_tensor_is_copied),
        cmocka_unit_test(inheriting_fails),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
