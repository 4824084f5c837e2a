/* data/picture.c -- which kind of picture a file is. */
#include "picture.h"

#include <string.h>
#include <strings.h>

static const struct {
    const char *signature;
    size_t bytes;
    status (*check)(const char *, const uint8_t *, size_t, int64_t, picture_claim *);
} kinds[] = {
    [PICTURE_JPEG] = { "\xff\xd8", 2, jpeg_check },
    [PICTURE_PNG] = { "\x89PNG\r\n\x1a\n", 8, png_check },
    [PICTURE_BMP] = { "BM", 2, bmp_check },
};

/* Formats that a file with the name of a picture may be instead: to name them is all that is done with them. */
static const struct {
    size_t at;
    const char *signature, *name;
} others[] = {
    { 0, "GIF8", "GIF" },
    { 8, "WEBP", "WebP" },
    { 0, "II*", "TIFF" },
    { 0, "MM", "TIFF" },
    { 4, "ftypavif", "AVIF" },
    { 4, "ftyphei", "HEIC" },
    { 0, "8BPS", "Photoshop" },
    { 4, "jP  ", "JPEG 2000" },
    { 0, "\xff\x0a", "JPEG XL" },
    { 0, "<svg", "SVG" },
    { 0, "version https://git-lfs", "Git LFS pointer; 'git lfs pull' fetches the picture itself" },
};

const char *const picture_unread[] = { ".webp", ".gif", ".tif", ".tiff", ".avif", ".heic", ".heif",
                                       ".jp2",  ".j2k", ".jxl", ".jfif", ".jpe",  ".tga",  ".psd",
                                       ".ppm",  ".pgm", ".pnm", ".pbm",  ".hdr",  ".exr",  ".svg",
                                       ".ico",  ".dng", ".cr2", ".nef",  ".raw",  NULL };
_Static_assert(sizeof picture_unread / sizeof *picture_unread <= PICTURE_MAX_UNREAD, "one number for each");

bool picture_is_read(const char *name)
{
    static const char *const endings[] = { ".jpg", ".jpeg", ".png", ".bmp" };
    const char *dot = strrchr(name, '.');
    for (size_t i = 0; dot && i < sizeof endings / sizeof *endings; i++)
        if (strcasecmp(dot, endings[i]) == 0) return true;
    return false;
}

int picture_unread_index(const char *name)
{
    const char *dot = strrchr(name, '.');
    for (int i = 0; dot && picture_unread[i]; i++)
        if (strcasecmp(dot, picture_unread[i]) == 0) return i;
    return -1;
}

static bool begins(const uint8_t *file, size_t bytes, size_t at, const char *signature, size_t length)
{
    return bytes >= at + length && memcmp(file + at, signature, length) == 0;
}

status picture_set_size(const char *name, int64_t width, int64_t height, int64_t max_pixels,
                        picture_claim *out)
{
    status st = OK;
    if (width < 1 || height < 1)
        FAIL(ERR_DATA, "%s: not a picture: its header says %lld x %lld pixels", name, (long long)width,
             (long long)height);
    if (width > PICTURE_MAX_SIDE || height > PICTURE_MAX_SIDE)
        FAIL(ERR_DATA, "%s: its header says %lld x %lld pixels; a side has at most %d", name,
             (long long)width, (long long)height, PICTURE_MAX_SIDE);
    if (width * height > max_pixels)
        FAIL(ERR_DATA, "%s: its header says %lld x %lld pixels, more than data.max_pixels=%lld", name,
             (long long)width, (long long)height, (long long)max_pixels);
    out->width = (int)width;
    out->height = (int)height;
out:
    return st;
}

status picture_check(const char *name, const uint8_t *file, size_t bytes, int64_t max_pixels,
                     picture_claim *out)
{
    status st = OK;
    *out = (picture_claim){ 0 };
    if (bytes == 0) FAIL(ERR_DATA, "%s: cannot read this picture: the file is empty", name);
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        if (!begins(file, bytes, 0, kinds[k].signature, kinds[k].bytes)) continue;
        out->kind = (picture_kind)k;
        TRY(kinds[k].check(name, file, bytes, max_pixels, out));
        goto out;
    }
    for (size_t k = 0; k < sizeof others / sizeof *others; k++)
        if (begins(file, bytes, others[k].at, others[k].signature, strlen(others[k].signature)))
            FAIL(ERR_DATA, "%s: cannot read this picture: not a JPEG, PNG or BMP, whatever its name says: %s",
                 name, others[k].name);
    FAIL(ERR_DATA, "%s: cannot read this picture: not a JPEG, PNG or BMP", name);
out:
    return st;
}
