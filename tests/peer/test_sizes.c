/* Images of other sizes than 32 x 32, gray and in colour: logits in evaluation and in training, and every gradient, against
 * PyTorch in float64. tests/peer/sizes.py is the other half. Sizes are odd where a net allows it, so that each stride
 * meets a side that it does not divide. */
#include "../../nets/checkpoint.h"
#include "../../nets/device.h"
#include "../../nets/run.h"
#include "../scratch.h"
#include "python.h"

#include <stdlib.h>
#include <string.h>

enum { BATCH = 4, CLASSES = 10, SEED = 7 };

static const struct {
    const char *name; /* for sizes.py */
    const char *device;
    net_spec spec;
} cases[] = {
    { "resnet20-1-28-28", "cpu", { .arch = "resnet20", .image = { 1, 28, 28 } } },
    { "resnet20-3-45-30", "cpu", { .arch = "resnet20", .image = { 3, 45, 30 } } },
    { "resnet18-3-40-26", "cpu", { .arch = "resnet18", .image = { 3, 40, 26 } } },
    { "vgg11_bn-3-64-96", "cpu", { .arch = "vgg11_bn", .image = { 3, 64, 96 } } },
    { "vgg11_bn-1-37-70", "cpu", { .arch = "vgg11_bn", .image = { 1, 37, 70 } } },
    { "mobilenetv2-3-41-24", "cpu", { .arch = "mobilenetv2", .image = { 3, 41, 24 } } },
    { "resnet20-1-19-23", "ref", { .arch = "resnet20", .image = { 1, 19, 23 } } },
};
enum { CASES = sizeof cases / sizeof cases[0] };

static void python(const char *what)
{
    char arguments[512];
    size_t n = (size_t)snprintf(arguments, sizeof arguments, "%s", what);
    for (int i = 0; i < CASES; i++)
        n += (size_t)snprintf(arguments + n, sizeof arguments - n, " %s", cases[i].name);
    run_python("tests/peer/sizes.py", arguments);
}

static const char *file_of(int i, const char *what)
{
    char name[64];
    must(text_format(name, sizeof name, "%s.%s.safetensors", cases[i].name, what));
    return scratch_path(name);
}

static float *values_of(const st_file *f, const char *name)
{
    const st_tensor *t = st_find(f, name);
    assert_non_null(t);
    float *v = malloc((size_t)t->count * sizeof *v);
    assert_non_null(v);
    must(st_to_f32(t, v));
    return v;
}

static void load_start(net *n, int i)
{
    st_file start;
    must(st_open(file_of(i, "start"), &start));
    must(checkpoint_load(n, &start, cases[i].name, true, false));
    st_close(&start);
}

static void feed(net *n, int which, int i)
{
    int32_t label[BATCH];
    st_file input;
    must(st_open(file_of(i, "input"), &input));
    float *x = values_of(&input, "x"), *y = values_of(&input, "y");
    for (int k = 0; k < BATCH; k++) label[k] = (int32_t)y[k];
    must(net_input(n, which, x, label, BATCH));
    free(x);
    free(y);
    st_close(&input);
}

/* Logits and gradients of one pass in each mode, into CASE.result.safetensors. */
static void write_result(net *n, backend *b, int i, float *eval, float *train)
{
    int count, k = 2;
    const net_param *p = net_params(n, &count);
    st_tensor *t = calloc((size_t)count + 2, sizeof *t);
    assert_non_null(t);
    t[0] = (st_tensor){ "logits.eval", ST_F32, 2, { BATCH, CLASSES }, BATCH * CLASSES, eval };
    t[1] = (st_tensor){ "logits.train", ST_F32, 2, { BATCH, CLASSES }, BATCH * CLASSES, train };
    for (int j = 0; j < count; j++) {
        if (!p[j].grad) continue;
        float *values = malloc((size_t)p[j].count * sizeof *values);
        assert_non_null(values);
        must(b->download(b, values, p[j].grad, (size_t)p[j].count * sizeof *values));
        t[k] = (st_tensor){ (char *)p[j].name, ST_F32, p[j].spec.rank, { 0 }, p[j].count, values };
        memcpy(t[k++].shape, p[j].spec.shape, sizeof p[j].spec.shape);
    }
    must(st_write(file_of(i, "result"), t, k, NULL, 0));
    for (int j = 2; j < k; j++) free((void *)t[j].data);
    free(t);
}

static void run_case(int i)
{
    const net_case both[] = { [CASE_EVAL] = { BATCH, false }, [CASE_TRAIN] = { BATCH, true } };
    const step_scalars s = { .lr = 0, .seed = SEED };
    float eval[BATCH * CLASSES], train[BATCH * CLASSES];
    net_spec spec = cases[i].spec;
    step_handle handle = { NULL };
    bool replayed;
    backend *b;
    net *n;
    spec.classes = CLASSES;
    must(backend_open(cases[i].device, 0, &b, NULL, 0));
    must(net_create(&spec, &n));
    must(net_compile(n, b, F32, both, 2));
    load_start(n, i);
    feed(n, CASE_EVAL, i);
    must(net_forward(n, CASE_EVAL));
    must(net_logits(n, CASE_EVAL, BATCH, eval));
    feed(n, CASE_TRAIN, i);
    must(b->step_begin(b, &handle, &s, &replayed));
    must(net_forward(n, CASE_TRAIN));
    must(net_logits(n, CASE_TRAIN, BATCH, train));
    must(net_backward(n, CASE_TRAIN));
    must(b->step_end(b));
    write_result(n, b, i, eval, train);
    backend_forget_step(b, &handle);
    net_free(n);
    backend_close(b);
}

static void other_sizes_are_pytorch_s(void **state)
{
    (void)state;
    skip_without_torch();
    assert_int_equal(setenv("CLEAVE_CONV", "direct", 1), 0); /* Winograd rounds more: kinks are near */
    python("prepare");
    for (int i = 0; i < CASES; i++) run_case(i);
    python("compare");
}

static void too_small_is_refused(void **state)
{
    (void)state;
    net *n = NULL;
    const net_spec vgg = { .arch = "vgg11_bn", .classes = 10, .image = { 3, 31, 64 } };
    assert_int_equal(net_create(&vgg, &n), ERR_USAGE);
    assert_non_null(strstr(status_message(), "vgg11_bn, after features.26: max pool"));
    assert_non_null(strstr(status_message(), "1x4"));
    const net_spec one = { .arch = "resnet20", .classes = 10, .image = { 3, 1, 1 } };
    must(net_create(&one, &n));
    net_free(n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(other_sizes_are_pytorch_s),
        cmocka_unit_test(too_small_is_refused),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
