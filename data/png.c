/* data/png.c -- what a PNG claims, https://www.w3.org/TR/png-3/
 *
 *   signature, then chunks:  | length, 4 bytes | type, 4 letters | data | CRC of type and data |
 *   IHDR is the first (size, bits, colour), IEND the last; PLTE is a palette, the IDATs together hold the pixels. The
 *   first letter of a type is a capital if the picture cannot be shown without knowing the chunk. */
#include "picture.h"

#include <string.h>

enum { GRAY = 0, RGB = 2, PALETTE = 3, GRAY_ALPHA = 4, RGB_ALPHA = 6 };

/* deflate makes at most 258 bytes of two bits. */
enum { MOST_INFLATED = 1032 };

typedef struct png {
    const char *name;
    picture_claim *claim;
    int64_t max_pixels;
    int bits, colour;
    bool interlaced, has_header, ended;
    uint32_t colours; /* of the palette */
    uint64_t packed;  /* bytes of all IDATs */
} png;

/* By half bytes: 16 remainders instead of 256. */
static uint32_t crc(const uint8_t *data, size_t bytes)
{
    static const uint32_t table[16] = { 0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac,
                                        0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
                                        0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
                                        0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c };
    uint32_t c = ~0u;
    for (size_t i = 0; i < bytes; i++) {
        c ^= data[i];
        c = c >> 4 ^ table[c & 15];
        c = c >> 4 ^ table[c & 15];
    }
    return ~c;
}

static int channels(int colour)
{
    return colour == RGB ? 3 : colour == GRAY_ALPHA ? 2 : colour == RGB_ALPHA ? 4 : 1;
}

static bool is_known(int bits, int colour)
{
    switch (colour) {
    case GRAY: return bits == 1 || bits == 2 || bits == 4 || bits == 8 || bits == 16;
    case PALETTE: return bits == 1 || bits == 2 || bits == 4 || bits == 8;
    case RGB:
    case GRAY_ALPHA:
    case RGB_ALPHA: return bits == 8 || bits == 16;
    default: return false;
    }
}

static status read_header(png *p, const uint8_t *data, uint32_t bytes)
{
    status st = OK;
    if (p->has_header || bytes != 13) FAIL(ERR_DATA, "%s: broken PNG: IHDR", p->name);
    TRY(picture_set_size(p->name, big32(data), big32(data + 4), p->max_pixels, p->claim));
    p->bits = data[8];
    p->colour = data[9];
    p->interlaced = data[12] == 1;
    p->has_header = true;
    if (!is_known(p->bits, p->colour) || data[10] || data[11] || data[12] > 1)
        FAIL(ERR_DATA, "%s: broken PNG: no such format: %d bits, colour %d, methods %d %d %d", p->name,
             p->bits, p->colour, data[10], data[11], data[12]);
out:
    return st;
}

static status read_palette(png *p, uint32_t bytes)
{
    status st = OK;
    if (bytes < 3 || bytes > 768 || bytes % 3 || p->packed || p->colours)
        FAIL(ERR_DATA, "%s: broken PNG: a palette of %u bytes, or in a wrong place", p->name, bytes);
    p->colours = bytes / 3;
out:
    return st;
}

/* Which colours are transparent. */
static status read_transparency(png *p, uint32_t bytes)
{
    status st = OK;
    const bool fits = p->colour == PALETTE ? bytes <= p->colours
                                           : p->colour <= RGB && bytes == 2u * (unsigned)channels(p->colour);
    if (!fits || p->packed)
        FAIL(ERR_DATA, "%s: broken PNG: tRNS of %u bytes, or in a wrong place", p->name, bytes);
out:
    return st;
}

static status read_chunk(png *p, const uint8_t *type, const uint8_t *data, uint32_t bytes)
{
    status st = OK;
    const bool is_header = memcmp(type, "IHDR", 4) == 0, is_data = memcmp(type, "IDAT", 4) == 0;
    for (int i = 0; i < 4; i++)
        if ((type[i] | 32) < 'a' || (type[i] | 32) > 'z')
            FAIL(ERR_DATA, "%s: broken PNG: a chunk without a name", p->name);
    if (!p->has_header && !is_header)
        FAIL(ERR_DATA, "%s: cannot read this PNG: it begins with %.4s, not with IHDR%s", p->name,
             (const char *)type, memcmp(type, "CgBI", 4) ? "" : " (Apple's own format)");
    if (is_header)
        TRY(read_header(p, data, bytes));
    else if (is_data) {
        if (p->colour == PALETTE && !p->colours) FAIL(ERR_DATA, "%s: broken PNG: no palette", p->name);
        p->packed += bytes;
    } else if (memcmp(type, "PLTE", 4) == 0)
        TRY(read_palette(p, bytes));
    else if (memcmp(type, "tRNS", 4) == 0)
        TRY(read_transparency(p, bytes));
    else if (memcmp(type, "IEND", 4) == 0)
        p->ended = true;
    else if (!(type[0] & 32))
        FAIL(ERR_DATA, "%s: cannot read this PNG: unknown chunk %.4s", p->name, (const char *)type);
out:
    return st;
}

/* Bytes of a picture, or of one of the seven passes of an interlaced one, with a byte in front of each row. */
static uint64_t unpacked_bytes(const png *p, int x0, int y0, int dx, int dy)
{
    const uint64_t width = (uint64_t)(p->claim->width - x0 + dx - 1) / (unsigned)dx;
    const uint64_t height = (uint64_t)(p->claim->height - y0 + dy - 1) / (unsigned)dy;
    return width ? height * (1 + (width * (unsigned)(channels(p->colour) * p->bits) + 7) / 8) : 0;
}

/* A few bytes that claim a large picture cannot unfold to it. */
static status check_data(const png *p)
{
    status st = OK;
    static const int pass[7][4] = { { 0, 0, 8, 8 }, { 4, 0, 8, 8 }, { 0, 4, 4, 8 }, { 2, 0, 4, 4 },
                                    { 0, 2, 2, 4 }, { 1, 0, 2, 2 }, { 0, 1, 1, 2 } };
    uint64_t need = 0;
    for (int i = 0; p->interlaced && i < 7; i++)
        need += unpacked_bytes(p, pass[i][0], pass[i][1], pass[i][2], pass[i][3]);
    if (!p->interlaced) need = unpacked_bytes(p, 0, 0, 1, 1);
    if (need > p->packed * MOST_INFLATED)
        FAIL(ERR_DATA, "%s: truncated PNG: %llu bytes of data cannot hold %d x %d pixels", p->name,
             (unsigned long long)p->packed, p->claim->width, p->claim->height);
out:
    return st;
}

status png_check(const char *name, const uint8_t *file, size_t bytes, int64_t max_pixels, picture_claim *out)
{
    status st = OK;
    png p = { .name = name, .claim = out, .max_pixels = max_pixels };
    for (size_t at = 8; !p.ended;) {
        if (bytes - at < 12) FAIL(ERR_DATA, "%s: truncated PNG: no IEND", name);
        const uint32_t length = big32(file + at);
        const uint8_t *type = file + at + 4;
        if (length > bytes - at - 12)
            FAIL(ERR_DATA, "%s: truncated PNG: a chunk of %u bytes at byte %zu of %zu", name, length, at,
                 bytes);
        TRY(read_chunk(&p, type, type + 4, length));
        if (!(type[0] & 32) && crc(type, (size_t)length + 4) != big32(type + 4 + length))
            FAIL(ERR_DATA, "%s: broken PNG: the checksum of the chunk at byte %zu is wrong", name, at);
        at += (size_t)length + 12;
    }
    TRY(check_data(&p));
out:
    return st;
}
