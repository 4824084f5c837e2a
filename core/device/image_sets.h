/* core/device/image_sets.h -- data sets that stay in a device's memory: a step puts its batch together itself. */
#ifndef CLEAVE_IMAGE_SETS_H
#define CLEAVE_IMAGE_SETS_H

#include "backend.h"
#include "image.h"

struct backend_images {
    /* Images in the device's memory as uint8, [.][c][h][w], become a value of shape s = [n, c, h, w]: row i shows
     * image draw[i].index as draw[i] says, normalised, with the bits of data/augment.c (image.h). images and draw [n]
     * are the device's memory. May be part of a recorded step. */
    status (*show)(backend *, const uint8_t *images, const image_draw *draw, const image_norm *, shape4 s,
                   dtype, void *to);
};

#endif
