/* tests/pictures.h -- small picture files, made byte by byte, so that a test can break any of them where it wants to. */
#ifndef CLEAVE_TESTS_PICTURES_H
#define CLEAVE_TESTS_PICTURES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { PICTURE_ROOM = 8192 };

typedef struct picture_file {
    uint8_t at[PICTURE_ROOM];
    size_t n;
    uint32_t bits; /* of a JPEG's coded data that are no whole byte yet */
    int n_bits;
} picture_file;

static inline void put(picture_file *f, const void *bytes, size_t n)
{
    if (n > PICTURE_ROOM - f->n) n = PICTURE_ROOM - f->n;
    memcpy(f->at + f->n, bytes, n);
    f->n += n;
}

#define PUT(f, ...) put(f, (const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ }))

static inline void put_big(picture_file *f, uint32_t value, int bytes)
{
    while (bytes-- > 0) PUT(f, (uint8_t)(value >> 8 * bytes));
}

static inline void put_little(picture_file *f, uint32_t value, int bytes)
{
    for (int i = 0; i < bytes; i++) PUT(f, (uint8_t)(value >> 8 * i));
}

/* Where these bytes are first in a file; its size if nowhere. */
static inline size_t find_bytes(const picture_file *f, const char *bytes, size_t n)
{
    const uint8_t *p = memmem(f->at, f->n, bytes, n);
    return p ? (size_t)(p - f->at) : f->n;
}

/* ---- JPEG ---- */

typedef struct jpeg_recipe {
    int width, height, parts, h, v; /* h, v: of the first component; 1 of the others */
    bool progressive;
    int interval; /* units between restarts; 0 = none */
} jpeg_recipe;

static inline void put_code(picture_file *f, uint32_t value, int n)
{
    f->bits = f->bits << n | value;
    for (f->n_bits += n; f->n_bits >= 8; f->n_bits -= 8) {
        const uint8_t byte = (uint8_t)(f->bits >> (f->n_bits - 8));
        PUT(f, byte);
        if (byte == 0xff) PUT(f, 0); /* no marker may appear in the data */
    }
}

static inline void end_codes(picture_file *f)
{
    while (f->n_bits) put_code(f, 1, 1);
}

/* Both tables have the codes 00, 01, 10. DC: 0, 1 or 2 bits follow. AC: end of block, one coefficient, one after a
 * zero. */
static inline void put_tables(picture_file *f, int parts)
{
    const int tables = parts > 1 ? 2 : 1;
    for (int t = 0; t < tables; t++) {
        PUT(f, 0xff, 0xdb, 0, 67, (uint8_t)t);
        for (int i = 0; i < 64; i++) PUT(f, (uint8_t)(8 + i));
        PUT(f, 0xff, 0xc4, 0, 22, (uint8_t)t, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2);
        PUT(f, 0xff, 0xc4, 0, 22, (uint8_t)(0x10 | t), 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1,
            0x11);
    }
}

static inline void put_frame(picture_file *f, const jpeg_recipe *r)
{
    PUT(f, 0xff, r->progressive ? 0xc2 : 0xc0, 0, (uint8_t)(8 + 3 * r->parts), 8);
    put_big(f, (uint32_t)r->height, 2);
    put_big(f, (uint32_t)r->width, 2);
    PUT(f, (uint8_t)r->parts);
    for (int c = 0; c < r->parts; c++)
        PUT(f, (uint8_t)(c + 1), c ? 0x11 : (uint8_t)(r->h << 4 | r->v), c ? 1 : 0);
}

/* Components `part` to `part + n - 1`; bits `high` and `low` of coefficients `first` to `last`. */
static inline void put_scan(picture_file *f, int part, int n, int first, int last, int high, int low)
{
    PUT(f, 0xff, 0xda, 0, (uint8_t)(6 + 2 * n), (uint8_t)n);
    for (int c = part; c < part + n; c++) PUT(f, (uint8_t)(c + 1), c ? 0x11 : 0);
    PUT(f, (uint8_t)first, (uint8_t)last, (uint8_t)(high << 4 | low));
}

/* A DC difference of a few bits, and coefficients if `ac`. */
static inline void put_block(picture_file *f, int k, bool ac)
{
    const int size = k % 3;
    put_code(f, (uint32_t)size, 2);
    put_code(f, (uint32_t)k / 3 & ((1u << size) - 1), size);
    if (ac && k % 4) put_code(f, 1 + k % 2, 2), put_code(f, (uint32_t)k / 4 & 1, 1);
    if (ac) put_code(f, 0, 2);
}

static inline int blocks_of(const jpeg_recipe *r, int part)
{
    const int w = part ? (r->width + r->h - 1) / r->h : r->width,
              h = part ? (r->height + r->v - 1) / r->v : r->height;
    return ((w + 7) / 8) * ((h + 7) / 8);
}

/* All components in one scan; of a single component, units are its blocks. */
static inline void put_units(picture_file *f, const jpeg_recipe *r, bool ac)
{
    const int per = r->parts > 1 ? r->h * r->v + r->parts - 1 : 1;
    const int units =
        r->parts > 1 ? ((r->width + 8 * r->h - 1) / (8 * r->h)) * ((r->height + 8 * r->v - 1) / (8 * r->v))
                     : blocks_of(r, 0);
    for (int u = 0, restarts = 0; u < units; u++) {
        if (r->interval && u && u % r->interval == 0) {
            end_codes(f);
            PUT(f, 0xff, (uint8_t)(0xd0 | (restarts++ & 7)));
        }
        for (int b = 0; b < per; b++) put_block(f, u * per + b, ac);
    }
    end_codes(f);
}

static inline void make_jpeg(picture_file *f, const jpeg_recipe *r)
{
    f->n = 0;
    f->n_bits = 0;
    PUT(f, 0xff, 0xd8, 0xff, 0xe0, 0, 16, 'J', 'F', 'I', 'F', 0, 1, 1, 0, 0, 1, 0, 1, 0, 0);
    PUT(f, 0xff, 0xfe, 0, 6, 't', 'e', 's', 't');
    put_tables(f, r->parts);
    if (r->interval) PUT(f, 0xff, 0xdd, 0, 4, 0, (uint8_t)r->interval);
    put_frame(f, r);
    put_scan(f, 0, r->parts, 0, r->progressive ? 0 : 63, 0, r->progressive ? 1 : 0);
    put_units(f, r, !r->progressive);
    if (r->progressive) {
        put_scan(f, 0, r->parts, 0, 0, 1, 0); /* the last bit of each first coefficient */
        for (int i = 0; i < 4 * blocks_of(r, 0) * r->parts; i++) put_code(f, (uint32_t)i / 3 & 1, 1);
        end_codes(f);
        for (int c = 0; c < r->parts; c++) { /* the others: first bits, then the last one */
            put_scan(f, c, 1, 1, 63, 0, 1);
            for (int i = 0; i < blocks_of(r, c); i++)
                put_code(f, 2, 2), put_code(f, (uint32_t)i & 1, 1), put_code(f, 0, 2);
            end_codes(f);
            put_scan(f, c, 1, 1, 63, 1, 0);
            for (int i = 0; i < blocks_of(r, c); i++) put_code(f, 0, 2), put_code(f, 1, 1);
            end_codes(f);
        }
    }
    PUT(f, 0xff, 0xd9);
}

/* ---- PNG ---- */

static inline uint32_t png_crc(const uint8_t *data, size_t bytes)
{
    uint32_t c = ~0u;
    for (size_t i = 0; i < bytes; i++) {
        c ^= data[i];
        for (int k = 0; k < 8; k++) c = c >> 1 ^ (c & 1 ? 0xedb88320u : 0);
    }
    return ~c;
}

/* Gives each chunk of a PNG the checksum that its bytes have, as far as the chunks are whole. */
static inline void mend_png(uint8_t *file, size_t bytes)
{
    for (size_t at = 8; bytes - at >= 12 && at < bytes;) {
        const uint32_t length = (uint32_t)file[at] << 24 | (uint32_t)file[at + 1] << 16 |
                                (uint32_t)file[at + 2] << 8 | file[at + 3];
        if (length > bytes - at - 12) break;
        const uint32_t sum = png_crc(file + at + 4, (size_t)length + 4);
        for (int i = 0; i < 4; i++) file[at + 8 + length + (size_t)i] = (uint8_t)(sum >> (24 - 8 * i));
        at += (size_t)length + 12;
    }
}

static inline void put_chunk(picture_file *f, const char *type, const void *data, size_t bytes)
{
    put_big(f, (uint32_t)bytes, 4);
    put(f, type, 4);
    put(f, data, bytes);
    put_big(f, png_crc(f->at + f->n - bytes - 4, bytes + 4), 4);
}

static inline void put_png_begin(picture_file *f, int width, int height, int bits, int colour,
                                 bool interlaced)
{
    picture_file head = { .n = 0 };
    f->n = 0;
    put(f, "\x89PNG\r\n\x1a\n", 8);
    put_big(&head, (uint32_t)width, 4);
    put_big(&head, (uint32_t)height, 4);
    PUT(&head, (uint8_t)bits, (uint8_t)colour, 0, 0, interlaced);
    put_chunk(f, "IHDR", head.at, head.n);
    put_chunk(f, "tEXt", "a\0b", 3);
}

/* Rows of one picture, or of one pass of an interlaced one, behind their filters 0 to 4. */
static inline void put_rows(picture_file *raw, int width, int height, int bits)
{
    for (int y = 0; width > 0 && y < height; y++) {
        PUT(raw, (uint8_t)(y % 5));
        for (int i = 0; i < (width * bits + 7) / 8; i++) PUT(raw, (uint8_t)(bits < 8 ? 0x10 : 7 * i + 3 * y));
    }
}

/* bits: 1 to 16; colour: 0 gray, 2 RGB, 3 palette, 4 gray and alpha, 6 RGB and alpha. The data are not packed. */
static inline void make_png(picture_file *f, int width, int height, int bits, int colour, bool interlaced)
{
    static const int pass[7][4] = { { 0, 0, 8, 8 }, { 4, 0, 8, 8 }, { 0, 4, 4, 8 }, { 2, 0, 4, 4 },
                                    { 0, 2, 2, 4 }, { 1, 0, 2, 2 }, { 0, 1, 1, 2 } };
    const int pixel = bits * (colour == 2 ? 3 : colour == 4 ? 2 : colour == 6 ? 4 : 1);
    picture_file raw = { .n = 0 }, packed = { .n = 0 };
    put_png_begin(f, width, height, bits, colour, interlaced);
    if (colour == 3) put_chunk(f, "PLTE", "\1\2\3\4\5\6\7\10\11", 9);
    if (colour == 3) put_chunk(f, "tRNS", "\0\200", 2);
    if (colour == 0) put_chunk(f, "tRNS", "\0\1", 2);
    if (!interlaced) put_rows(&raw, width, height, pixel);
    for (int i = 0; interlaced && i < 7; i++) {
        const int *p = pass[i];
        put_rows(&raw, (width - p[0] + p[2] - 1) / p[2], (height - p[1] + p[3] - 1) / p[3], pixel);
    }
    PUT(&packed, 0x78, 0x01, 1);
    put_little(&packed, (uint32_t)raw.n, 2);
    put_little(&packed, ~(uint32_t)raw.n, 2);
    put(&packed, raw.at, raw.n);
    put_big(&packed, 0, 4); /* a sum of the data that stb_image does not look at */
    put_chunk(f, "IDAT", packed.at, packed.n / 2);
    put_chunk(f, "IDAT", packed.at + packed.n / 2, packed.n - packed.n / 2);
    put_chunk(f, "IEND", "", 0);
}

/* 16 x 16, gray, packed with codes of its own: what zlib makes. */
static inline void make_packed_png(picture_file *f)
{
    static const uint8_t packed[] = {
        0x78, 0xda, 0x25, 0x8f, 0xd1, 0x11, 0xc4, 0x40, 0x08, 0x42, 0x91, 0xdc, 0x0c, 0xfd, 0x77, 0x45, 0x57,
        0xde, 0x33, 0xf9, 0xd0, 0x15, 0x54, 0x70, 0xe5, 0x2a, 0x23, 0xa9, 0x99, 0xd5, 0x68, 0x66, 0xad, 0x05,
        0x87, 0x00, 0x49, 0x76, 0x79, 0x8e, 0x2e, 0x3c, 0xf9, 0x21, 0xe4, 0x3a, 0x6c, 0xe6, 0x98, 0x1f, 0x8d,
        0x25, 0x00, 0x0c, 0xa6, 0x74, 0xa3, 0x9e, 0xcc, 0x50, 0x53, 0x78, 0x48, 0x3a, 0x56, 0x2f, 0xe9, 0xf8,
        0xb5, 0xe8, 0x1c, 0x66, 0x57, 0x7a, 0xd0, 0x0f, 0x7a, 0x8d, 0x9d, 0xe3, 0x7e, 0xb4, 0x19, 0xe1, 0xbc,
        0xcf, 0x0c, 0x95, 0x0f, 0x53, 0xb6, 0xee, 0xb2, 0x7c, 0x56, 0xc8, 0xe5, 0xac, 0xd6, 0x36, 0xf6, 0x21,
        0xbe, 0x0f, 0xb1, 0xf7, 0x50, 0x6c, 0xb8, 0x6c, 0x06, 0x99, 0x35, 0xa2, 0x88, 0x9d, 0x5c, 0xb5, 0xdb,
        0xf7, 0x9c, 0x9b, 0x05, 0xe9, 0x06, 0x76, 0xe7, 0x0f, 0x4c, 0x1f, 0x42, 0x58
    };
    put_png_begin(f, 16, 16, 8, 0, false);
    put_chunk(f, "IDAT", packed, sizeof packed);
    put_chunk(f, "IEND", "", 0);
}

/* ---- BMP ---- */

/* bits: 1, 4, 8, 16, 24 or 32; header: 12, 40, 108 or 124 bytes; masks: "bit fields". A negative height: from the
 * top. */
static inline void make_bmp(picture_file *f, int width, int height, int bits, int header, bool masks)
{
    const int colours = bits == 1   ? 2
                        : bits < 16 ? 12
                                    : 0,
              begin = 14 + header + 4 * colours + (masks && header == 40 ? 12 : 0);
    f->n = 0;
    PUT(f, 'B', 'M', 0, 0, 0, 0, 0, 0, 0, 0);
    put_little(f, (uint32_t)begin, 4);
    put_little(f, (uint32_t)header, 4);
    put_little(f, (uint32_t)width, header == 12 ? 2 : 4);
    put_little(f, (uint32_t)height, header == 12 ? 2 : 4);
    PUT(f, 1, 0, (uint8_t)bits, 0);
    if (header > 12) {
        put_little(f, masks ? 3 : 0, 4);
        for (int i = 0; i < 5; i++) put_little(f, 0, 4);
    }
    if (masks || header > 40) {
        put_little(f, bits == 16 ? 0xf800 : 0xff0000, 4);
        put_little(f, bits == 16 ? 0x07e0 : 0x00ff00, 4);
        put_little(f, bits == 16 ? 0x001f : 0x0000ff, 4);
    }
    while (f->n < (size_t)(14 + header)) PUT(f, 0);
    for (int i = 0; i < colours; i++) PUT(f, (uint8_t)(20 * i), (uint8_t)(255 - 20 * i), 9, 0);
    const int row = (width * bits + 31) / 32 * 4, rows = height < 0 ? -height : height;
    for (int i = 0; i < row * rows; i++) PUT(f, (uint8_t)(bits < 8 ? 0x11 : bits == 8 ? i % 12 : 5 * i));
}

/* ---- one of each kind ---- */

enum { N_PICTURES = 29 };

static inline void make_picture(picture_file *f, int which)
{
    static const jpeg_recipe jpegs[] = {
        { 32, 32, 1, 1, 1, false, 0 }, { 33, 17, 1, 2, 2, false, 3 }, { 32, 32, 3, 1, 1, false, 0 },
        { 19, 40, 3, 2, 2, false, 0 }, { 40, 19, 3, 2, 1, false, 1 }, { 20, 20, 3, 4, 1, false, 0 },
        { 32, 20, 4, 1, 2, false, 2 }, { 32, 32, 1, 1, 1, true, 0 },  { 35, 21, 3, 2, 2, true, 0 },
    };
    static const int pngs[][5] = { { 16, 12, 8, 0, 0 }, { 9, 7, 1, 0, 0 },   { 9, 7, 2, 3, 0 },
                                   { 11, 5, 4, 3, 1 },  { 10, 10, 8, 2, 0 }, { 7, 9, 8, 3, 0 },
                                   { 8, 8, 16, 0, 1 },  { 6, 6, 8, 4, 0 },   { 5, 11, 16, 6, 0 },
                                   { 12, 9, 8, 6, 1 } };
    static const int bmps[][5] = { { 10, 7, 24, 40, 0 }, { 9, -5, 32, 40, 0 }, { 13, 6, 8, 40, 0 },
                                   { 15, 4, 4, 40, 0 },  { 17, 5, 1, 40, 0 },  { 6, 6, 16, 40, 1 },
                                   { 5, 7, 24, 12, 0 },  { 8, 3, 32, 108, 1 }, { 4, 4, 32, 124, 0 } };
    const int n_jpegs = sizeof jpegs / sizeof *jpegs, n_pngs = sizeof pngs / sizeof *pngs;
    *f = (picture_file){ .n = 0 };
    if (which < n_jpegs)
        make_jpeg(f, &jpegs[which]);
    else if (which < n_jpegs + n_pngs) {
        const int *p = pngs[which - n_jpegs];
        make_png(f, p[0], p[1], p[2], p[3], p[4]);
    } else if (which == n_jpegs + n_pngs)
        make_packed_png(f);
    else {
        const int *p = bmps[which - n_jpegs - n_pngs - 1];
        make_bmp(f, p[0], p[1], p[2], p[3], p[4]);
    }
}

#endif
