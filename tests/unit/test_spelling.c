/* Weights as other programs name them: wrappers, torchvision's and kuangliu's names and shapes. */
#include "../../core/format/safetensors.h"
#include "../../nets/checkpoint.h"
#include "../../nets/device.h"
#include "../../nets/run.h"
#include "../../nets/spelling.h"
#include "../must.h"
#include "../scratch.h"

#include <stdlib.h>
#include <string.h>

enum { MOST = 400 };

static backend *device;

static int open_device(void **state)
{
    return scratch_setup(state) || backend_open("ref", 1, &device, NULL, 0) != OK;
}

static int close_device(void **state)
{
    backend_close(device);
    return scratch_teardown(state);
}

static net *compiled(const char *arch, uint64_t seed)
{
    net *n;
    must(net_create(&(net_spec){ .arch = arch, .classes = 10 }, &n));
    must(net_compile(n, device, F32, &(net_case){ 1, false }, 1));
    must(net_init(n, seed));
    return n;
}

static void names_of_other_programs(void **state)
{
    (void)state;
    static const struct {
        const char *arch, *tensor, *param;
    } t[] = {
        { "resnet18", "conv1.weight", "conv1.weight" },
        { "resnet18", "module.conv1.weight", "conv1.weight" },
        { "resnet18", "_orig_mod.module.conv1.weight", "conv1.weight" },
        { "resnet18", "model.conv1.weight", "conv1.weight" },
        { "resnet18", "net.module.layer1.0.bn1.running_var", "layer1.0.bn1.running_var" },
        { "resnet18", "layer2.0.downsample.0.weight", "layer2.0.shortcut.0.weight" },
        { "resnet18", "model.layer4.0.downsample.1.running_mean", "layer4.0.shortcut.1.running_mean" },
        { "resnet18", "linear.weight", "fc.weight" },
        { "resnet20", "module.fc.bias", "linear.bias" },
        { "vgg11_bn", "features.module.0.weight", "features.0.weight" },
        { "vgg11_bn", "model.features.module.0.weight", "features.0.weight" },
        { "resnet18", "model.net.conv1.weight", "conv1.weight" },
        { "resnet18", "modules.conv1.weight", NULL },
        { "resnet18", "head.weight", NULL },
        { "resnet18", "conv1.module", NULL },
        { "resnet18", "module", NULL },
        { "resnet18", "", NULL },
        { "resnet18", "optimizer.conv1.weight", NULL },
        { "resnet18", "bn1.num_batches_tracked", NULL },
    };
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        net *n;
        int count;
        must(net_create(&(net_spec){ .arch = t[i].arch, .classes = 10 }, &n));
        const int p = spelling_param(n, t[i].tensor);
        if (p < 0 && t[i].param) fail_msg("%s is not found", t[i].tensor);
        if (p >= 0) assert_string_equal(net_params(n, &count)[p].name, t[i].param ? t[i].param : "nothing");
        net_free(n);
    }
    assert_true(spelling_is_beside("total_ops") && spelling_is_beside("layer1.0.total_params"));
    assert_false(spelling_is_beside("subtotal_ops") || spelling_is_beside("conv1.weight"));
}

/* The values of net n under the names that torchvision's ResNet in DataParallel has, with `extra` added. */
static const char *write_foreign(const net *n, const char *extra, bool with_head)
{
    static char name[MOST][128];
    static st_tensor t[MOST];
    int count, k = 0;
    const net_param *p = net_params(n, &count);
    assert_true(count + 1 < MOST);
    for (int i = 0; i < count; i++) {
        const char *shortcut = strstr(p[i].name, "shortcut");
        if (!with_head && !strncmp(p[i].name, "fc.", 3)) continue;
        if (shortcut)
            snprintf(name[k], sizeof name[k], "module.%.*sdownsample%s", (int)(shortcut - p[i].name),
                     p[i].name, shortcut + strlen("shortcut"));
        else
            snprintf(name[k], sizeof name[k], "module.%s", p[i].name);
        t[k] = (st_tensor){ name[k], ST_F32, p[i].spec.rank, { 0 }, p[i].count, p[i].value };
        memcpy(t[k].shape, p[i].spec.shape, sizeof p[i].spec.shape);
        if (!strcmp(p[i].name, "fc.weight")) t[k].rank = 2; /* a matrix */
        k++;
    }
    static const float one = 1;
    if (extra) t[k++] = (st_tensor){ (char *)extra, ST_F32, 1, { 1 }, 1, &one };
    must(st_write(scratch_path("foreign.safetensors"), t, k, NULL, 0));
    return scratch_path("foreign.safetensors");
}

static void a_file_of_torchvision_s(void **state)
{
    (void)state;
    int count;
    net *theirs = compiled("resnet18", 1), *ours = compiled("resnet18", 2);
    must(checkpoint_read(ours, write_foreign(theirs, "module.total_ops", true)));
    const net_param *p = net_params(theirs, &count), *q = net_params(ours, &count);
    for (int i = 0; i < count; i++)
        assert_memory_equal(p[i].value, q[i].value, (size_t)p[i].count * sizeof(float));
    net_free(theirs);
    net_free(ours);
}

static void what_does_not_fit_is_shown(void **state)
{
    (void)state;
    net *theirs = compiled("resnet18", 1), *ours = compiled("resnet18", 2);
    assert_int_equal(checkpoint_read(ours, write_foreign(theirs, "aux.weight", false)), ERR_DATA);
    assert_non_null(strstr(status_message(), "lacking fc.weight, fc.bias; of no use aux.weight"));
    assert_int_equal(checkpoint_read(ours, write_foreign(theirs, "conv1.weight", true)), ERR_DATA);
    assert_non_null(strstr(status_message(), "conv1.weight is there twice"));
    net *vgg = compiled("vgg11_bn", 3);
    assert_int_equal(checkpoint_read(vgg, write_foreign(theirs, NULL, true)), ERR_DATA);
    assert_non_null(strstr(status_message(), "features.0.weight, features.0.bias"));
    assert_non_null(strstr(status_message(), " in all)"));
    net_free(vgg);
    net_free(theirs);
    net_free(ours);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_of_other_programs),
        cmocka_unit_test(a_file_of_torchvision_s),
        cmocka_unit_test(what_does_not_fit_is_shown),
    };
    return cmocka_run_group_tests(tests, open_device, close_device);
}
