/* tools/report/encode.c -- binary data as text. Arrays of numbers: deflate [RFC 1951] in a zlib envelope
 * [RFC 1950], then base64 [RFC 4648]; a browser can undo both. Test images: side by side in one JPEG. */
#include "../../data/resize.h"
#include "collect.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include <stb/stb_image_write.h>

/* ---- arrays ---- */

/* Bytes of a value of a blob's type. */
static size_t type_bytes(const char *type)
{
    return !strcmp(type, "u8") ? 1 : !strcmp(type, "u16") ? 2 : 4;
}

status base64_text(const char *mime, const void *data, size_t bytes, char **out)
{
    static const char digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    status st = OK;
    const unsigned char *in = data;
    size_t head = mime ? strlen(mime) + strlen("data:;base64,") : 0;
    char *text, *to;
    TRY_ALLOC(text, malloc(head + (bytes + 2) / 3 * 4 + 1));
    if (mime) sprintf(text, "data:%s;base64,", mime);
    to = text + head;
    for (size_t i = 0; i < bytes; i += 3) {
        size_t left = bytes - i;
        unsigned v =
            (unsigned)in[i] << 16 | (left > 1 ? (unsigned)in[i + 1] << 8 : 0) | (left > 2 ? in[i + 2] : 0);
        *to++ = digit[v >> 18];
        *to++ = digit[v >> 12 & 63];
        *to++ = left > 1 ? digit[v >> 6 & 63] : '=';
        *to++ = left > 2 ? digit[v & 63] : '=';
    }
    *to = '\0';
    *out = text;
out:
    return st;
}

status put_blob(cJSON *object, const char *key, const char *type, const void *data, int n_dims,
                const int64_t *dims)
{
    status st = OK;
    size_t bytes = type_bytes(type);
    unsigned char *packed = NULL;
    char *text = NULL;
    cJSON *blob, *shape;
    for (int i = 0; i < n_dims; i++) bytes *= (size_t)dims[i];
    uLongf packed_bytes = compressBound(bytes);
    TRY_ALLOC(packed, malloc(packed_bytes));
    if (compress2(packed, &packed_bytes, data, bytes, Z_BEST_COMPRESSION) != Z_OK)
        FAIL(ERR_RUNTIME, "zlib cannot compress %zu bytes", bytes);
    TRY(base64_text(NULL, packed, packed_bytes, &text));
    TRY(json_put_object(object, key, &blob));
    TRY(json_put_text(blob, "type", type));
    TRY(json_put_text(blob, "deflate", text));
    TRY(json_put_list(blob, "shape", &shape));
    for (int i = 0; i < n_dims; i++) TRY(json_append(shape, cJSON_CreateNumber((double)dims[i])));
out:
    free(text);
    free(packed);
    return st;
}

/* ---- images ---- */

/* A row of 64 images is 2048 pixels wide. Browsers accept at least 16384 pixels in either direction. */
enum { LARGEST_SIDE = 64, COLUMNS = 64, QUALITY = 85, QUALITY_OF_MANY = 70, MANY = 5000 };

typedef struct byte_list {
    uint8_t *data;
    size_t n, capacity;
    bool failed; /* out of memory */
} byte_list;

/* Appends to the byte_list `ctx`. A stbi_write_func. */
static void append_bytes(void *ctx, void *data, int n)
{
    byte_list *b = ctx;
    if (b->n + (size_t)n > b->capacity) {
        size_t capacity = 2 * (b->n + (size_t)n);
        uint8_t *more = realloc(b->data, capacity);
        if (!more) {
            b->failed = true;
            return;
        }
        b->data = more;
        b->capacity = capacity;
    }
    memcpy(b->data + b->n, data, (size_t)n);
    b->n += (size_t)n;
}

/* Large images are shown small; all of them are squares in the picture, with black beside what is not square. */
static int side_of(const dataset *d)
{
    const int longest = d->shape.width > d->shape.height ? d->shape.width : d->shape.height;
    return longest < LARGEST_SIDE ? longest : LARGEST_SIDE;
}

/* Image i of the set as three planes of side x side. */
static status shrink(const dataset *d, int i, int side, uint8_t *planes)
{
    status st = OK;
    const size_t pixels = (size_t)image_pixels(d->shape);
    const image_shape small = { 3, side, side };
    uint8_t *colour;
    TRY_ALLOC(colour, malloc(3 * pixels));
    for (size_t c = 0; c < 3; c++)
        memcpy(colour + c * pixels, dataset_image(d, i) + (d->shape.channels == 3 ? c * pixels : 0), pixels);
    TRY(resize_planes("report", colour, d->shape.width, d->shape.height, small, FIT_PAD, planes));
out:
    free(colour);
    return st;
}

/* Copies three planes to their place in the picture, stored as RGB pixels. */
static void paste(const uint8_t *planes, int side, uint8_t *picture, int place)
{
    const size_t row = (size_t)COLUMNS * (size_t)side, line = (size_t)(place / COLUMNS * side);
    uint8_t *to = picture + 3 * (line * row + (size_t)(place % COLUMNS * side));
    for (int y = 0; y < side; y++)
        for (int x = 0; x < side; x++)
            for (int c = 0; c < 3; c++)
                to[3 * ((size_t)y * row + (size_t)x) + (size_t)c] = planes[(c * side + y) * side + x];
}

static status jpeg_url(const report_images *images, const uint32_t *position, int n, char **url)
{
    status st = OK;
    const int side = side_of(&images->test);
    const int rows = (n + COLUMNS - 1) / COLUMNS, width = COLUMNS * side, height = rows * side;
    byte_list jpeg = { 0 };
    uint8_t *picture, *planes = NULL;
    TRY_ALLOC(picture, calloc((size_t)width * (size_t)height, 3));
    TRY_ALLOC(planes, malloc(3 * (size_t)side * (size_t)side));
    for (int i = 0; i < n; i++) {
        TRY(shrink(&images->test, (int)position[i], side, planes));
        paste(planes, side, picture, i);
    }
    if (!stbi_write_jpg_to_func(append_bytes, &jpeg, width, height, 3, picture,
                                n > MANY ? QUALITY_OF_MANY : QUALITY) ||
        jpeg.failed)
        FAIL(ERR_RUNTIME, "out of memory");
    TRY(base64_text("image/jpeg", jpeg.data, jpeg.n, url));
out:
    free(jpeg.data);
    free(picture);
    free(planes);
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
    TRY(json_put_list(o, "classes", &names));
    for (int c = 0; c < d->classes; c++) TRY(json_append(names, cJSON_CreateString(d->class_name[c])));
out:
    return st;
}

status put_images(cJSON *o, const report_images *images)
{
    status st = OK;
    uint32_t *position = NULL;
    int n;
    char *url = NULL;
    TRY(wanted_positions(images, &position, &n));
    TRY(json_put_number(o, "side", side_of(&images->test)));
    TRY(json_put_number(o, "columns", COLUMNS));
    TRY(put_classes(o, &images->test));
    TRY(put_blob(o, "position", "u32", position, 1, (int64_t[]){ n }));
    if (n) TRY(jpeg_url(images, position, n, &url));
    TRY(json_put_text(o, "jpeg", url));
out:
    free(url);
    free(position);
    return st;
}
