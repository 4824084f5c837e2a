/* tests/cuda/test_emulated.c -- the cuda backend without a GPU: its kernels and its host side, on an emulated
 * device (emulate.h) with plain loops in the place of cuDNN and cuBLAS. Finds wrong indices, missing
 * barriers, buffers that are too small or reused too early, copies of weights that are out of date; not what
 * a real device does beyond that. */
#include "../../core/plugin.h"
#include "analysis_check.h"
#include "device_check.h"

#include <stdio.h>

#ifdef CLEAVE_CUDA
#include "../../core/cuda/kernels.h"
#include "../../core/rng.h"
#include "../../data/augment.h"
#include "../../data/dataset.h"
#include "../../tools/check/opcheck.h"

extern const plugin cleave_plugin;

static void note(const char *line)
{
    printf("# %s\n", line);
}

/* --- images.cu against data/augment.c --- */

enum { IMAGES = 3, ROWS = 6, PADDED = 8 };

static status augmented_on_device(backend *b, dtype type, const uint8_t *images, const image_choice *choices,
                                  image_norm norm, float *out)
{
    status st = OK;
    void *pixels, *chosen, *value;
    const shape4 s = { PADDED, 3, 32, 32 };
    TRY(b->alloc(b, IMAGES * IMAGE_VALUES, &pixels));
    TRY(b->alloc(b, ROWS * sizeof *choices, &chosen));
    TRY(b->alloc(b, b->value_bytes(b, s, type), &value));
    TRY(b->upload(b, pixels, images, IMAGES * IMAGE_VALUES));
    TRY(b->upload(b, chosen, choices, ROWS * sizeof *choices));
    if (images_augment(NULL, type, pixels, chosen, norm, ROWS, PADDED, value))
        FAIL(ERR_RUNTIME, "images_augment: no launch");
    TRY(b->read_value(b, value, s, type, PADDED, out));
    b->release(b, pixels, 0);
    b->release(b, chosen, 0);
    b->release(b, value, 0);
out:
    return st;
}

/* Shifted, flipped, rotated; rows that are padding are zero. */
static int check_images(backend *b)
{
    static uint8_t images[IMAGES * IMAGE_VALUES];
    static float want[PADDED * IMAGE_VALUES], got[PADDED * IMAGE_VALUES];
    static const image_choice choices[ROWS] = { { 0, 0, 0, 0, 0 },      { 1, 4, -3, 1, 0 },
                                                { 2, -4, 4, 0, 0 },     { 2, 0, 0, 0, 15 },
                                                { 0, -2, 1, 1, -7.5f }, { 1, 3, 0, 1, 0 } };
    const image_norm norm = { { 0.4f, 0.5f, 0.6f }, { 0.2f, 0.25f, 0.3f } };
    config_data cfg = { 0 };
    int wrong = 0;
    for (int i = 0; i < IMAGES * IMAGE_VALUES; i++)
        images[i] = (uint8_t)rng_below(4, RNG_TEST, 0, (uint64_t)i, 256);
    for (int c = 0; c < 3; c++) cfg.mean[c] = norm.mean[c], cfg.std[c] = norm.std[c];
    for (int i = 0; i < ROWS; i++) {
        const augment_choice a = { choices[i].dx, choices[i].dy, choices[i].flip != 0, choices[i].degrees };
        augment_apply(images + choices[i].index * IMAGE_VALUES, &cfg, &a, want + i * IMAGE_VALUES);
    }
    for (int type = F32; type <= BF16; type++) {
        const double limit = type == F32 ? 1e-5 : 1.0 / 256;
        if (augmented_on_device(b, (dtype)type, images, choices, norm, got) != OK)
            printf("# %s\n", status_message()), wrong++;
        if (!(opcheck_error(got, want, PADDED * IMAGE_VALUES) <= limit)) printf("# images differ\n"), wrong++;
    }
    printf("1..1\n%sok 1 images augmented as on the host\n", wrong ? "not " : "");
    return wrong > 0;
}

int main(int argc, char **argv)
{
    static char *const blocks[] = { "layer1.1", "layer1.2", "layer2.1", "layer2.2", "layer3.1", "layer3.2" };
    static const checked_net nets[] = { { "resnet20", blocks, 6, true }, { "vgg11_bn", NULL, 0, false } };
    /* ref sums in double, the kernels in float: as in tests/backend/test_backend.c. bf16 has 8 bits. */
    device_check d = { .nets = nets,
                       .n_nets = 2,
                       .batch = 2,
                       .f32_limit = 4e-6,
                       .bf16_limit = 8e-3,
                       .only = argc > 1 ? argv[1] : NULL };
    if (cleave_plugin.open(0, 1, note, &d.cuda) != OK || ref_open(0, &d.ref) != OK) {
        printf("1..1\nnot ok 1 %s\n", status_message());
        return 1;
    }
    int code = check_images(d.cuda) | device_check_run(&d);
    const int wrong = analysis_check(d.cuda);
    printf("1..1\n%sok 1 an analysis on the device, on the host and on cpu\n", wrong ? "not " : "");
    code |= wrong > 0;
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
