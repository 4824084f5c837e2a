/* tests/fuzz/fuzz_picture.c -- the input is a whole file, whichever kind its first bytes say. Checksums of a PNG are
 * mended and it is tried again, since hardly a change would reach the decoder otherwise. */
#include "fuzz.h"

#include "../../core/device/image.h"
#include "../../data/picture.h"
#include "../image32.h"
#include "../pictures.h"

enum { FUZZ_MAX_PIXELS = 1 << 16 };

static const config_data fuzzed = { CONFIG32, .max_pixels = FUZZ_MAX_PIXELS };

static bool try_picture(const uint8_t *data, size_t bytes)
{
    uint8_t image[IMAGE_VALUES];
    bool resized;
    picture_claim claim;
    const status st = picture_decode("fuzz", data, bytes, &fuzzed, image, &resized);
    if (st == OK) {
        FUZZ_CHECK(picture_check("fuzz", data, bytes, FUZZ_MAX_PIXELS, &claim) == OK);
        FUZZ_CHECK(claim.width >= 1 && claim.height >= 1 && claim.width * claim.height <= FUZZ_MAX_PIXELS);
        FUZZ_CHECK(resized == (claim.width != IMAGE_SIDE || claim.height != IMAGE_SIDE));
        uint8_t again[IMAGE_VALUES]; /* nothing of a picture is what happened to be in memory */
        FUZZ_CHECK(picture_decode("fuzz", data, bytes, &fuzzed, again, &resized) == OK);
        FUZZ_CHECK(memcmp(image, again, sizeof image) == 0);
    } else {
        FUZZ_CHECK(st == ERR_DATA);
        FUZZ_CHECK(status_message()[0] && !strchr(status_message(), '\n'));
    }
    return st == OK;
}

bool fuzz_picture(const uint8_t *data, size_t bytes)
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

FUZZ_TARGET(fuzz_picture)
