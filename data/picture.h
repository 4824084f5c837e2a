/* data/picture.h -- pictures in files: JPEG, PNG, BMP. A file may come from anywhere, so what it claims is checked by
 * code of our own before a decoder sees a byte of it: sizes, lengths, tables (jpeg.c, png.c, bmp.c). Decoding comes
 * after that, with a limit on memory (decode.c). */
#ifndef CLEAVE_PICTURE_H
#define CLEAVE_PICTURE_H

#include "../core/base/status.h"
#include "../core/config/config.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    PICTURE_MAX_SIDE = 16384,      /* pixels */
    PICTURE_MAX_BYTES = 512 << 20, /* of a file */
};

typedef enum picture_kind { PICTURE_JPEG, PICTURE_PNG, PICTURE_BMP } picture_kind;

typedef struct picture_claim {
    picture_kind kind;
    int width, height; /* 1 to PICTURE_MAX_SIDE; their product is at most max_pixels */
} picture_claim;

/* What the file says it is, by its content and not by its name. OK: the headers, tables and lengths are sound and
 * agree with each other and with the file's size, so that a decoder stays within its own memory, and needs an amount of
 * it that the picture's size explains. That the picture can be decoded is not known yet. ERR_DATA: `name` and what is
 * wrong. Nothing is allocated. */
status picture_check(const char *name, const uint8_t *file, size_t bytes, int64_t max_pixels,
                     picture_claim *out);

/* Checks and decodes a file's bytes to image [c, h, w] as cfg says: channels, size, fit, max_pixels. *resized: the picture
 * had another size. Gray becomes RGB or RGB gray as cfg->channels says; alpha is dropped. ERR_DATA: not a whole picture
 * that this reads; ERR_RUNTIME: out of memory. Any thread. */
status picture_decode(const char *name, const uint8_t *file, size_t bytes, const config_data *cfg,
                      uint8_t *image, bool *resized);
/* The same of a regular file of at most PICTURE_MAX_BYTES. */
status picture_load(const char *path, const config_data *cfg, uint8_t *image, bool *resized);

/* By the ending of a file's name: .jpg, .jpeg, .png, .bmp in any case. */
bool picture_is_read(const char *name);
/* The endings of pictures that are not read (".webp", ".tif", ...), lower case, ends with NULL. */
extern const char *const picture_unread[];
enum { PICTURE_MAX_UNREAD = 32 };           /* room for one number for each of them */
int picture_unread_index(const char *name); /* into picture_unread; -1: another name */

/* ---- for jpeg.c, png.c, bmp.c ---- */

/* One per format. The file begins with the format's signature. They fill width and height. */
status jpeg_check(const char *name, const uint8_t *file, size_t bytes, int64_t max_pixels, picture_claim *);
status png_check(const char *name, const uint8_t *file, size_t bytes, int64_t max_pixels, picture_claim *);
status bmp_check(const char *name, const uint8_t *file, size_t bytes, int64_t max_pixels, picture_claim *);
/* Stores the size if it is neither nothing nor too much. */
status picture_set_size(const char *name, int64_t width, int64_t height, int64_t max_pixels, picture_claim *);

static inline unsigned big16(const uint8_t *p)
{
    return (unsigned)p[0] << 8 | p[1];
}

static inline uint32_t big32(const uint8_t *p)
{
    return (uint32_t)big16(p) << 16 | big16(p + 2);
}

static inline unsigned little16(const uint8_t *p)
{
    return (unsigned)p[1] << 8 | p[0];
}

static inline uint32_t little32(const uint8_t *p)
{
    return (uint32_t)little16(p + 2) << 16 | little16(p);
}

#endif
