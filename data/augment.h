/* data/augment.h -- one image: choose (pure function of seed, epoch, index), then apply. [Yang23 sec. 4]:
 * pad with black before normalisation, random crop, random flip, rotation (CIFAR-100). */
#ifndef CLEAVE_AUGMENT_H
#define CLEAVE_AUGMENT_H

#include "../core/config/config.h"
#include "../core/device/image.h"

typedef struct augment_choice {
    int dx, dy;    /* crop: output (i, j) reads input (i + dy, j + dx); outside is black */
    bool flip;     /* horizontal, after the crop */
    float degrees; /* rotation about the centre, counter-clockwise, before the crop, bilinear; 0 = none */
} augment_choice;

/* dx, dy uniform in [-crop_pad, crop_pad], flip with p = .5, degrees uniform in [-rotate, rotate]. */
augment_choice augment_choose(const config_data *, uint64_t seed, int epoch, int index);

/* The same in the form of core/device/image.h, for image `index`. */
image_draw augment_draw(const augment_choice *, int index);
image_norm augment_norm(const config_data *);

/* image [c, h, w] uint8 of the config's shape -> out [c, h, w] f32 = (pixel / 255 - mean) / std. choice NULL: as it is. */
void augment_apply(const uint8_t *image, const config_data *, const augment_choice *choice, float *out);

#endif
