/* core/device/image.h -- one pixel of an augmented image. The host (data/augment.c) and devices (core/cuda/values.cu) compile
 * the same text and compute the same bits. Compilers differ in where they turn a * b + c into one fused operation, so those
 * are called by name. */
#ifndef CLEAVE_IMAGE_H
#define CLEAVE_IMAGE_H

#include "../base/host_device.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>

/* Of the images that a net sees. */
typedef struct image_shape {
    int channels, height, width; /* channels: 1 or 3 */
} image_shape;

HOST_DEVICE int image_pixels(image_shape s)
{
    return s.height * s.width;
}

HOST_DEVICE int image_values(image_shape s)
{
    return s.channels * image_pixels(s);
}

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

/* Column of the input for output column j; outside [0, width) is black. */
HOST_DEVICE int image_column(image_shape s, const image_draw *d, int j)
{
    return (d->flip ? s.width - 1 - j : j) + d->dx;
}

HOST_DEVICE bool image_inside(image_shape s, int y, int x)
{
    return y >= 0 && y < s.height && x >= 0 && x < s.width;
}

/* Bilinear; pixels outside are black. */
HOST_DEVICE float image_sample(image_shape s, const uint8_t *plane, float y, float x)
{
    const int top = (int)floorf(y), left = (int)floorf(x);
    const float fy = y - (float)top, fx = x - (float)left;
    float sum = 0;
    for (int b = 0; b < 2; b++)
        for (int a = 0; a < 2; a++) {
            const float weight = (b ? fy : 1 - fy) * (a ? fx : 1 - fx);
            if (image_inside(s, top + b, left + a))
                sum = fmaf(weight, (float)plane[(top + b) * s.width + left + a], sum);
        }
    return sum;
}

/* The byte, or mixture of bytes, that output pixel (i, j) of a channel shows. The rotated image has the same size,
 * and black corners. Pixel p (relative to the centre, y down) shows the input at R p; the picture turns counter-clockwise
 * for positive angles, as in PyTorch. */
HOST_DEVICE float image_pixel(image_shape s, const uint8_t *plane, const image_draw *d, int i, int j)
{
    const int y = i + d->dy, x = image_column(s, d, j);
    if (!image_inside(s, y, x)) return 0;
    if (!d->rotated) return (float)plane[y * s.width + x];
    const float middle = (float)(s.height - 1) / 2.0f, centre = (float)(s.width - 1) / 2.0f;
    const float v = (float)y - middle, u = (float)x - centre;
    return image_sample(s, plane, fmaf(v, d->cosine, fmaf(u, d->sine, middle)),
                        fmaf(-v, d->sine, fmaf(u, d->cosine, centre)));
}

HOST_DEVICE float image_normalised(float pixel, const image_norm *norm, int channel)
{
    return (pixel / 255 - norm->mean[channel]) / norm->std[channel];
}

#endif
