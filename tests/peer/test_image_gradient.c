/* The gradient of the loss with respect to the image (net_image_gradient, what attacks climb) against
 * PyTorch's autograd with the net in evaluation mode. tests/peer/image_gradient.py is the other half. */
#include "../../core/base/file.h"
#include "../../nets/checkpoint.h"
#include "../../nets/device.h"
#include "../../nets/run.h"
#include "../scratch.h"
#include "python.h"

enum { BATCH = 8, CLASSES = 10, VALUES = BATCH * 3 * 32 * 32, ROOM = 11 };

static void python(const char *what, const char *arch)
{
    char arguments[64];
    must(text_format(arguments, sizeof arguments, "%s %s", what, arch));
    run_python("tests/peer/image_gradient.py", arguments);
}

static void feed(net *n)
{
    static float x[VALUES];
    float y[BATCH];
    int32_t label[BATCH];
    st_file start, input;
    must(st_open(scratch_path("start.safetensors"), &start));
    must(checkpoint_load(n, &start, "start.safetensors", true, false));
    st_close(&start);
    must(st_open(scratch_path("input.safetensors"), &input));
    must(st_to_f32(st_find(&input, "x"), x));
    must(st_to_f32(st_find(&input, "y"), y));
    st_close(&input);
    for (int i = 0; i < BATCH; i++) label[i] = (int32_t)y[i];
    must(net_input(n, 0, x, label, BATCH)); /* a frozen case takes fewer images than its batch */
}

static void compare(const char *device, const char *arch)
{
    static float gradient[VALUES];
    const net_case frozen = { .batch = ROOM, .training = true, .frozen = true };
    const st_tensor result = { "image", ST_F32, 4, { BATCH, 3, 32, 32 }, VALUES, gradient };
    backend *b;
    net *n;
    skip_without_torch();
    assert_int_equal(setenv("CLEAVE_CONV", "direct", 1), 0); /* Winograd rounds more: kinks are near */
    python("prepare", arch);
    must(backend_open(device, 0, &b, NULL, 0));
    must(net_create(&(net_spec){ .arch = arch, .classes = CLASSES }, &n));
    must(net_compile(n, b, F32, &frozen, 1));
    feed(n);
    must(net_forward(n, 0));
    must(net_backward(n, 0));
    must(net_image_gradient(n, 0, BATCH, gradient));
    must(st_write(scratch_path("gradient.safetensors"), &result, 1, NULL, 0));
    net_free(n);
    backend_close(b);
    python("compare", arch);
}

static void resnet20_on_cpu(void **state)
{
    (void)state;
    compare("cpu", "resnet20");
}

static void vgg11_on_cpu(void **state)
{
    (void)state;
    compare("cpu", "vgg11_bn");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(resnet20_on_cpu),
        cmocka_unit_test(vgg11_on_cpu),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
