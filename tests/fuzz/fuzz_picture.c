/* tests/fuzz/fuzz_picture.c -- the input is a whole file, whichever kind its first bytes say. Checksums of a PNG are
 * mended and it is tried again, since hardly a change would reach the decoder otherwise. */
#include "fuzz.h"

#include "../../data/picture.h"
#include "../pictures.h"

enum { MAX_PIXELS = 1 << 16, SIDE = 24 };

/* What the net wants of the picture depends on how long the file is. */
static config_data wanted(size_t bytes)
{
    static const fit_kind fits[] = { FIT_SQUASH, FIT_CROP, FIT_PAD };
    return (config_data){ .channels = bytes / 3 % 2 ? 1 : 3,
                          .size = { SIDE, bytes / 6 % 2 ? SIDE : SIDE + 11 },
                          .fit = fits[bytes % 3],
                          .max_pixels = MAX_PIXELS };
}

static bool try_picture(const uint8_t *data, size_t bytes)
{
    uint8_t image[3 * SIDE * (SIDE + 11)], again[sizeof image];
    bool resized;
    picture_claim claim;
    const config_data cfg = wanted(bytes);
    memset(image, 1, sizeof image);
    memset(again, 1, sizeof again);
    const status st = picture_decode("fuzz", data, bytes, &cfg, image, &resized);
    if (!fuzz_accepted(st, ERR_DATA)) return false;
    FUZZ_CHECK(picture_check("fuzz", data, bytes, MAX_PIXELS, &claim) == OK);
    FUZZ_CHECK(claim.width >= 1 && claim.height >= 1 && claim.width * claim.height <= MAX_PIXELS);
    FUZZ_CHECK(resized == (claim.width != cfg.size[1] || claim.height != cfg.size[0]));
    /* Nothing of a picture is what happened to be in memory. */
    FUZZ_CHECK(picture_decode("fuzz", data, bytes, &cfg, again, &resized) == OK);
    FUZZ_CHECK(memcmp(image, again, sizeof image) == 0);
    return true;
}

bool fuzz_one(const uint8_t *data, size_t bytes)
{
    bool accepted = try_picture(data, bytes);
    if (bytes > 8 && data[0] == 0x89) {
        uint8_t *mended = malloc(bytes);
        FUZZ_CHECK(mended);
        memcpy(mended, data, bytes);
        mend_png(mended, bytes);
        accepted |= try_picture(mended, bytes);
        free(mended);
    }
    return accepted;
}
