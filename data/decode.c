/* data/decode.c -- pixels of a picture whose headers have been checked. stb_image decodes it, with memory from here:
 * as much as a picture of this size explains and not more, zeroed, so that what a broken file leaves out is black and
 * not what was in memory before. */
#include "../core/base/file.h"
#include "dataset.h"
#include "picture.h"
#include "resize.h"

#include <stdlib.h>
#include <string.h>

static void *take(size_t bytes);
static void *retake(void *old, size_t before, size_t bytes);
static void give(void *p);

#define STBI_MALLOC(bytes)                   take(bytes)
#define STBI_REALLOC_SIZED(p, before, bytes) retake(p, before, bytes)
#define STBI_FREE(p)                         give(p)
#define STBI_NO_STDIO
#define STBI_ONLY_JPEG
#define STBI_ONLY_PNG
#define STBI_ONLY_BMP
#define STBI_MAX_DIMENSIONS PICTURE_MAX_SIDE
#define STB_IMAGE_IMPLEMENTATION
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmissing-prototypes"
#include <stb/stb_image.h>
#pragma GCC diagnostic pop

/* ---- memory ---- */

typedef union block { /* in front of what stb gets */
    size_t bytes;
    max_align_t align;
} block;

static _Thread_local size_t room;    /* bytes that stb may still take for this picture */
static _Thread_local bool no_memory; /* the system had none */

static void *take(size_t bytes)
{
    if (bytes > room) return NULL;
    block *b = calloc(1, sizeof *b + bytes);
    no_memory |= !b;
    if (!b) return NULL;
    b->bytes = bytes;
    room -= bytes;
    return b + 1;
}

static void give(void *p)
{
    if (!p) return;
    block *b = (block *)p - 1;
    room += b->bytes;
    free(b);
}

static void *retake(void *old, size_t before, size_t bytes)
{
    void *p = take(bytes);
    if (p && old) memcpy(p, old, before < bytes ? before : bytes);
    if (p) give(old);
    return p;
}

/* Enough for the most that stb needs at one time: the data of a PNG and two copies of its pixels, of 8 bytes each, or
 * of a progressive JPEG's four components 3 bytes a pixel and the result; sides are rounded up to units of a JPEG. */
static size_t room_for(const picture_claim *c, size_t file_bytes)
{
    const size_t width = ((size_t)c->width + 31) / 32 * 32, height = ((size_t)c->height + 31) / 32 * 32;
    return 40 * width * height + 3 * file_bytes + (1 << 20);
}

/* ---- decoding ---- */

status picture_decode(const char *name, const uint8_t *file, size_t bytes, const config_data *cfg,
                      uint8_t *image, bool *resized)
{
    status st = OK;
    int width, height, channels;
    uint8_t *pixels = NULL;
    picture_claim claim;
    const image_shape want = dataset_shape(cfg);
    if (bytes > PICTURE_MAX_BYTES)
        FAIL(ERR_DATA, "%s: %zu bytes are too many for a picture; the most is %d", name, bytes,
             PICTURE_MAX_BYTES);
    TRY(picture_check(name, file, bytes, cfg->max_pixels, &claim));
    room = room_for(&claim, bytes);
    no_memory = false;
    pixels = stbi_load_from_memory(file, (int)bytes, &width, &height, &channels, 3);
    if (!pixels && no_memory)
        FAIL(ERR_RUNTIME, "%s: out of memory for %d x %d pixels", name, claim.width, claim.height);
    if (!pixels) FAIL(ERR_DATA, "%s: cannot read this picture: %s", name, stbi_failure_reason());
    if (width != claim.width || height != claim.height)
        FAIL(ERR_DATA, "%s: cannot read this picture: %d x %d pixels became %d x %d", name, claim.width,
             claim.height, width, height);
    *resized = width != want.width || height != want.height;
    TRY(resize_picture(name, pixels, width, height, want, cfg->fit, image));
out:
    stbi_image_free(pixels);
    return st;
}

status picture_load(const char *path, const config_data *cfg, uint8_t *image, bool *resized)
{
    status st = OK;
    char *file = NULL;
    size_t bytes;
    TRY(file_read_within(path, PICTURE_MAX_BYTES, FILE_REGULAR, &file, &bytes));
    TRY(picture_decode(path, (const uint8_t *)file, bytes, cfg, image, resized));
out:
    free(file);
    return st;
}
