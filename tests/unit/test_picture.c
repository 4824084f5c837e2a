/* data/picture.c, jpeg.c, png.c, bmp.c, decode.c: what is whole is read, what is broken is named and reaches no
 * decoder. */
#include "../../core/device/image.h"
#include "../../data/picture.h"
#include "../image32.h"
#include "../pictures.h"
#include "../scratch.h"

#include <sys/stat.h>

enum { MAX_PIXELS = 1 << 26 };

static const config_data any_size = { CONFIG32, .max_pixels = MAX_PIXELS };

static status decode(const picture_file *f, int64_t max_pixels)
{
    uint8_t image[IMAGE_VALUES];
    bool resized;
    uint8_t *exact = malloc(f->n + !f->n); /* so that the sanitizer sees a read beyond it */
    assert_non_null(exact);
    memcpy(exact, f->at, f->n);
    status st = picture_decode("x.jpg", exact, f->n, &(config_data){ CONFIG32, .max_pixels = max_pixels },
                               image, &resized);
    free(exact);
    return st;
}

static void assert_refused(const picture_file *f, const char *word)
{
    const status st = decode(f, MAX_PIXELS);
    if (st != ERR_DATA) fail_msg("status %d where '%s' was expected", st, word);
    if (!strstr(status_message(), "x.jpg")) fail_msg("no name in '%s'", status_message());
    if (!strstr(status_message(), word)) fail_msg("no '%s' in '%s'", word, status_message());
}

static void each_kind_is_read(void **state)
{
    (void)state;
    picture_file f;
    picture_claim claim;
    for (int i = 0; i < N_PICTURES; i++) {
        make_picture(&f, i);
        assert_in_range(f.n, 1, PICTURE_ROOM - 1);
        if (decode(&f, MAX_PIXELS) != OK) fail_msg("picture %d: %s", i, status_message());
        assert_int_equal(picture_check("x", f.at, f.n, MAX_PIXELS, &claim), OK);
        const int64_t pixels = (int64_t)claim.width * claim.height;
        assert_int_equal(decode(&f, pixels), OK);
        assert_int_equal(decode(&f, pixels - 1), ERR_DATA);
        assert_non_null(strstr(status_message(), "data.max_pixels"));
    }
}

/* Cut off anywhere: never as if it were whole. */
static void half_a_file_is_refused(void **state)
{
    (void)state;
    for (int i = 0; i < N_PICTURES; i++) {
        picture_file f;
        make_picture(&f, i);
        for (f.n--; f.n > 0; f.n--)
            if (decode(&f, MAX_PIXELS) != ERR_DATA) fail_msg("picture %d, cut to %zu bytes", i, f.n);
        assert_refused(&f, "empty");
    }
}

/* ---- JPEG ---- */

/* Overwrites bytes of a good file: `at` bytes behind the first `mark`. */
static void overwrite(picture_file *f, const char *mark, size_t mark_bytes, size_t at, const char *with,
                      size_t n)
{
    const size_t p = find_bytes(f, mark, mark_bytes);
    assert_true(p + at + n <= f->n);
    memcpy(f->at + p + at, with, n);
}
#define OVERWRITE(f, mark, at, with) overwrite(f, mark, sizeof mark - 1, at, with, sizeof with - 1)

static void a_jpegs_huffman_tables(void **state)
{
    (void)state;
    static const jpeg_recipe colour = { 32, 32, 3, 2, 2, false, 0 };
    picture_file f;
    const struct {
        size_t at;
        const char *with;
        size_t n;
    } wrong[] = {
        { 4, "\x20", 1 },                         /* neither DC nor AC */
        { 4, "\x04", 1 },                         /* the fifth table */
        { 5, "\3", 1 },                           /* three codes of one bit */
        { 6, "\5", 1 },                           /* five of two bits */
        { 5, "\xff\xff\xff\xff\xff\xff\xff", 7 }, /* far too many */
        { 20, "\xff", 1 },                        /* more than the segment has */
        { 20, "\1", 1 },                          /* one more */
        { 22, "\x10", 1 },                        /* a DC difference of 16 bits */
        { 3, "\x15", 1 },                         /* a segment that is too short */
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        make_jpeg(&f, &colour);
        overwrite(&f, "\xff\xc4", 2, wrong[i].at, wrong[i].with, wrong[i].n);
        assert_refused(&f, "Huffman table");
    }
    /* 658 codes, as in the file that wrote outside of the decoder's tables; 256 codes, the last of 9 bits. */
    for (int k = 0; k < 2; k++) {
        const int counts[2][16] = { { 0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 140, 160, 200, 122 },
                                    { 0, 0, 0, 0, 0, 0, 0, 0, 256 - 1, 1 } };
        uint8_t table[21 + 658] = { 0xff, 0xc4, 0, 0, 0x10 };
        int n = 0;
        for (int b = 0; b < 16; b++) n += table[5 + b] = (uint8_t)counts[k][b];
        if (k == 1) table[5 + 7] = 1, table[5 + 9] = 0; /* 1 of 8 bits, 255 of 9 */
        table[2] = (uint8_t)((19 + n) >> 8);
        table[3] = (uint8_t)(19 + n);
        make_jpeg(&f, &colour);
        const size_t at = find_bytes(&f, "\xff\xc4", 2);
        memmove(f.at + at + 21 + n, f.at + at, f.n - at);
        memcpy(f.at + at, table, (size_t)(21 + n));
        f.n += (size_t)(21 + n);
        assert_refused(&f, "Huffman table");
    }
}

static void a_jpegs_headers(void **state)
{
    (void)state;
    static const jpeg_recipe colour = { 32, 32, 3, 2, 2, false, 0 },
                             progressive = { 32, 32, 3, 2, 2, true, 0 },
                             restarts = { 32, 32, 3, 1, 1, false, 2 };
    picture_file f;
    const struct {
        const jpeg_recipe *of;
        const char *mark;
        size_t at;
        const char *with;
        size_t n;
        const char *word;
    } wrong[] = {
        { &colour, "\xff\xdb", 4, "\4", 1, "quantisation" },
        { &colour, "\xff\xdb", 4, "\x10", 1, "quantisation" }, /* 16 bits: twice as long */
        { &colour, "\xff\xc0", 3, "\x12", 1, "frame" },
        { &colour, "\xff\xc0", 4, "\x0c", 1, "12 bits" },
        { &colour, "\xff\xc0", 5, "\0\0", 2, "32 x 0" },
        { &colour, "\xff\xc0", 7, "\0\0", 2, "0 x 32" },
        { &colour, "\xff\xc0", 5, "\xff\xff\xff\xff", 4, "65535 x 65535" },
        { &colour, "\xff\xc0", 5, "\x40\x00\x40\x00", 4, "data.max_pixels" },
        { &colour, "\xff\xc0", 5, "\x1f\x00\x1f\x00", 4, "cannot hold" }, /* 63 million pixels of 100 bytes */
        { &colour, "\xff\xc0", 9, "\2", 1, "frame" },
        { &colour, "\xff\xc0", 11, "\x02", 1, "blocks" },
        { &colour, "\xff\xc0", 11, "\x51", 1, "blocks" },
        { &colour, "\xff\xc0", 11, "\x31\1\2\x21", 4, "blocks" }, /* 3 is no multiple of 2 */
        { &colour, "\xff\xc0", 12, "\4", 1, "table 4" },
        { &colour, "\xff\xc0", 12, "\3", 1, "not there" },
        { &colour, "\xff\xc0", 13, "\1", 1, "two components" },
        { &colour, "\xff\xc0", 1, "\xc3", 1, "lossless" },
        { &colour, "\xff\xc0", 1, "\xc9", 1, "arithmetic" },
        { &colour, "\xff\xc0", 1, "\xfe", 1, "before the frame" },
        { &colour, "\xff\xda", 1, "\xfe", 1, "no marker" }, /* the data of no scan */
        { &colour, "\xff\xda", 4, "\2", 1, "scan header" },
        { &colour, "\xff\xda", 5, "\7", 1, "component 7" },
        { &colour, "\xff\xda", 7, "\1", 1, "component 1" }, /* twice */
        { &colour, "\xff\xda", 6, "\x40", 1, "component 1" },
        { &colour, "\xff\xda", 6, "\x20", 1, "not there" },
        { &colour, "\xff\xda", 6, "\x02", 1, "not there" },
        { &colour, "\xff\xda", 11, "\1", 1, "coefficients" },
        { &colour, "\xff\xfe", 2, "\0\1", 2, "ends beyond" },
        { &progressive, "\xff\xda", 11, "\1\77", 2, "coefficients" }, /* of three components */
        { &progressive, "\xff\xda", 12, "\77", 1, "coefficients" },
        { &progressive, "\xff\xda", 13, "\x10", 1, "coefficients" }, /* the last bits come first */
        { &restarts, "\xff\xd1", 1, "\0", 1, "restart intervals" },
        { &restarts, "\xff\xdd", 3, "\5", 1, "restart interval" },
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        make_jpeg(&f, wrong[i].of);
        overwrite(&f, wrong[i].mark, 2, wrong[i].at, wrong[i].with, wrong[i].n);
        assert_refused(&f, wrong[i].word);
    }
    make_jpeg(&f, &progressive); /* a frame and its end, nothing between */
    f.n = find_bytes(&f, "\xff\xda", 2);
    put(&f, "\xff\xd9", 2);
    assert_refused(&f, "no scan of component 1");
}

/* ---- PNG ---- */

static void a_pngs_chunks(void **state)
{
    (void)state;
    picture_file f;
    const struct {
        int colour;
        const char *mark;
        size_t at;
        const char *with;
        size_t n;
        const char *word;
    } wrong[] = {
        { 2, "IHDR", 0, "CgBI", 4, "CgBI" },
        { 2, "IHDR", 4, "\0\0\0\0", 4, "0 x 32" },
        { 2, "IHDR", 8, "\0\0\0\0", 4, "32 x 0" },
        { 2, "IHDR", 4, "\xff\xff\xff\xff", 4, "4294967295" },
        { 2, "IHDR", 4, "\0\0\x1f\0\0\0\x1f", 7, "cannot hold" },
        { 2, "IHDR", 12, "\4", 1, "4 bits" },
        { 2, "IHDR", 13, "\1", 1, "colour 1" },
        { 2, "IHDR", 13, "\3", 1, "no palette" },
        { 2, "IHDR", 16, "\2", 1, "methods" },
        { 3, "PLTE", 0, "plte", 4, "in a wrong place" }, /* tRNS of no colours */
        { 3, "tRNS", 0, "QUUX", 4, "QUUX" },
        { 2, "tEXt", 0, "t\nXt", 4, "without a name" },
        { 2, "IDAT", 0, "iDAT", 4, "tRNS" },
        { 2, "IEND", 0, "iEND", 4, "no IEND" },
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        make_png(&f, 32, 32, 8, wrong[i].colour, false);
        overwrite(&f, wrong[i].mark, 4, wrong[i].at, wrong[i].with, wrong[i].n);
        mend_png(f.at, f.n);
        if (strcmp(wrong[i].word, "tRNS")) assert_refused(&f, wrong[i].word);
    }
    make_png(&f, 32, 32, 8, 2, false); /* one pixel is not what it was */
    OVERWRITE(&f, "IDAT", 200, "\x55");
    assert_refused(&f, "checksum");
    make_png(&f, 32, 32, 8, 2, false);
    OVERWRITE(&f, "tEXt", -4, "\x7f\xff\xff\xff");
    assert_refused(&f, "truncated");
}

/* 650 kB that unfold to 130 MB, of which a picture of 8 x 8 needs 200 bytes. */
static void a_png_that_unfolds_without_end(void **state)
{
    (void)state;
    enum { RUNS = 500000, BYTES = RUNS * 13 / 8 + 64 };
    picture_file head;
    uint8_t *file = calloc(1, BYTES + 200), image[IMAGE_VALUES];
    bool resized;
    assert_non_null(file);
    put_png_begin(&head, 8, 8, 8, 2, false);
    memcpy(file, head.at, head.n);
    uint8_t *data = file + head.n;
    memcpy(data, (uint8_t[]){ BYTES >> 24 & 255, BYTES >> 16 & 255, BYTES >> 8 & 255, BYTES & 255 }, 4);
    memcpy(data + 4, "IDAT\x78\x01", 6);
    size_t bit = 8 * 10;
    const char *codes = "1"
                        "10"
                        "00110000"; /* the last block, fixed codes, a byte of 0 */
    for (const char *c = codes; *c; c++, bit++) data[bit / 8] |= (uint8_t)((*c == '1') << bit % 8);
    for (int i = 0; i < RUNS; i++) /* 258 bytes from a distance of 1 */
        for (const char *c = "1100010100000"; *c; c++, bit++)
            data[bit / 8] |= (uint8_t)((*c == '1') << bit % 8);
    memcpy(data + 8 + BYTES, "\0\0\0\0\0\0\0\0IEND\0\0\0\0", 16);
    const size_t n = head.n + 8 + BYTES + 16;
    mend_png(file, n);
    assert_int_equal(picture_decode("bomb.png", file, n, &any_size, image, &resized), ERR_DATA);
    assert_non_null(strstr(status_message(), "bomb.png"));
    assert_non_null(strstr(status_message(), "outofmem"));
    free(file);
}

/* ---- BMP ---- */

static void a_bmps_header(void **state)
{
    (void)state;
    picture_file f;
    const struct {
        int bits;
        size_t at;
        const char *with;
        size_t n;
        const char *word;
    } wrong[] = {
        { 24, 22, "\0\0\0\0", 4, "8 x 0" },
        { 24, 22, "\0\0\0\x80", 4, "2147483648" }, /* minus 2^31 */
        { 24, 18, "\0\0\0\0", 4, "0 x 8" },
        { 24, 18, "\xff\xff\xff\xff", 4, "-1 x 8" },
        { 24, 18, "\0\x40\0\0\0\x40", 6, "data.max_pixels" },
        { 24, 18, "\0\x1f\0\0\0\x1f", 6, "truncated" },
        { 24, 22, "\x09", 1, "truncated" }, /* one row more than there is */
        { 24, 14, "\x29", 1, "header of 41 bytes" },
        { 24, 10, "\x37", 1, "begin at byte 55" },
        { 24, 10, "\0\0\0\x80", 4, "begin" },
        { 24, 26, "\2", 1, "cannot read" },
        { 24, 28, "\x19", 1, "25 bits" },
        { 24, 30, "\1", 1, "compression 1" },
        { 8, 10, "\x36", 1, "no palette" },
        { 8, 10, "\x3a", 1, "palette of 1" },
        { 4, 10, "\x3a", 1, "colour" },
        { 8, 10, "\xff\xff", 2, "no palette" },
        { 8, 14 + 40 + 4 * 12, "\x0c", 1, "colour 12 of a palette of 12" },
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        make_bmp(&f, 8, 8, wrong[i].bits, 40, false);
        memcpy(f.at + wrong[i].at, wrong[i].with, wrong[i].n);
        assert_refused(&f, wrong[i].word);
    }
    make_bmp(&f, 1, 0, 24, 40, false); /* the 58 bytes that stopped the resizer */
    PUT(&f, 0, 0, 0, 0);
    assert_int_equal(f.n, 58);
    assert_refused(&f, "1 x 0");
    make_bmp(&f, 8, 8, 8, 12, false);
    assert_refused(&f, "header of 12 bytes");
}

/* ---- other files ---- */

static void other_formats_are_named(void **state)
{
    (void)state;
    const struct {
        const char *bytes;
        size_t n;
        const char *word;
    } other[] = { { "GIF89a\1\0\1\0", 10, "GIF" },
                  { "RIFF\0\0\0\0WEBPVP8 ", 16, "WebP" },
                  { "II*\0\10\0\0\0", 8, "TIFF" },
                  { "P6 1 1 255\n...", 14, "not a JPEG, PNG or BMP" },
                  { "#?RADIANCE\n", 11, "not a JPEG, PNG or BMP" },
                  { "version https://git-lfs.github.com/spec/v1\n", 43, "git lfs pull" },
                  { "\xff", 1, "not a JPEG" },
                  { "\xff\xd8", 2, "truncated JPEG" },
                  { "BM", 2, "truncated BMP" },
                  { "\x89PNG\r\n\x1a\n", 8, "truncated PNG" } };
    for (size_t i = 0; i < sizeof other / sizeof *other; i++) {
        picture_file f = { .n = 0 };
        put(&f, other[i].bytes, other[i].n);
        assert_refused(&f, other[i].word);
    }
}

static void only_regular_files(void **state)
{
    (void)state;
    picture_file f;
    uint8_t image[IMAGE_VALUES];
    bool resized;
    make_bmp(&f, 32, 32, 24, 40, false);
    assert_int_equal(picture_load(scratch_write("good.bmp", f.at, f.n), &any_size, image, &resized), OK);
    assert_false(resized);
    assert_int_equal(image[2 * IMAGE_PIXELS + 31 * 32],
                     0); /* blue of the first pixel of the first row, at the bottom */
    assert_int_equal(image[IMAGE_PIXELS + 31 * 32], 5);
    assert_int_equal(image[31 * 32], 10);
    const char *pipe = scratch_path("pipe.png");
    assert_int_equal(mkfifo(pipe, 0600), 0);
    assert_int_equal(picture_load(pipe, &any_size, image, &resized), ERR_DATA);
    assert_non_null(strstr(status_message(), "pipe.png: a pipe"));
    assert_int_equal(picture_load("/dev/zero", &any_size, image, &resized), ERR_DATA);
    assert_non_null(strstr(status_message(), "/dev/zero: a device"));
    const char *large = scratch_write("large.jpg", f.at, f.n);
    assert_int_equal(truncate(large, (off_t)1 << 40), 0);
    assert_int_equal(picture_load(large, &any_size, image, &resized), ERR_DATA);
    assert_non_null(strstr(status_message(), "too many"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_kind_is_read),      cmocka_unit_test(half_a_file_is_refused),
        cmocka_unit_test(a_jpegs_huffman_tables), cmocka_unit_test(a_jpegs_headers),
        cmocka_unit_test(a_pngs_chunks),          cmocka_unit_test(a_png_that_unfolds_without_end),
        cmocka_unit_test(a_bmps_header),          cmocka_unit_test(other_formats_are_named),
        cmocka_unit_test(only_regular_files),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
