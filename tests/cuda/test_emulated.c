/* tests/cuda/test_emulated.c -- the cuda backend without a GPU: its kernels and its host code, on an emulated device
 * (emulate.h), with plain loops in place of cuDNN and cuBLAS. This finds wrong indices, missing barriers, buffers
 * that are too small or reused too early, and copies of weights that are out of date.
 *
 *   test_emulated [TEXT]   only the checks of device_check.c whose name contains TEXT */
#include "../../core/device/plugin.h"
#include "../../tools/check/golden.h"
#include "checks.h"

#include <stdio.h>

#ifdef CLEAVE_CUDA

extern const plugin cleave_plugin;
extern int emulated_multiprocessors; /* emulate.h */

static void note(const char *line)
{
    printf("# %s\n", line);
}

static status open_sized(int multiprocessors, backend **out)
{
    const int usual = emulated_multiprocessors;
    emulated_multiprocessors = multiprocessors;
    const status st = cleave_plugin.open(0, 1, note, out);
    emulated_multiprocessors = usual;
    return st;
}

/* As `selftest device=cuda` does: a net that runs forward and backward inside a step of its own, then whole steps. */
static int check_golden(backend *cuda)
{
    golden_result g;
    if (golden_check("tests/golden/resnet20.safetensors", cuda, note, &g) == OK) return g.mismatches;
    note(status_message());
    return 1;
}

static int report(const char *what, int wrong)
{
    printf("1..1\n%sok 1 %s\n", wrong ? "not " : "", what);
    fflush(stdout);
    return wrong > 0;
}

int main(int argc, char **argv)
{
    static char *const blocks[] = { "layer1.1", "layer1.2", "layer2.1", "layer2.2", "layer3.1", "layer3.2" };
    static char *const layers[] = { "layers.2", "layers.4",  "layers.5",  "layers.7",  "layers.8",
                                    "layers.9", "layers.11", "layers.12", "layers.14", "layers.15" };
    static const checked_net nets[] = { { "resnet20", blocks, 6, true },
                                        { "vgg11_bn", NULL, 0, false },
                                        { "mobilenetv2", layers, 10, false } };
    /* Limits as in tests/backend/test_backend.c: ref sums in double, the kernels in float; bf16 has 8 bits. */
    device_check d = { .nets = nets,
                       .n_nets = 3,
                       .batch = 2,
                       .f32_limit = 4e-6,
                       .bf16_limit = 8e-3,
                       .bf16_sums_limit = 4e-6,
                       .emulated = true,
                       .open_sized = open_sized,
                       .only = argc > 1 ? argv[1] : NULL };
    if (cleave_plugin.open(0, 1, note, &d.cuda) != OK || ref_open(0, &d.ref) != OK) {
        printf("1..1\nnot ok 1 %s\n", status_message());
        return 1;
    }
    int code = device_check_run(&d);
    code |= report("an analysis on the device, on the host and on cpu", check_analysis(d.cuda));
    code |= report("the training loop with images of the device and of the loader", check_training(d.cuda));
    code |= report("a net against PyTorch's stored tensors", check_golden(d.cuda));
    backend_close(d.cuda);
    backend_close(d.ref);
    return code;
}
#else
int main(void)
{
    printf("1..1\nok 1 cuda on an emulated device # skip no CUDA toolkit with cuDNN here: its headers are "
           "needed\n");
    return 0;
}
#endif
