/* data/bmp.c -- what a BMP claims.
 *
 *   offset  0  "BM"                              14  bytes of the header that begins here: 12, 40, 56, 108, 124
 *           2  size of the file (not trusted)    18  width, height: 4 bytes each (2 each if the header has 12 bytes);
 *          10  where the pixels begin                a negative height: the first row is the top one
 *   then 2 bytes of 1, 2 bytes of bits a pixel; in all but the oldest header 4 bytes of compression.
 *   Rows are padded to 4 bytes. Up to 8 bits a pixel: a palette, 4 bytes a colour, up to the pixels. */
#include "picture.h"

typedef struct bmp {
    const char *name;
    const uint8_t *file;
    size_t bytes;
    uint32_t offset, header; /* of the pixels; bytes of the second header */
    int width, height, bits;
} bmp;

/* The largest palette index that a row uses. */
static unsigned largest_index(const bmp *b, const uint8_t *row)
{
    unsigned most = 0;
    for (int x = 0; x < b->width; x++) {
        const int bit = x * b->bits, shift = 8 - b->bits - bit % 8;
        const unsigned index = row[bit / 8] >> shift & ((1u << b->bits) - 1);
        if (index > most) most = index;
    }
    return most;
}

/* The pixels lie within the file, and the palette has the colours that they name. */
static status check_pixels(const bmp *b)
{
    status st = OK;
    const uint64_t row = ((uint64_t)b->width * (unsigned)b->bits + 31) / 32 * 4,
                   need = row * (unsigned)b->height;
    if (b->offset > b->bytes || need > b->bytes - b->offset)
        FAIL(ERR_DATA,
             "%s: truncated BMP: %d x %d pixels of %d bits are %llu bytes from byte %u on, but the file has "
             "%zu",
             b->name, b->width, b->height, b->bits, (unsigned long long)need, b->offset, b->bytes);
    if (b->bits > 8) goto out;
    const uint32_t colours = (b->offset - 14 - b->header) / 4;
    for (int y = 0; y < b->height; y++) {
        const unsigned most = largest_index(b, b->file + b->offset + row * (unsigned)y);
        if (most >= colours)
            FAIL(ERR_DATA, "%s: broken BMP: a pixel has colour %u of a palette of %u", b->name, most,
                 colours);
    }
out:
    return st;
}

/* Where the pixels begin: right behind the headers, or behind a palette of 1 to 256 colours. */
static status check_offset(const bmp *b, unsigned compression)
{
    status st = OK;
    const uint32_t masks = compression == 3 && b->header <= 56 ? 12 : 0, headers = 14 + b->header + masks;
    if (b->bits > 8) {
        if (b->offset != headers)
            FAIL(ERR_DATA, "%s: cannot read this BMP: its pixels begin at byte %u, its headers end at %u",
                 b->name, b->offset, headers);
    } else if (b->offset < headers + 4 || b->offset > headers + 4 * 256 + 3)
        FAIL(ERR_DATA, "%s: broken BMP: between its headers and its pixels (bytes %u to %u) is no palette",
             b->name, headers, b->offset);
out:
    return st;
}

/* [bits of a pixel][compression]: 0 none, 3 "bit fields" with masks. */
static bool is_known(int bits, unsigned compression)
{
    if (compression == 3) return bits == 16 || bits == 32;
    return compression == 0 &&
           (bits == 1 || bits == 4 || bits == 8 || bits == 16 || bits == 24 || bits == 32);
}

status bmp_check(const char *name, const uint8_t *file, size_t bytes, int64_t max_pixels, picture_claim *out)
{
    status st = OK;
    bmp b = { .name = name, .file = file, .bytes = bytes };
    if (bytes < 26) FAIL(ERR_DATA, "%s: truncated BMP: %zu bytes", name, bytes);
    b.offset = little32(file + 10);
    b.header = little32(file + 14);
    const bool oldest = b.header == 12;
    if (!oldest && b.header != 40 && b.header != 56 && b.header != 108 && b.header != 124)
        FAIL(ERR_DATA, "%s: cannot read this BMP: a header of %u bytes", name, b.header);
    if (bytes < 14 + b.header) FAIL(ERR_DATA, "%s: truncated BMP: %zu bytes", name, bytes);

    const int64_t width = oldest ? (int64_t)little16(file + 18) : (int32_t)little32(file + 18);
    const int64_t height = oldest ? (int64_t)little16(file + 20) : (int32_t)little32(file + 22);
    TRY(picture_set_size(name, width, height < 0 ? -height : height, max_pixels, out));
    const uint8_t *planes = file + (oldest ? 22 : 26);
    const unsigned compression = oldest ? 0 : little32(file + 30);
    b.width = out->width;
    b.height = out->height;
    b.bits = (int)little16(planes + 2);
    if (little16(planes) != 1 || !is_known(b.bits, compression) || (oldest && b.bits != 24))
        FAIL(ERR_DATA, "%s: cannot read this BMP: %d bits a pixel, compression %u, header of %u bytes", name,
             b.bits, compression, b.header);
    TRY(check_offset(&b, compression));
    TRY(check_pixels(&b));
out:
    return st;
}
