/* tools/report/images.c -- the test images that the page shows, side by side in one JPEG. */
#include "../../data/dataset.h"
#include "parts.h"
#include "report.h"
#include <stdlib.h>
#include <string.h>

#define STB_IMAGE_WRITE_IMPLEMENTATION
#include <stb/stb_image_write.h>

/* 64 images in a row: 2048 pixels; browsers take 16384 and more in either direction. */
enum { COLUMNS = 64, QUALITY = 85, QUALITY_OF_MANY = 70, MANY = 5000 };

typedef struct bytes {
    uint8_t *data;
    size_t n, room;
    bool failed;
} bytes;

/* An stbi_write_func. */
static void take(void *ctx, void *data, int n)
{
    bytes *b = ctx;
    if (b->n + (size_t)n > b->room) {
        size_t room = 2 * (b->n + (size_t)n);
        uint8_t *more = realloc(b->data, room);
        if (!more) {
            b->failed = true;
            return;
        }
        b->data = more;
        b->room = room;
    }
    memcpy(b->data + b->n, data, (size_t)n);
    b->n += (size_t)n;
}

/* One image, planes to interleaved, at its place in the picture. */
static void paste(const uint8_t *image, uint8_t *picture, int place)
{
    const size_t row = (size_t)COLUMNS * IMAGE_SIDE;
    uint8_t *to =
        picture + 3 * ((size_t)(place / COLUMNS) * IMAGE_SIDE * row + (size_t)(place % COLUMNS) * IMAGE_SIDE);
    for (int y = 0; y < IMAGE_SIDE; y++)
        for (int x = 0; x < IMAGE_SIDE; x++)
            for (int c = 0; c < 3; c++)
                to[3 * ((size_t)y * row + (size_t)x) + (size_t)c] =
                    image[c * IMAGE_PIXELS + y * IMAGE_SIDE + x];
}

static status encode(const report_images *images, const uint32_t *position, int n, char **url)
{
    status st = OK;
    const int rows = (n + COLUMNS - 1) / COLUMNS, width = COLUMNS * IMAGE_SIDE, height = rows * IMAGE_SIDE;
    bytes jpeg = { 0 };
    uint8_t *picture;
    TRY_ALLOC(picture, calloc((size_t)width * (size_t)height, 3));
    for (int i = 0; i < n; i++) paste(images->test.image + (size_t)position[i] * IMAGE_VALUES, picture, i);
    if (!stbi_write_jpg_to_func(take, &jpeg, width, height, 3, picture,
                                n > MANY ? QUALITY_OF_MANY : QUALITY) ||
        jpeg.failed)
        FAIL(ERR_RUNTIME, "out of memory");
    TRY(base64_text("image/jpeg", jpeg.data, jpeg.n, url));
out:
    free(jpeg.data);
    free(picture);
    return st;
}

static status wanted_positions(const report_images *images, uint32_t **position, int *n)
{
    status st = OK;
    *n = 0;
    TRY_ALLOC(*position, malloc(((size_t)images->test.n + 1) * sizeof **position));
    for (int i = 0; i < images->test.n; i++)
        if (images->wanted[i]) (*position)[(*n)++] = (uint32_t)i;
out:
    return st;
}

static status put_classes(cJSON *o, const dataset *d)
{
    status st = OK;
    cJSON *names;
    TRY_ALLOC(names, cJSON_AddArrayToObject(o, "classes"));
    for (int c = 0; c < d->classes; c++) TRY(append(names, cJSON_CreateString(d->class_name[c])));
out:
    return st;
}

status images_json(const report_images *images, cJSON **out)
{
    status st = OK;
    uint32_t *position = NULL;
    int n;
    char *url = NULL;
    cJSON *o, *blob = NULL;
    TRY_ALLOC(o, cJSON_CreateObject());
    TRY(wanted_positions(images, &position, &n));
    TRY(put_number(o, "side", IMAGE_SIDE));
    TRY(put_number(o, "columns", COLUMNS));
    TRY(put_classes(o, &images->test));
    TRY(blob_json("u32", position, 1, (int64_t[]){ n }, &blob));
    TRY(put(o, "position", blob));
    if (n) TRY(encode(images, position, n, &url));
    TRY(put_text(o, "jpeg", url));
    *out = o;
    o = NULL;
out:
    cJSON_Delete(o);
    free(url);
    free(position);
    return st;
}
