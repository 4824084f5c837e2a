/* data/augment.c -- random crop, flip and rotation of one image, then normalisation. */
#include "augment.h"

#include "../core/rng.h"
#include "dataset.h"

#include <math.h>

/* The four words of one Philox block: nothing is shared between images. */
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

/* Only 256 values are possible for a channel: a table makes the divisions free and their rounding exact. */
static void fill_table(const config_data *cfg, float table[3][256])
{
    for (int c = 0; c < 3; c++)
        for (int v = 0; v < 256; v++) table[c][v] = ((float)v / 255 - cfg->mean[c]) / cfg->std[c];
}

/* Column of the input for every column of the output, or -1: black. */
static void map_columns(const augment_choice *choice, int column[IMAGE_SIDE])
{
    for (int j = 0; j < IMAGE_SIDE; j++) {
        const int x = (choice->flip ? IMAGE_SIDE - 1 - j : j) + choice->dx;
        column[j] = x >= 0 && x < IMAGE_SIDE ? x : -1;
    }
}

static void apply_shift(const uint8_t *image, const config_data *cfg, const augment_choice *choice,
                        float *out)
{
    float table[3][256];
    int column[IMAGE_SIDE];
    fill_table(cfg, table);
    map_columns(choice, column);
    for (int c = 0; c < 3; c++)
        for (int i = 0; i < IMAGE_SIDE; i++, out += IMAGE_SIDE) {
            const int y = i + choice->dy;
            const bool inside = y >= 0 && y < IMAGE_SIDE;
            const uint8_t *row = inside ? image + (c * IMAGE_SIDE + y) * IMAGE_SIDE : NULL;
            for (int j = 0; j < IMAGE_SIDE; j++)
                out[j] = table[c][row && column[j] >= 0 ? row[column[j]] : 0];
        }
}

/* Bilinear; pixels outside are black. */
static float sample(const uint8_t *plane, float y, float x)
{
    const int top = (int)floorf(y), left = (int)floorf(x);
    const float fy = y - (float)top, fx = x - (float)left;
    float sum = 0;
    for (int b = 0; b < 2; b++)
        for (int a = 0; a < 2; a++) {
            const int i = top + b, j = left + a;
            if (i < 0 || i >= IMAGE_SIDE || j < 0 || j >= IMAGE_SIDE) continue;
            sum += (b ? fy : 1 - fy) * (a ? fx : 1 - fx) * (float)plane[i * IMAGE_SIDE + j];
        }
    return sum;
}

/* The rotated image is 32 x 32 again, and black outside. Output pixel p (relative to the centre, y down)
 * shows the input at R p; the picture turns counter-clockwise for positive angles, as in PyTorch. */
static void apply_rotation(const uint8_t *image, const config_data *cfg, const augment_choice *choice,
                           float *out)
{
    const float angle = choice->degrees * (float)M_PI / 180, cosine = cosf(angle), sine = sinf(angle);
    const float centre = (IMAGE_SIDE - 1) / 2.0f;
    int column[IMAGE_SIDE];
    map_columns(choice, column);
    for (int i = 0; i < IMAGE_SIDE; i++)
        for (int j = 0; j < IMAGE_SIDE; j++, out++) {
            const int y = i + choice->dy;
            const bool inside = y >= 0 && y < IMAGE_SIDE && column[j] >= 0;
            const float v = (float)y - centre, u = (float)column[j] - centre;
            for (int c = 0; c < 3; c++) {
                float pixel = 0;
                if (inside)
                    pixel = sample(image + c * IMAGE_PIXELS, centre + u * sine + v * cosine,
                                   centre + u * cosine - v * sine);
                out[c * IMAGE_PIXELS] = (pixel / 255 - cfg->mean[c]) / cfg->std[c];
            }
        }
}

void augment_apply(const uint8_t *image, const config_data *cfg, const augment_choice *choice, float *out)
{
    const augment_choice none = { 0 };
    if (!choice) choice = &none;
    if (choice->degrees != 0)
        apply_rotation(image, cfg, choice, out);
    else
        apply_shift(image, cfg, choice, out);
}
