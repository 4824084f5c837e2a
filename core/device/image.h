/* core/device/image.h -- one pixel of an augmented image. The host (data/augment.c) and devices (core/cuda/values.cu) compile
 * the same text and compute the same bits. Compilers differ in where they turn a * b + c into one fused operation, so those
 * are called by name. */
#ifndef CLEAVE_IMAGE_H
#define CLEAVE_IMAGE_H

#include "../base/host_device.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>

enum { IMAGE_SIDE = 32, IMAGE_PIXELS = 32 * 32, IMAGE_VALUES = 3 * 32 * 32 };

/* An image of a data set and how it is shown. */
typedef struct image_draw {
    int32_t index;  /* position in the data set; < 0: zeros, as in rows that are padding */
    int32_t dx, dy; /* crop: output (i, j) reads input (i + dy, j + dx); outside is black */
    bool flip;      /* horizontal, after the crop */
    bool rotated;   /* about the centre, before the crop, bilinear ... */
    float cosine,
        sine; /* ... by this angle, counter-clockwise; computed on the host: devices have other functions */
} image_draw;

typedef struct image_norm {
    float mean[3], std[3]; /* of the channels, pixels in [0, 1] */
} image_norm;

/* Column of the input for output column j; outside [0, IMAGE_SIDE) is black. */
HOST_DEVICE int image_column(const image_draw *d, int j)
{
    return (d->flip ? IMAGE_SIDE - 1 - j : j) + d->dx;
}

HOST_DEVICE bool image_inside(int y, int x)
{
    return y >= 0 && y < IMAGE_SIDE && x >= 0 && x < IMAGE_SIDE;
}

/* Bilinear; pixels outside are black. */
HOST_DEVICE float image_sample(const uint8_t *plane, float y, float x)
{
    const int top = (int)floorf(y), left = (int)floorf(x);
    const float fy = y - (float)top, fx = x - (float)left;
    float sum = 0;
    for (int b = 0; b < 2; b++)
        for (int a = 0; a < 2; a++) {
            const float weight = (b ? fy : 1 - fy) * (a ? fx : 1 - fx);
            if (image_inside(top + b, left + a))
                sum = fmaf(weight, (float)plane[(top + b) * IMAGE_SIDE + left + a], sum);
        }
    return sum;
}

/* The byte, or mixture of bytes, that output pixel (i, j) of a channel shows. The rotated image is 32 x 32 again, and
 * black outside. Pixel p (relative to the centre, y down) shows the input at R p; the picture turns counter-clockwise
 * for positive angles, as in PyTorch. */
HOST_DEVICE float image_pixel(const uint8_t *plane, const image_draw *d, int i, int j)
{
    const int y = i + d->dy, x = image_column(d, j);
    if (!image_inside(y, x)) return 0;
    if (!d->rotated) return (float)plane[y * IMAGE_SIDE + x];
    const float centre = (IMAGE_SIDE - 1) / 2.0f, v = (float)y - centre, u = (float)x - centre;
    return image_sample(plane, fmaf(v, d->cosine, fmaf(u, d->sine, centre)),
                        fmaf(-v, d->sine, fmaf(u, d->cosine, centre)));
}

HOST_DEVICE float image_normalised(float pixel, const image_norm *norm, int channel)
{
    return (pixel / 255 - norm->mean[channel]) / norm->std[channel];
}

#endif
