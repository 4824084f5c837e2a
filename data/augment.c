/* data/augment.c -- random crop, flip and rotation of one image, then normalisation. */
#include "augment.h"

#include "dataset.h"

#include "../core/base/rng.h"

#include <math.h>

/* Each image draws the four words of a Philox block of its own. */
augment_choice augment_choose(const config_data *cfg, uint64_t seed, int epoch, int index)
{
    const uint64_t word = 4 * (uint64_t)index;
    const uint32_t a = (uint32_t)epoch, shifts = 2 * (uint32_t)cfg->crop_pad + 1;
    return (augment_choice){
        .dx = (int)rng_below(seed, RNG_AUGMENT, a, word, shifts) - cfg->crop_pad,
        .dy = (int)rng_below(seed, RNG_AUGMENT, a, word + 1, shifts) - cfg->crop_pad,
        .flip = cfg->flip && rng_u32(seed, RNG_AUGMENT, a, word + 2) >> 31,
        .degrees = cfg->rotate * (2 * rng_uniform(seed, RNG_AUGMENT, a, word + 3) - 1),
    };
}

image_draw augment_draw(const augment_choice *choice, int index)
{
    const float angle = choice->degrees * (float)M_PI / 180;
    return (image_draw){ .index = index,
                         .dx = choice->dx,
                         .dy = choice->dy,
                         .flip = choice->flip,
                         .rotated = choice->degrees != 0,
                         .cosine = cosf(angle),
                         .sine = sinf(angle) };
}

image_norm augment_norm(const config_data *cfg)
{
    image_norm norm;
    for (int c = 0; c < 3; c++) norm.mean[c] = cfg->mean[c], norm.std[c] = cfg->std[c];
    return norm;
}

/* Without rotation a channel has only 256 possible values: a table of them saves the divisions. */
static void fill_table(const image_norm *norm, float table[3][256])
{
    for (int c = 0; c < 3; c++)
        for (int v = 0; v < 256; v++) table[c][v] = image_normalised((float)v, norm, c);
}

static void apply_shift(image_shape s, const uint8_t *image, const image_norm *norm, const image_draw *draw,
                        float *out)
{
    float table[3][256];
    int column[DATA_MAX_SIDE];
    fill_table(norm, table);
    for (int j = 0; j < s.width; j++) column[j] = image_column(s, draw, j);
    for (int c = 0; c < s.channels; c++)
        for (int i = 0; i < s.height; i++, out += s.width) {
            const int y = i + draw->dy;
            const bool outside = y < 0 || y >= s.height;
            const uint8_t *row = image + (outside ? 0 : ((size_t)c * s.height + y) * s.width);
            for (int j = 0; j < s.width; j++)
                out[j] = table[c][!outside && image_inside(s, y, column[j]) ? row[column[j]] : 0];
        }
}

static void apply_rotation(image_shape s, const uint8_t *image, const image_norm *norm,
                           const image_draw *draw, float *out)
{
    for (int c = 0; c < s.channels; c++)
        for (int i = 0; i < s.height; i++)
            for (int j = 0; j < s.width; j++)
                *out++ = image_normalised(image_pixel(s, image + c * image_pixels(s), draw, i, j), norm, c);
}

void augment_apply(const uint8_t *image, const config_data *cfg, const augment_choice *choice, float *out)
{
    const augment_choice none = { 0 };
    const image_draw draw = augment_draw(choice ? choice : &none, 0);
    const image_norm norm = augment_norm(cfg);
    const image_shape s = dataset_shape(cfg);
    if (draw.rotated)
        apply_rotation(s, image, &norm, &draw, out);
    else
        apply_shift(s, image, &norm, &draw, out);
}
