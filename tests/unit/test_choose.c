/* From an analysis to the names that go, the config of the pruned run, and prune.json. No device is needed.
 * prune/choose.h, prune/finetune.h, prune/result.h. */
#include "../../prune/choose.h"
#include "../../prune/finetune.h"
#include "../../prune/result.h"
#include <cjson/cJSON.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const config settings = { .prune = { .metric = METRIC_YANG, .eps = .01, .floor = .3, .smooth = 1 } };

static net *create(const char *arch, char *const *remove, unsigned n)
{
    net *out;
    if (net_create(&(net_spec){ .arch = arch, .classes = 10, .remove = remove, .n_remove = n }, &out) != OK)
        fail_msg("%s", status_message());
    return out;
}

static cJSON *parse(const char *text)
{
    cJSON *j = cJSON_Parse(text);
    assert_non_null(j);
    return j;
}

/* resnet20: M says layer1.2 is a plateau and layer3.1, layer3.2 decline; Q declines at layer3.2 only. */
static const char analysis_text[] =
    "{\"layers\": [{\"name\": \"conv1.raw\", \"yang\": {\"M\": 0.9}, \"lu\": {\"mean\": 0.9}},"
    "{\"name\": \"conv1\",    \"yang\": {\"M\": 0.1}, \"lu\": {\"mean\": 0.1}},"
    "{\"name\": \"layer1.0\", \"yang\": {\"M\": 0.3}, \"lu\": {\"mean\": 0.2}},"
    "{\"name\": \"layer1.1\", \"yang\": {\"M\": 0.4}, \"lu\": {\"mean\": 0.3}},"
    "{\"name\": \"layer1.2\", \"yang\": {\"M\": 0.402}, \"lu\": {\"mean\": 0.4}},"
    "{\"name\": \"layer2.0\", \"yang\": {\"M\": 0.5}, \"lu\": {\"mean\": 0.5}},"
    "{\"name\": \"layer2.1\", \"yang\": {\"M\": null}, \"lu\": {\"mean\": 0.6}},"
    "{\"name\": \"layer2.2\", \"yang\": {\"M\": 0.6}, \"lu\": {\"mean\": 0.7}},"
    "{\"name\": \"layer3.0\", \"yang\": {\"M\": 0.8}, \"lu\": {\"mean\": 0.75}},"
    "{\"name\": \"layer3.1\", \"yang\": {\"M\": 0.7}, \"lu\": {\"mean\": 0.8}},"
    "{\"name\": \"layer3.2\", \"yang\": {\"M\": 0.6}, \"lu\": {\"mean\": 0.7}}]}";

static void assert_cut(const choice *c, unsigned n, ...)
{
    va_list names;
    assert_int_equal(c->n_cut, n);
    va_start(names, n);
    for (unsigned i = 0; i < n; i++) assert_string_equal(c->cut[i], va_arg(names, const char *));
    va_end(names);
}

static void values_of_an_analysis(void **state)
{
    (void)state;
    double v;
    cJSON *a = parse(analysis_text);
    assert_true(metric_curve_value(metric_of(METRIC_YANG), a, "conv1", &v) && v == 0.1);
    assert_true(metric_curve_value(metric_of(METRIC_LU), a, "layer3.1", &v) && v == 0.8);
    assert_true(metric_curve_value(metric_of(METRIC_YANG), a, "layer2.1", &v) && isnan(v));
    assert_false(metric_curve_value(metric_of(METRIC_YANG), a, "layer9.1", &v));
    assert_true(isnan(v));
    cJSON_DeleteItemFromArray(cJSON_GetObjectItem(a, "layers"), 1); /* now conv1.raw stands for conv1 */
    assert_true(metric_curve_value(metric_of(METRIC_YANG), a, "conv1", &v) && v == 0.9);
    cJSON_Delete(a);
}

static void by_curve(void **state)
{
    (void)state;
    config lu = settings;
    lu.prune.metric = METRIC_LU;
    choice c;
    cJSON *a = parse(analysis_text);
    net *n = create("resnet20", NULL, 0);
    assert_int_equal(choose_by_curve(n, a, &settings, &c), OK);
    assert_string_equal(c.metric, "yang");
    assert_cut(&c, 3, "layer1.2", "layer3.1", "layer3.2");
    assert_int_equal(c.n_units, 10);
    assert_true(c.unit[3].value == 0.402 && isnan(c.unit[5].value) && !c.unit[4].removable);
    choice_free(&c);
    assert_int_equal(choose_by_curve(n, a, &lu, &c), OK);
    assert_string_equal(c.metric, "lu");
    assert_cut(&c, 1, "layer3.2");
    choice_free(&c);
    lu.prune.smooth = 2;
    assert_int_equal(choose_by_curve(n, a, &lu, &c), ERR_USAGE);
    net_free(n);
    cJSON_Delete(a);
}

static void by_hand(void **state)
{
    (void)state;
    char *gone[] = { "layer3.2" }, *names[] = { "layer3.2", "layer1.0" }, *stem[] = { "conv1" },
         *typo[] = { "layer1.7" };
    choice c;
    net *n = create("resnet20", gone, 1);
    assert_int_equal(choose_by_hand(n, names, 2, &c), OK); /* layer3.2 went before */
    assert_string_equal(c.metric, "hand");
    assert_cut(&c, 1, "layer1.0");
    assert_string_equal(c.unit[1].decision.reason, "chosen by hand");
    choice_free(&c);
    assert_int_equal(choose_by_hand(n, NULL, 0, &c), OK);
    assert_cut(&c, 0);
    choice_free(&c);
    assert_int_equal(choose_by_hand(n, stem, 1, &c), ERR_USAGE);
    assert_non_null(strstr(status_message(), "conv1"));
    assert_int_equal(choose_by_hand(n, typo, 1, &c), ERR_USAGE);
    assert_non_null(strstr(status_message(), "layer1.7"));
    net_free(n);
}

static void config_of_the_pruned_run(void **state)
{
    (void)state;
    char *gone[] = { "layer3.2" }, *names[] = { "layer1.0" };
    char *overrides[] = { "name=x", "net.arch=resnet20", "net.remove=[layer3.2]", "train.epochs=7",
                          "train.lr=0.02" };
    config *parent, *pruned;
    choice c;
    net *n = create("resnet20", gone, 1);
    assert_int_equal(choose_by_hand(n, names, 1, &c), OK);
    assert_int_equal(config_load(NULL, overrides, 5, &parent), OK);

    const char *path = "a \"b\": [c], {d}/best.safetensors"; /* quoting holds */
    assert_int_equal(finetune_config(parent, path, &c, &pruned), OK);
    assert_string_equal(pruned->name, "x-pruned-hand");
    assert_string_equal(pruned->net.weights, path);
    assert_int_equal(pruned->net.remove_count, 2);
    assert_string_equal(pruned->net.remove[0], "layer3.2");
    assert_string_equal(pruned->net.remove[1], "layer1.0");
    assert_int_equal(pruned->train.epochs, 7);
    assert_true(pruned->train.lr == 0.02f);
    config_free(pruned);

    parent->prune.epochs = 3;
    parent->prune.init = INIT_SCRATCH;
    c.metric = "yang";
    assert_int_equal(finetune_config(parent, path, &c, &pruned), OK);
    assert_string_equal(pruned->name, "x-pruned");
    assert_string_equal(pruned->net.weights, "");
    assert_int_equal(pruned->train.epochs, 3);
    config_free(pruned);
    config_free(parent);
    choice_free(&c);
    net_free(n);
}

/* Criterion I on a curve of resnet20 given as an analysis; "null" for NaN. */
static void choose_by_values(const net *n, const config *cfg, const char *const value[10], choice *c)
{
    static const char *const unit[] = { "conv1",    "layer1.0", "layer1.1", "layer1.2", "layer2.0",
                                        "layer2.1", "layer2.2", "layer3.0", "layer3.1", "layer3.2" };
    char text[2000] = "{\"layers\": [";
    for (int i = 0; i < 10; i++)
        sprintf(text + strlen(text), "%s{\"name\": \"%s\", \"yang\": {\"M\": %s}}", i ? ", " : "", unit[i],
                value[i]);
    cJSON *a = parse(strcat(text, "]}"));
    assert_int_equal(choose_by_curve(n, a, cfg, c), OK);
    assert_int_equal(c->n_cut, 0);
    cJSON_Delete(a);
}

static void assert_none(const net *n, const config *cfg, const char *const value[10], const char *want)
{
    choice c;
    char why[600];
    choose_by_values(n, cfg, value, &c);
    choice_why_none(&c, why, sizeof why);
    assert_string_equal(why, want);
    choice_free(&c);
}

static void why_nothing_is_cut(void **state)
{
    (void)state;
    config chance = settings;
    chance.prune.metric = METRIC_RANDOM;
    char why[600],
        *all[] = { "layer1.0", "layer1.1", "layer1.2", "layer2.1", "layer2.2", "layer3.1", "layer3.2" };
    choice c;
    net *n = create("resnet20", NULL, 0), *bare = create("resnet20", all, 7);
    const char *const rising[] = { "0.1", "0.2", "0.3", "0.4", "0.5", "0.6", "0.7", "0.8", "0.9", "1" };
    assert_none(
        n, &settings, rising,
        "the curve rises at 7 (layer1.0, layer1.1, layer1.2, layer2.1, layer2.2, layer3.1, layer3.2)");
    assert_none(n, &chance, rising, "Criterion I cuts none by M, so none goes by random");
    const char *const late[] = { "0.1", "0.09", "0.095", "0.2", "0.3", "0.6", "null", "0.8", "0.9", "1" };
    assert_none(
        n, &settings, late,
        "the curve rises at 4 (layer1.2, layer2.1, layer3.1, layer3.2); only prune.floor keeps 2 (layer1.0, "
        "layer1.1); there is no value at 1 (layer2.2)");
    assert_int_equal(choose_by_hand(n, NULL, 0, &c), OK);
    choice_why_none(&c, why, sizeof why);
    assert_string_equal(why, "net.remove names no unit that is still there");
    choice_free(&c);
    assert_int_equal(choose_by_hand(bare, NULL, 0, &c), OK);
    choice_why_none(&c, why, sizeof why);
    assert_string_equal(why, "no unit of this net can be removed");
    choice_why_none(&c, why, 10);
    assert_string_equal(why, "no unit o");
    choice_free(&c);
    net_free(bare);
    net_free(n);
}

static double number(const cJSON *j, const char *key)
{
    const cJSON *item = cJSON_GetObjectItem(j, key);
    assert_true(cJSON_IsNumber(item));
    return item->valuedouble;
}

static void report(void **state)
{
    (void)state;
    choice c;
    cJSON *a = parse(analysis_text), *j;
    net *n = create("resnet20", NULL, 0);
    assert_int_equal(choose_by_curve(n, a, &settings, &c), OK);
    prune_result r = { "resnet20", "runs/x/best.safetensors", NULL,
                       &c,         { 400, 9, 2.5, 100 },      { 300, 8, 2.0, 120 } };
    r.accuracy_before = .9;
    r.accuracy_cut = r.accuracy_after = r.accuracy_last = NAN;
    assert_int_equal(prune_result_json(&r, &j), OK);
    assert_true(number(j, "saving_percent") == 25 && number(j, "params_after") == 300);
    assert_true(number(j, "macs_before") == 9 && number(j, "latency_ms_after") == 2);
    assert_true(number(j, "accuracy_before") == .9);
    assert_null(cJSON_GetObjectItem(j, "accuracy_cut"));
    assert_null(cJSON_GetObjectItem(j, "run"));
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(j, "removed")), 3);
    const cJSON *unit = cJSON_GetArrayItem(cJSON_GetObjectItem(j, "units"), 3);
    assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(unit, "name")), "layer1.2");
    assert_true(cJSON_IsTrue(cJSON_GetObjectItem(unit, "cut")));
    assert_true(cJSON_IsTrue(cJSON_GetObjectItem(unit, "removable")));
    assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(unit, "reason")),
                        "plateau: +0.002 <= 0.007 over layer1.1 (0.4)");
    assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(unit, "rule")), "plateau");
    unit = cJSON_GetArrayItem(cJSON_GetObjectItem(j, "units"), 5);
    assert_true(cJSON_IsNull(cJSON_GetObjectItem(unit, "value")));
    cJSON_Delete(j);
    choice_free(&c);
    net_free(n);
    cJSON_Delete(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_of_an_analysis),
        cmocka_unit_test(by_curve),
        cmocka_unit_test(by_hand),
        cmocka_unit_test(config_of_the_pruned_run),
        cmocka_unit_test(why_nothing_is_cut),
        cmocka_unit_test(report),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
