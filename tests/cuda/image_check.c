/* tests/cuda/image_check.c -- images that stay on the device: their pixels have the bits that the loader computes
 * (data/augment.c), and so has a training on them. */
#include "../../core/device/image_sets.h"
#include "checks.h"

#include "../../core/base/rng.h"
#include "../../data/augment.h"
#include "../image32.h"

#include <stdlib.h>
#include <string.h>

enum { IMAGES = 7, ROWS = 6, PADDED = 8 };

static const config_data augmented = { .mean = { 0.4f, 0.5f, 0.6f },
                                       .std = { 0.2f, 0.25f, 0.3f },
                                       .crop_pad = 4,
                                       .flip = true,
                                       .rotate = 15,
                                       CONFIG32 };

static void random_images(uint8_t *images)
{
    for (int i = 0; i < IMAGES * IMAGE_VALUES; i++)
        images[i] = (uint8_t)rng_below(4, RNG_TEST, 0, (uint64_t)i, 256);
}

/* --- one batch --- */

static status shown_on_device(backend *b, dtype type, const uint8_t *images, const image_draw *draws,
                              float *out)
{
    status st = OK;
    void *pixels = NULL, *chosen = NULL, *value = NULL;
    const shape4 s = { PADDED, 3, IMAGE_SIDE, IMAGE_SIDE };
    const image_norm norm = augment_norm(&augmented);
    TRY(b->alloc(b, IMAGES * IMAGE_VALUES, &pixels));
    TRY(b->alloc(b, PADDED * sizeof *draws, &chosen));
    TRY(b->alloc(b, b->value_bytes(b, s, type), &value));
    TRY(b->upload(b, pixels, images, IMAGES * IMAGE_VALUES));
    TRY(b->upload(b, chosen, draws, PADDED * sizeof *draws));
    TRY(b->images->show(b, pixels, chosen, &norm, s, type, value));
    TRY(b->read_value(b, value, s, type, PADDED, out));
out:
    if (pixels) b->release(b, pixels, IMAGES * IMAGE_VALUES);
    if (chosen) b->release(b, chosen, PADDED * sizeof *draws);
    if (value) b->release(b, value, b->value_bytes(b, s, type));
    return st;
}

/* Rounds x as a value of this type stores it. */
static status stored(backend *b, dtype type, float *x)
{
    status st = OK;
    void *value = NULL;
    const shape4 s = { PADDED, 3, IMAGE_SIDE, IMAGE_SIDE };
    TRY(b->alloc(b, b->value_bytes(b, s, type), &value));
    TRY(b->write_value(b, value, s, type, x));
    TRY(b->read_value(b, value, s, type, PADDED, x));
out:
    if (value) b->release(b, value, b->value_bytes(b, s, type));
    return st;
}

/* Shifted, flipped and rotated images; rows that only fill up the batch are zero. */
void check_images(const device_check *d)
{
    static const augment_choice choices[ROWS] = { { 0, 0, false, 0 },     { 4, -3, true, 0 },
                                                  { -4, 4, false, 0 },    { 0, 0, false, 15 },
                                                  { -2, 1, true, -7.5f }, { 3, 0, true, 90 } };
    static uint8_t images[IMAGES * IMAGE_VALUES];
    static float want[PADDED * IMAGE_VALUES], got[PADDED * IMAGE_VALUES];
    image_draw draws[PADDED] = { { 0 } };
    random_images(images);
    for (int type = F32; type <= BF16; type++) {
        memset(want, 0, sizeof want);
        for (int i = 0; i < PADDED; i++) {
            draws[i].index = -1;
            if (i >= ROWS) continue;
            draws[i] = augment_draw(&choices[i], (i * 4) % IMAGES);
            augment_apply(images + draws[i].index * IMAGE_VALUES, &augmented, &choices[i],
                          want + i * IMAGE_VALUES);
        }
        if (!fine(stored(d->cuda, (dtype)type, want), "values") ||
            !fine(shown_on_device(d->cuda, (dtype)type, images, draws, got), "show_images"))
            continue;
        for (int i = 0; i < PADDED; i++)
            if (memcmp(got + i * IMAGE_VALUES, want + i * IMAGE_VALUES, IMAGE_VALUES * sizeof(float)))
                wrong("%s, image %d is not that of the host", type == F32 ? "f32" : "bf16", i);
    }
}

/* --- training --- */

/* Puts in batch `number`: as pixels, or as draws from a kept set. */
static status put_images(net *n, const uint8_t *images, int batch, uint32_t number, int set)
{
    status st = OK;
    float *x = NULL;
    image_draw draws[64];
    int32_t label[64];
    TRY_ALLOC(x, malloc((size_t)batch * IMAGE_VALUES * sizeof *x));
    for (int i = 0; i < batch; i++) {
        const int index = (int)rng_below(3, RNG_TEST, number, 2 * (uint64_t)i, IMAGES);
        const augment_choice choice = augment_choose(&augmented, 11, (int)number, index);
        label[i] = (int32_t)rng_below(3, RNG_TEST, number, 2 * (uint64_t)i + 1, 10);
        draws[i] = augment_draw(&choice, index);
        augment_apply(images + (size_t)index * IMAGE_VALUES, &augmented, &choice,
                      x + (size_t)i * IMAGE_VALUES);
    }
    TRY(set == NET_NOT_KEPT ? net_input(n, CASE_TRAIN, x, label, batch)
                            : net_input_kept(n, CASE_TRAIN, set, draws, label, batch));
out:
    free(x);
    return st;
}

/* Steps with kept images are run, recorded and replayed. With `mixed`, every second step gets its images from the
 * host. */
static status train(net *n, const uint8_t *images, int batch, int set, bool mixed)
{
    status st = OK;
    for (uint32_t i = 0; i < 8; i++) {
        const step_scalars s = {
            .lr = 0.01f, .momentum = 0.9f, .weight_decay = 0.005f, .seed = 5, .step = i
        };
        TRY(put_images(n, images, batch, i, mixed && i % 2 ? NET_NOT_KEPT : set));
        TRY(net_step(n, CASE_TRAIN, &s));
    }
out:
    return st;
}

/* The images become the second set. The first must not be used. */
static status keep(net *n, const uint8_t *images, int *set)
{
    status st = OK;
    static const uint8_t others[IMAGE_VALUES];
    const image_norm norm = augment_norm(&augmented);
    int first, third;
    TRY(net_keep_images(n, others, 1, &norm, &first));
    TRY(net_keep_images(n, images, IMAGES, &norm, set));
    if (first != 0 || *set != 1) FAIL(ERR_RUNTIME, "the device does not keep images");
    if (net_keep_images(n, others, 1, &norm, &third) == OK) wrong("a third set was taken");
    if (net_input_kept(n, CASE_TRAIN, 0, &(image_draw){ .index = 1 }, NULL, 1) == OK)
        wrong("an image of another set was taken");
out:
    return st;
}

static status train_both(const device_check *d, dtype type, bool mixed)
{
    status st = OK;
    net *n[2] = { NULL, NULL };
    state *end[2] = { NULL, NULL };
    loss_stats stats[2];
    static uint8_t images[IMAGES * IMAGE_VALUES];
    random_images(images);
    for (int i = 0; i < 2; i++) {
        int set = NET_NOT_KEPT;
        TRY(open_net(d, d->cuda, &d->nets[0], type, &n[i]));
        if (i == 1) TRY(keep(n[i], images, &set));
        TRY(net_stats_set(n[i], &(loss_stats){ 0 }));
        TRY(train(n[i], images, d->batch, set, mixed));
        TRY(net_stats(n[i], &stats[i]));
        TRY(save(n[i], &end[i]));
    }
    if (stats[0].loss != stats[1].loss || stats[0].correct != stats[1].correct ||
        stats[0].rows != stats[1].rows)
        wrong("loss %.17g of %lld rows, from the host's images %.17g of %lld", stats[1].loss,
              (long long)stats[1].rows, stats[0].loss, (long long)stats[0].rows);
    if (!same_bits(n[0], end[0], end[1])) wrong("other parameters than from the host's images");
out:
    for (int i = 0; i < 2; i++) {
        free_state(n[i], end[i]);
        net_free(n[i]);
    }
    return st;
}

void check_kept(const device_check *d)
{
    if (d->n_nets < 1) return;
    fine(train_both(d, F32, false), "training");
    fine(train_both(d, BF16, true), "training, mixed");
}
