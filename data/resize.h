/* data/resize.h -- a picture of any size becomes an image of the size that a net sees. */
#ifndef CLEAVE_RESIZE_H
#define CLEAVE_RESIZE_H

#include "../core/base/status.h"
#include "../core/config/config.h"
#include "../core/device/image.h"

/* Luminance of ITU-R BT.601 in whole numbers, rounded; equal r, g, b give themselves. */
static inline uint8_t resize_gray(unsigned r, unsigned g, unsigned b)
{
    return (uint8_t)((19595 * r + 38470 * g + 7471 * b + 32768) >> 16);
}

/* rgb [height, width, 3] -> out [c, h, w] of shape `want`, gray if want.channels is 1:
 *   FIT_SQUASH  both sides are scaled;
 *   FIT_CROP    scaled until the shorter side fits; of the longer one the middle is kept;
 *   FIT_PAD     scaled until the longer side fits; what is left of the image is black, half on each side.
 * A picture that has the size already is copied. ERR_RUNTIME: out of memory; `name` is for the message. Any thread. */
status resize_picture(const char *name, const uint8_t *rgb, int width, int height, image_shape want, fit_kind,
                      uint8_t *out);
/* The same for pixels that lie as a data set's do: planes [3, height, width]. */
status resize_planes(const char *name, const uint8_t *planes, int width, int height, image_shape want,
                     fit_kind, uint8_t *out);

#endif
