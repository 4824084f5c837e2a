/* core/format/events.c: CRC32C against the RFC, what truncation keeps, and failures. tests/e2e/events.bats checks that
 * other programs read the files. */
#include "../../core/base/file.h"
#include "../../core/format/events.h"
#include "../must.h"
#include "../scratch.h"

#include <math.h>

/* RFC 3720, B.4, which prints the bytes of a CRC low byte first. */
static void crc_vectors(void **state)
{
    (void)state;
    uint8_t data[32] = { 0 };
    assert_int_equal(crc32c(data, 32), 0x8a9136aa);
    memset(data, 0xff, 32);
    assert_int_equal(crc32c(data, 32), 0x62a8ab43);
    for (int i = 0; i < 32; i++) data[i] = (uint8_t)i;
    assert_int_equal(crc32c(data, 32), 0x46dd794e);
    for (int i = 0; i < 32; i++) data[i] = (uint8_t)(31 - i);
    assert_int_equal(crc32c(data, 32), 0x113fdb5c);
    assert_int_equal(crc32c("123456789", 9), 0xe3069283);
    assert_int_equal(crc32c("", 0), 0);
}

static size_t size_of(const char *path)
{
    char *text;
    size_t bytes;
    must(file_read(path, &text, &bytes));
    free(text);
    return bytes;
}

static void append(const char *path, int step)
{
    events e = { 0 };
    must(events_scalar(&e, "loss", step, 0.5 * step));
    must(events_histogram(&e, "weight", step, (float[]){ 1, 2, 3 }, 3));
    must(events_append(&e, path));
    events_free(&e);
}

static void truncation_takes_back_whole_steps(void **state)
{
    (void)state;
    size_t after[5];
    const char *path = scratch_path("events");
    must(events_truncate(path, 0)); /* a missing file is fine */
    assert_false(file_exists(path));
    for (int step = 0; step < 5; step++) {
        append(path, step);
        after[step] = size_of(path);
    }
    must(events_truncate(path, 5));
    assert_int_equal(size_of(path), after[4]);
    must(events_truncate(path, 3));
    assert_int_equal(size_of(path), after[2]);
    append(path, 3);
    assert_int_equal(size_of(path), after[3]);
    must(events_truncate(path, 0)); /* the version stays */
    assert_in_range(size_of(path), 1, after[0] - 1);
    for (int step = 0; step < 5; step++) append(path, step);
    assert_int_equal(size_of(path), after[4]);
}

/* If a crash cut the last record short, or a bit flipped on the disk, everything from there on is removed. */
static void truncation_drops_what_is_broken(void **state)
{
    (void)state;
    char *text;
    size_t bytes, whole;
    const char *path = scratch_path("broken");
    append(path, 0);
    whole = size_of(path);
    append(path, 1);
    must(file_read(path, &text, &bytes));
    for (size_t cut = whole; cut < bytes; cut += 29) {
        must(file_replace(path, text, cut));
        must(events_truncate(path, 9));
        assert_in_range(size_of(path), whole, cut);
        must(events_truncate(path, 1));
        assert_int_equal(size_of(path), whole);
    }
    for (size_t i = 0; i < whole; i += 31) {
        text[i] ^= 4;
        must(file_replace(path, text, bytes));
        must(events_truncate(path, 9));
        assert_in_range(size_of(path), 0, i);
        text[i] ^= 4;
    }
    free(text);
}

static void odd_values(void **state)
{
    (void)state;
    const float odd[] = { NAN, INFINITY, -INFINITY };
    const float same[] = { 0.25f, 0.25f };
    events e = { 0 };
    must(events_histogram(&e, "odd", 0, odd, 3));
    must(events_histogram(&e, "same", 0, same, 2));
    must(events_histogram(&e, "none", 0, NULL, 0));
    must(events_scalar(&e, "nan", 0, NAN));
    assert_int_equal(events_image(&e, "not", 0, "GIF89a", 6), ERR_DATA);
    assert_non_null(strstr(status_message(), "not a PNG"));
    must(events_image(&e, "wide", 0, "\x89PNG\r\n\x1a\n\0\0\0\rIHDR\xff\xff\xff\xff\x80\0\0\0", 24));
    events_free(&e);
    events_free(&e);
}

static void failures_leave_the_file_alone(void **state)
{
    (void)state;
    events e = { 0 };
    must(events_scalar(&e, "x", 0, 1));
    assert_int_equal(events_append(&e, scratch_path("no/folder")), ERR_RUNTIME);
    assert_int_equal(events_replace(&e, scratch_path("no/folder")), ERR_RUNTIME);
    if (access("/dev/full", W_OK) == 0) assert_int_equal(events_append(&e, "/dev/full"), ERR_RUNTIME);
    events_free(&e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(crc_vectors),
        cmocka_unit_test(truncation_takes_back_whole_steps),
        cmocka_unit_test(truncation_drops_what_is_broken),
        cmocka_unit_test(odd_values),
        cmocka_unit_test(failures_leave_the_file_alone),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
