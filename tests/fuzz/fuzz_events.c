/* tests/fuzz/fuzz_events.c -- the input is a file of events, which a resumed run cuts off at a step. It is tried again
 * with the checksums of its records mended, since hardly a change would get past them otherwise. */
#include "fuzz.h"

#include "../../core/base/file.h"
#include "../../core/format/events.h"

enum { HEAD = 12, TAIL = 4, STEP = 3 };

static void put_sum(uint8_t *to, const uint8_t *data, size_t bytes)
{
    const uint32_t sum = crc32c(data, bytes), masked = (sum >> 15 | sum << 17) + 0xa282ead8u;
    memcpy(to, &masked, sizeof masked);
}

static void mend_events(uint8_t *data, size_t bytes)
{
    for (size_t at = 0; bytes - at >= HEAD + TAIL;) {
        uint64_t length;
        memcpy(&length, data + at, sizeof length);
        put_sum(data + at + 8, data + at, 8);
        if (length > bytes - at - HEAD - TAIL) break;
        put_sum(data + at + HEAD + length, data + at + HEAD, length);
        at += HEAD + length + TAIL;
    }
}

/* What stays is the beginning of what was there, and whole: cutting again keeps it. True if something stays. */
static bool cut(const uint8_t *data, size_t bytes)
{
    char *kept, *again;
    size_t n, n_again;
    const file_path path = fuzz_write("events", data, bytes);
    FUZZ_CHECK(events_truncate(path.s, STEP) == OK);
    FUZZ_CHECK(file_read(path.s, &kept, &n) == OK);
    FUZZ_CHECK(n <= bytes && memcmp(kept, data, n) == 0);
    FUZZ_CHECK(events_truncate(path.s, STEP) == OK);
    FUZZ_CHECK(file_read(path.s, &again, &n_again) == OK);
    FUZZ_CHECK(n == n_again);
    free(kept);
    free(again);
    return n > 0;
}

/* The same bytes as the picture of an event. */
static void put_image(const uint8_t *data, size_t bytes)
{
    events e = { 0 };
    fuzz_accepted(events_image(&e, "picture", 0, data, bytes), ERR_DATA);
    events_free(&e);
}

bool fuzz_one(const uint8_t *data, size_t bytes)
{
    uint8_t *mended = malloc(bytes + 1);
    FUZZ_CHECK(mended);
    put_image(data, bytes);
    cut(data, bytes);
    memcpy(mended, data, bytes);
    mend_events(mended, bytes);
    const bool kept = cut(mended, bytes);
    free(mended);
    return kept;
}
