/* Checkpoints: what is written comes back to the bit; what does not fit is refused before anything changes. */
#include "../../core/base/file.h"
#include "../../nets/checkpoint.h"
#include "../../nets/device.h"
#include "../../nets/run.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static backend *device;
static char path[64];

static int setup(void **state)
{
    (void)state;
    snprintf(path, sizeof path, "/tmp/test_checkpoint-%d.safetensors", (int)getpid());
    return backend_open("ref", 1, &device, NULL, 0) == OK ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    unlink(path);
    backend_close(device);
    return 0;
}

static net *compiled(const char *arch, int classes, const char *removed, uint64_t seed)
{
    net *n = NULL;
    char *remove[] = { (char *)removed };
    net_case cases[] = { { 2, true } }; /* momentum is of nets that train */
    assert_int_equal(
        net_create(
            &(net_spec){ .arch = arch, .classes = classes, .remove = remove, .n_remove = removed ? 1 : 0 },
            &n),
        OK);
    assert_int_equal(net_compile(n, device, F32, cases, 1), OK);
    assert_int_equal(net_init(n, seed), OK);
    return n;
}

static status load(net *n, bool strict, bool velocity)
{
    status st = OK;
    st_file f = { 0 };
    TRY(st_open(path, &f));
    st = checkpoint_load(n, &f, path, strict, velocity);
out:
    st_close(&f);
    return st;
}

static void assert_same(const net *a, const net *b)
{
    int n;
    const net_param *p = net_params(a, &n), *q = net_params(b, &n);
    for (int i = 0; i < n; i++) {
        assert_string_equal(p[i].name, q[i].name);
        assert_memory_equal(p[i].value, q[i].value,
                            (size_t)p[i].count * sizeof(float)); /* ref: host memory */
        if (p[i].velocity)
            assert_memory_equal(p[i].velocity, q[i].velocity, (size_t)p[i].count * sizeof(float));
    }
}

static void round_trip(void **state)
{
    (void)state;
    net *a = compiled("resnet20", 10, "layer2.1", 1), *b = compiled("resnet20", 10, "layer2.1", 2);
    int n;
    const net_param *p = net_params(a, &n);
    train_state s = { .epoch = 3,
                      .step = 17,
                      .train = { 1234.000000000001, 99, 4352 },
                      .best_accuracy = 0.1 + 0.2,
                      .best_epoch = 1 };
    st_pair extra[] = { { (char *)"accuracy", (char *)"0.87" },
                        { (char *)"parent", (char *)"p.safetensors" } };
    st_file f = { 0 };
    checkpoint_info info;
    for (int i = 0; i < n; i++)
        if (p[i].velocity) p[i].velocity[0] = (float)i + 0.1f;
    net_set_steps(a, 605);
    assert_int_equal(checkpoint_save(a, path, extra, 2, &s), OK);
    assert_int_equal(load(b, true, true), OK);
    assert_same(a, b);
    assert_int_equal(net_steps(b), 605);
    assert_int_equal(st_open(path, &f), OK);
    assert_int_equal(checkpoint_info_read(&f, path, &info), OK);
    assert_string_equal(info.arch, "resnet20");
    assert_int_equal(info.classes, 10);
    assert_int_equal(info.n_removed, 1);
    assert_string_equal(info.removed[0], "layer2.1");
    assert_true(info.has_state);
    assert_memory_equal(&info.state.train, &s.train, sizeof s.train);
    assert_true(info.state.epoch == 3 && info.state.step == 17 &&
                info.state.best_accuracy == s.best_accuracy);
    assert_true(info.accuracy == 0.87);
    assert_string_equal(info.parent, "p.safetensors");
    const st_tensor *counter = st_find(&f, "bn1.num_batches_tracked");
    assert_non_null(counter);
    assert_int_equal(counter->type, ST_I64);
    assert_int_equal(counter->rank, 0);
    checkpoint_info_free(&info);
    st_close(&f);
    net_free(a);
    net_free(b);
}

static void best_has_no_optimizer_tensors(void **state)
{
    (void)state;
    net *a = compiled("resnet20", 10, NULL, 1);
    st_file f = { 0 };
    assert_int_equal(checkpoint_save(a, path, NULL, 0, NULL), OK);
    assert_int_equal(st_open(path, &f), OK);
    for (int i = 0; i < f.n_tensors; i++) assert_null(strstr(f.tensor[i].name, "optimizer"));
    assert_int_equal(f.n_tensors, 19 * 6 + 2); /* per Conv-BN: weight, four of BN, its counter; linear */
    st_close(&f);
    net_free(a);
}

/* Each refusal names the tensor, and leaves the net as it was. */
static void misfits_are_refused_whole(void **state)
{
    (void)state;
    net *whole = compiled("resnet20", 10, NULL, 1), *fewer = compiled("resnet20", 10, "layer1.1", 2);
    net *untouched = compiled("resnet20", 10, "layer1.1", 2), *hundred = compiled("resnet20", 100, NULL, 3);
    assert_int_equal(checkpoint_save(whole, path, NULL, 0, NULL), OK);
    assert_int_equal(load(fewer, true, false), ERR_DATA); /* left over */
    assert_non_null(strstr(status_message(), "layer1.1."));
    assert_same(fewer, untouched);
    assert_int_equal(load(hundred, true, false), ERR_DATA); /* wrong shape */
    assert_non_null(strstr(status_message(), "linear.weight is [10, 64]"));
    assert_int_equal(load(whole, true, true), ERR_DATA); /* no velocity in it */
    assert_int_equal(load(fewer, false, false), OK);
    assert_int_equal(checkpoint_save(fewer, path, NULL, 0, NULL), OK);
    assert_int_equal(load(whole, true, false), ERR_DATA); /* missing */
    assert_non_null(strstr(status_message(), "lacking layer1.1."));
    net_free(whole);
    net_free(fewer);
    net_free(untouched);
    net_free(hundred);
}

static void data_parallel_prefix_is_ignored(void **state)
{
    (void)state;
    net *a = compiled("resnet20", 10, NULL, 1), *b = compiled("resnet20", 10, NULL, 2);
    st_file f = { 0 };
    st_tensor copy[200];
    char names[200][100];
    assert_int_equal(checkpoint_save(a, path, NULL, 0, NULL), OK);
    assert_int_equal(st_open(path, &f), OK);
    for (int i = 0; i < f.n_tensors; i++) {
        snprintf(names[i], sizeof names[i], "module.%s", f.tensor[i].name);
        copy[i] = f.tensor[i];
        copy[i].name = names[i];
    }
    assert_int_equal(st_write(path, copy, f.n_tensors, NULL, 0), OK);
    st_close(&f);
    assert_int_equal(load(b, true, false), OK);
    assert_same(a, b);
    net_free(a);
    net_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip),
        cmocka_unit_test(best_has_no_optimizer_tensors),
        cmocka_unit_test(misfits_are_refused_whole),
        cmocka_unit_test(data_parallel_prefix_is_ignored),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
