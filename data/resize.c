/* data/resize.c -- scaling by stb_image_resize, then a window or a frame. */
#include "resize.h"

#include <stdlib.h>
#include <string.h>

#define STB_IMAGE_RESIZE_IMPLEMENTATION
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmissing-prototypes"
#include <stb/stb_image_resize.h>
#pragma GCC diagnostic pop

/* Where the scaled picture lies in the image, or the image in the scaled picture. */
typedef struct placing {
    int width, height; /* of the scaled picture */
    int x, y;          /* of its upper left corner in the image; negative where a part is cut off */
} placing;

static int at_least_one(double v)
{
    return v < 1 ? 1 : (int)v;
}

static placing place(int width, int height, image_shape want, fit_kind fit)
{
    placing p = { want.width, want.height, 0, 0 };
    const double across = (double)want.width / width, down = (double)want.height / height;
    const bool by_width = fit == FIT_CROP ? across > down : across < down; /* the side that fits exactly */
    if (fit == FIT_SQUASH) return p;
    if (by_width)
        p.height = at_least_one(height * across + 0.5);
    else
        p.width = at_least_one(width * down + 0.5);
    p.x = (want.width - p.width) / 2;
    p.y = (want.height - p.height) / 2;
    return p;
}

/* Row y, column x of the image shows the scaled picture there, or black. */
static void lay_out(const uint8_t *rgb, placing p, image_shape want, uint8_t *out)
{
    static const uint8_t black[3];
    const size_t plane = (size_t)image_pixels(want);
    for (int y = 0; y < want.height; y++)
        for (int x = 0; x < want.width; x++, out++) {
            const int i = y - p.y, j = x - p.x;
            const bool inside = i >= 0 && i < p.height && j >= 0 && j < p.width;
            const uint8_t *v = inside ? rgb + 3 * ((size_t)i * (size_t)p.width + (size_t)j) : black;
            if (want.channels == 1) out[0] = resize_gray(v[0], v[1], v[2]);
            for (int c = 0; want.channels == 3 && c < 3; c++) out[(size_t)c * plane] = v[c];
        }
}

/* FIT_CROP scales a line of 16384 x 1 pixels to a millionfold of them and shows a small part. If it would be that bad, this
 * keeps only the middle of the longer side that is shown, and on each side what the filter reaches. */
enum { MAX_SCALED = 16 << 20, REACH = 4 };

static int middle(int side, int shown)
{
    const int kept = shown + 2 * REACH;
    return kept >= side ? side : kept + (side - kept) % 2; /* as many pixels go on one side as on the other */
}

static void cut_to_middle(const uint8_t **rgb, int *width, int *height, placing p, image_shape want)
{
    const int64_t stride = *width;
    const double scale = p.width > want.width ? (double)p.height / *height : (double)p.width / *width;
    const int w = p.width > want.width ? middle(*width, (int)(want.width / scale) + 1) : *width,
              h = p.height > want.height ? middle(*height, (int)(want.height / scale) + 1) : *height;
    *rgb += 3 * ((*height - h) / 2 * stride + (*width - w) / 2);
    *width = w;
    *height = h;
}

status resize_picture(const char *name, const uint8_t *rgb, int width, int height, image_shape want,
                      fit_kind fit, uint8_t *out)
{
    status st = OK;
    uint8_t *scaled = NULL;
    const int stride = 3 * width;
    placing p = place(width, height, want, fit);
    const int64_t pixels = (int64_t)p.width * p.height;
    if (pixels > MAX_SCALED && pixels > (int64_t)width * height) {
        cut_to_middle(&rgb, &width, &height, p, want);
        p = place(width, height, want, fit);
    }
    if (p.width != width || p.height != height) {
        TRY_ALLOC(scaled, malloc((size_t)p.width * (size_t)p.height * 3));
        if (!stbir_resize_uint8(rgb, width, height, stride, scaled, p.width, p.height, 0, 3))
            FAIL(ERR_RUNTIME, "%s: cannot resize %d x %d pixels: out of memory", name, width, height);
    }
    lay_out(scaled ? scaled : rgb, p, want, out);
out:
    free(scaled);
    return st;
}

status resize_planes(const char *name, const uint8_t *planes, int width, int height, image_shape want,
                     fit_kind fit, uint8_t *out)
{
    status st = OK;
    const size_t plane = (size_t)width * (size_t)height;
    uint8_t *rgb;
    TRY_ALLOC(rgb, malloc(3 * plane));
    for (size_t i = 0; i < plane; i++)
        for (size_t c = 0; c < 3; c++) rgb[3 * i + c] = planes[c * plane + i];
    TRY(resize_picture(name, rgb, width, height, want, fit, out));
out:
    free(rgb);
    return st;
}
