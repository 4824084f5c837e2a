/* Every file in configs/ loads, names a net that can be built, and has a unique run name. */
#include "../../nets/net.h"
#include "../../nets/schedule.h"
#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void every_config_loads(void **state)
{
    (void)state;
    glob_t files;
    assert_int_equal(glob("configs/*.yaml", 0, NULL, &files), 0);
    assert_true(files.gl_pathc >= 10);
    char names[64][140];
    assert_true(files.gl_pathc <= 64);
    for (size_t i = 0; i < files.gl_pathc; i++) {
        config *c;
        net *n;
        if (config_load(files.gl_pathv[i], NULL, 0, &c) != OK) fail_msg("%s", status_message());
        if (net_from_config(c, &n) != OK) fail_msg("%s: %s", files.gl_pathv[i], status_message());
        snprintf(names[i], sizeof names[i], "%s", c->name);
        for (size_t j = 0; j < i; j++)
            if (!strcmp(names[i], names[j])) fail_msg("%s: the name %s is taken", files.gl_pathv[i], c->name);
        net_free(n);
        config_free(c);
    }
    globfree(&files);
}

/* [Yang23 sec. 4]: the settings that the configs of the paper's nets must have, whatever the defaults are. */
static void the_protocol_of_the_paper(void **state)
{
    (void)state;
    static const char *const nets[] = { "resnet18", "resnet20",  "resnet34",    "resnet50",
                                        "resnet56", "resnet101", "resnet152",   "vgg11_bn",
                                        "vgg16_bn", "vgg19_bn",  "mobilenetv2", "mobilenetv2_tv" };
    for (size_t i = 0; i < sizeof nets / sizeof *nets; i++) {
        char path[64];
        config *c;
        snprintf(path, sizeof path, "configs/%s.yaml", nets[i]);
        assert_int_equal(config_load(path, NULL, 0, &c), OK);
        const config_train *t = &c->train;
        assert_string_equal(c->net.arch, nets[i]);
        assert_int_equal(c->data.format, DATA_CIFAR10);
        assert_true(c->data.crop_pad == 4 && c->data.flip && c->data.rotate == 0);
        assert_true(t->epochs == 150 && t->batch == 256 && t->lr == 0.01f && t->momentum == 0.9f &&
                    !t->nesterov);
        assert_true(t->weight_decay == 0.005f && t->warmup == 0 && t->label_smoothing == 0);
        assert_true(schedule_lr(t, 48, 0, 196) == (double)0.01f);
        assert_true(schedule_lr(t, 49, 0, 196) < 0.00101 && schedule_lr(t, 99, 0, 196) < 0.000101);
        assert_true(c->prune.eps == 0.01 && c->prune.floor == 0.3 && c->prune.metric == METRIC_YANG);
        config_free(c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_config_loads),
        cmocka_unit_test(the_protocol_of_the_paper),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
