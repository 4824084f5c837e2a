/* data/synthetic.c -- ten classes of drawings, which need no download: discs, rings, squares, frames, triangles, crosses,
 * stars, pairs of dots, and striped or chequered patches, one in each image.
 *
 * Place, size, rotation, colours, light, clutter and noise are drawn from the same distributions for every class, so
 * neither a mean colour nor a linear map of the pixels separates the classes; only the shape does.
 * A shape is a signed distance (negative inside), which gives antialiased edges at any size and rotation.
 *
 * Image i is a function of i alone: more images never change the earlier ones. (Where a processor fuses
 * multiplication and addition, a few pixels are rounded to the next of 256 levels.) */
#include "dataset.h"
#include "resize.h"

#include "../core/base/rng.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { CLASSES = 10, SEED = 20230704 };
enum { TRAIN_DEFAULT = 10000, TEST_DEFAULT = 2000, TRAIN_MAX = 50000, TEST_MAX = 10000 };
static const uint32_t TEST_FIRST = 1u << 31; /* test images are numbered from here */

typedef struct point {
    float x, y;
} point;
typedef struct colour {
    float v[3];
} colour;

/* ---- shapes: distance of p to the edge, about 1 wide from the centre ---- */

/* clang-format off */
static float length(point p) { return sqrtf(p.x * p.x + p.y * p.y); }
static float box(point p, float a, float b) { return fmaxf(fabsf(p.x) - a, fabsf(p.y) - b); }
static float stripe(float x) { return 0.2f - fabsf(x - 0.8f * roundf(x / 0.8f)); }

static float disc(point p) { return length(p) - 0.85f; }
static float ring(point p) { return fabsf(length(p) - 0.75f) - 0.2f; }
static float square(point p) { return box(p, 0.75f, 0.75f); }
static float frame(point p) { return fabsf(box(p, 0.65f, 0.65f)) - 0.18f; }
static float cross(point p) { return fminf(box(p, 0.95f, 0.26f), box(p, 0.26f, 0.95f)); }
static float triangle(point p) { return fmaxf(0.866f * fabsf(p.x) + 0.5f * p.y, -p.y) - 0.5f; }
static float dots(point p) { return length((point){ fabsf(p.x) - 0.55f, p.y }) - 0.38f; }
static float stripes(point p) { return fmaxf(length(p) - 0.95f, stripe(p.x)); }
/* clang-format on */

/* Two sets of stripes; a field is dark where exactly one of the two is dark. */
static float chequers(point p)
{
    const float a = stripe(p.x + 0.2f), b = stripe(p.y + 0.2f);
    return fmaxf(length(p) - 0.95f, fmaxf(fminf(a, b), -fmaxf(a, b)));
}

/* A point is in a five-pointed star if it lies outside at most one of the five lines through its sides, so the second
 * largest of the five distances decides. */
static float star(point p)
{
    float first = -INFINITY, second = -INFINITY;
    static const point normal[5] = {
        { 0, -1 },
        { 0.95106f, -0.30902f },
        { 0.58779f, 0.80902f },
        { -0.58779f, 0.80902f },
        { -0.95106f, -0.30902f },
    };
    for (int i = 0; i < 5; i++) {
        const float d = p.x * normal[i].x + p.y * normal[i].y;
        second = fmaxf(second, fminf(first, d));
        first = fmaxf(first, d);
    }
    return second - 0.34f;
}

static const struct {
    const char *name;
    float (*distance)(point);
} shapes[CLASSES] = {
    { "disc", disc },         { "ring", ring },         { "square", square }, { "frame", frame },
    { "triangle", triangle }, { "cross", cross },       { "star", star },     { "dots", dots },
    { "stripes", stripes },   { "chequers", chequers },
};

/* ---- the random numbers of one image ---- */

typedef struct source {
    uint32_t image, next;
} source;

static float uniform(source *s, float low, float high)
{
    return low + (high - low) * rng_uniform(SEED, RNG_SYNTHETIC, s->image, s->next++);
}

static colour random_colour(source *s, float low, float high)
{
    colour c;
    for (int i = 0; i < 3; i++) c.v[i] = uniform(s, low, high);
    return c;
}

static float colour_distance(colour a, colour b)
{
    return sqrtf((a.v[0] - b.v[0]) * (a.v[0] - b.v[0]) + (a.v[1] - b.v[1]) * (a.v[1] - b.v[1]) +
                 (a.v[2] - b.v[2]) * (a.v[2] - b.v[2]));
}

/* ---- drawing on a [3, h, w] canvas of floats in [0, 1] ---- */

/* The drawing is made in units of an image of 32 x 32, whatever its size in pixels. */
enum { UNITS = 32 };

typedef struct canvas {
    float *value; /* [3, height, width] */
    int width, height, pixels;
    float across, down; /* units in a pixel */
    float finest;       /* pixels in a unit, on the coarser side: edges are one pixel wide */
} canvas;

/* The middle of a pixel, in units, from the middle of the first pixel of a 32 x 32 image. */
static point place_of(const canvas *k, int pixel)
{
    return (point){ ((float)(pixel % k->width) + 0.5f) * k->across - 0.5f,
                    ((float)(pixel / k->width) + 0.5f) * k->down - 0.5f };
}

static void blend(canvas *k, int pixel, float distance_px, colour c)
{
    const float cover = fminf(fmaxf(0.5f - distance_px, 0), 1);
    for (int i = 0; i < 3; i++) {
        float *value = k->value + i * k->pixels + pixel;
        *value += cover * (c.v[i] - *value);
    }
}

static void draw_background(canvas *k, source *s, colour c)
{
    const colour slope = random_colour(s, 0, 1);
    const float angle = uniform(s, 0, 2 * (float)M_PI), dx = cosf(angle), dy = sinf(angle);
    for (int pixel = 0; pixel < k->pixels; pixel++) {
        const point p = place_of(k, pixel);
        const float x = p.x - 15.5f, y = p.y - 15.5f, t = (x * dx + y * dy) / UNITS;
        for (int i = 0; i < 3; i++) k->value[i * k->pixels + pixel] = c.v[i] + 0.5f * t * (slope.v[i] - 0.5f);
    }
}

static void draw_shape(canvas *k, source *s, int class, colour c)
{
    const float radius = uniform(s, 6, 11), angle = uniform(s, -0.6f, 0.6f);
    const float x = uniform(s, 11, 20), y = uniform(s, 11, 20);
    const float dx = cosf(angle) / radius, dy = sinf(angle) / radius, radius_px = radius * k->finest;
    for (int pixel = 0; pixel < k->pixels; pixel++) {
        const point p = place_of(k, pixel);
        const float u = p.x - x, v = p.y - y;
        blend(k, pixel, radius_px * shapes[class].distance((point){ u * dx + v * dy, v * dx - u * dy }), c);
    }
}

/* A straight stroke with round ends, anywhere in the image: clutter behind the shape, or occlusion before it. */
static void draw_stroke(canvas *k, source *s)
{
    const colour c = random_colour(s, 0, 1);
    const float x = uniform(s, 0, 31), y = uniform(s, 0, 31), angle = uniform(s, 0, (float)M_PI);
    const float half = uniform(s, 2, 10), width = uniform(s, 0.6f, 2), dx = cosf(angle), dy = sinf(angle);
    for (int pixel = 0; pixel < k->pixels; pixel++) {
        const point p = place_of(k, pixel);
        const float u = p.x - x, v = p.y - y;
        const float along = fmaxf(fabsf(u * dx + v * dy) - half, 0);
        blend(k, pixel, k->finest * (length((point){ along, v * dx - u * dy }) - width), c);
    }
}

/* Light and noise, then bytes. One word a pixel: ten bits of uniform noise for each channel. */
static void develop(const canvas *k, source *s, uint8_t *image)
{
    const float gain = uniform(s, 0.5f, 1), offset = uniform(s, 0, 1 - gain);
    const float noise = uniform(s, 0.03f, 0.3f);
    const uint32_t first = (s->next + 3) & ~3u;
    for (int pixel = 0; pixel < k->pixels; pixel++) {
        uint32_t word = rng_u32(SEED, RNG_SYNTHETIC, s->image, first + (uint32_t)pixel);
        for (int i = 0; i < 3; i++, word >>= 10) {
            const float grain = noise * ((float)(word & 1023) / 512 - 1);
            const float value = offset + gain * k->value[i * k->pixels + pixel] + grain;
            image[i * k->pixels + pixel] = (uint8_t)(255 * fminf(fmaxf(value, 0), 1) + 0.5f);
        }
    }
}

/* planes [3, h, w] */
static void draw_image(canvas *k, uint32_t number, int class, uint8_t *planes)
{
    source s = { .image = number };
    const colour background = random_colour(&s, 0, 0.6f);
    colour ink = random_colour(&s, 0.4f, 1);
    while (colour_distance(ink, background) < 0.35f) ink = random_colour(&s, 0.4f, 1);

    draw_background(k, &s, background);
    for (int i = 0; i < 2; i++) draw_stroke(k, &s);
    draw_shape(k, &s, class, ink);
    for (int i = 0; i < 2; i++) draw_stroke(k, &s);
    develop(k, &s, planes);
}

static void store(const uint8_t *planes, image_shape s, uint8_t *image)
{
    const int pixels = image_pixels(s);
    if (s.channels == 3) memcpy(image, planes, 3 * (size_t)pixels);
    for (int i = 0; s.channels == 1 && i < pixels; i++)
        image[i] = resize_gray(planes[i], planes[pixels + i], planes[2 * pixels + i]);
}

/* Images first, first + 1, ... of the set, each by one thread with a canvas of its own. */
static status draw_all(dataset *d, uint32_t first)
{
    const image_shape s = d->shape;
    const canvas blank = { .width = s.width,
                           .height = s.height,
                           .pixels = image_pixels(s),
                           .across = (float)UNITS / (float)s.width,
                           .down = (float)UNITS / (float)s.height,
                           .finest = (float)(s.width < s.height ? s.width : s.height) / UNITS };
    const size_t values = 3 * (size_t)blank.pixels;
    bool failed = false;
#pragma omp parallel reduction(|| : failed)
    {
        canvas k = blank;
        k.value = malloc(values * sizeof *k.value);
        uint8_t *planes = malloc(values);
        failed = !k.value || !planes;
#pragma omp for schedule(dynamic, 64)
        for (int i = 0; i < d->n; i++) {
            if (failed) continue;
            d->label[i] = i % CLASSES;
            draw_image(&k, first + (uint32_t)i, i % CLASSES, planes);
            store(planes, s, d->image + (size_t)i * (size_t)image_values(s));
        }
        free(k.value);
        free(planes);
    }
    return failed ? status_set(ERR_RUNTIME, __FILE__, __LINE__, "out of memory") : OK;
}

status synthetic_open(const config_data *cfg, int classes, bool training, dataset *out)
{
    status st = OK;
    const int most = training ? TRAIN_MAX : TEST_MAX, limit = training ? cfg->train_limit : cfg->test_limit;
    const int n = limit > 0 ? limit : training ? TRAIN_DEFAULT : TEST_DEFAULT;
    *out = (dataset){ 0 };
    if (n > most)
        FAIL(ERR_DATA, "data.%s=%d: the synthetic set has at most %d images",
             training ? "train_limit" : "test_limit", n, most);
    TRY(dataset_check_classes(cfg, CLASSES, classes));
    TRY(dataset_alloc(out, dataset_shape(cfg), n, CLASSES));
    for (int c = 0; c < CLASSES; c++) TRY_ALLOC(out->class_name[c], strdup(shapes[c].name));
    TRY(draw_all(out, training ? 0 : TEST_FIRST));
out:
    if (st != OK) dataset_free(out);
    return st;
}
