/* Pictures of any size become images of the size that a net sees. */
#include "../../data/dataset.h"
#include "../../data/resize.h"
#include "../must.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SIDE = 40 };

/* [height, width, 3]: red tells the column, green the row, blue is constant; slopes of 2, so that edges stay below 255. */
static uint8_t *ramp(int width, int height)
{
    uint8_t *rgb = malloc((size_t)width * (size_t)height * 3);
    assert_non_null(rgb);
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++)
            memcpy(rgb + 3 * (y * width + x), (uint8_t[]){ (uint8_t)(2 * x), (uint8_t)(2 * y), 77 }, 3);
    return rgb;
}

static int pixel(const uint8_t *image, image_shape s, int c, int y, int x)
{
    return image[(c * s.height + y) * s.width + x];
}

/* What red or green should be where the picture's column or row is v: its middle is at v + .5 pixels. */
static void assert_near(int got, double v)
{
    if (fabs(got - 2 * v) > 1.01) fail_msg("%d, expected %.1f", got, 2 * v);
}

static void squash_scales_both_sides(void **state)
{
    (void)state;
    const image_shape want = { 3, 20, 50 };
    uint8_t *rgb = ramp(100, 80), image[3 * 20 * 50];
    must(resize_picture("x", rgb, 100, 80, want, FIT_SQUASH, image));
    for (int y = 2; y < 18; y++)
        for (int x = 2; x < 48; x++) {
            assert_near(pixel(image, want, 0, y, x), (x + 0.5) * 2 - 0.5);
            assert_near(pixel(image, want, 1, y, x), (y + 0.5) * 4 - 0.5);
            assert_int_equal(pixel(image, want, 2, y, x), 77);
        }
    free(rgb);
}

/* 100 x 80 to 40 x 40: the shorter side shrinks to a half, 50 columns are there and 40 are kept, from column 5 on. */
static void crop_keeps_the_middle(void **state)
{
    (void)state;
    const image_shape want = { 3, SIDE, SIDE };
    uint8_t *rgb = ramp(100, 80), image[3 * SIDE * SIDE];
    must(resize_picture("x", rgb, 100, 80, want, FIT_CROP, image));
    for (int y = 2; y < SIDE - 2; y++)
        for (int x = 0; x < SIDE; x++) {
            assert_near(pixel(image, want, 0, y, x), (x + 5 + 0.5) * 2 - 0.5);
            assert_near(pixel(image, want, 1, y, x), (y + 0.5) * 2 - 0.5);
        }
    free(rgb);
}

/* 80 x 100 to 40 x 40: 32 columns are there, with 4 black ones on each side. */
static void pad_frames_in_black(void **state)
{
    (void)state;
    const image_shape want = { 3, SIDE, SIDE };
    uint8_t *rgb = ramp(80, 100), image[3 * SIDE * SIDE];
    must(resize_picture("x", rgb, 80, 100, want, FIT_PAD, image));
    for (int y = 2; y < SIDE - 2; y++)
        for (int x = 0; x < SIDE; x++) {
            const bool inside = x >= 4 && x < 36;
            assert_int_equal(pixel(image, want, 2, y, x), inside ? 77 : 0);
            if (x >= 6 && x < 34) assert_near(pixel(image, want, 0, y, x), (x - 4 + 0.5) * 2.5 - 0.5);
        }
    free(rgb);
}

static void same_size_is_copied(void **state)
{
    (void)state;
    const image_shape want = { 3, 30, 20 };
    uint8_t *rgb = ramp(20, 30), image[3 * 30 * 20], again[3 * 30 * 20];
    for (int fit = FIT_SQUASH; fit <= FIT_PAD; fit++) {
        must(resize_picture("x", rgb, 20, 30, want, (fit_kind)fit, image));
        for (int y = 0; y < 30; y++)
            for (int x = 0; x < 20; x++)
                for (int c = 0; c < 3; c++)
                    assert_int_equal(pixel(image, want, c, y, x), rgb[3 * (y * 20 + x) + c]);
        must(resize_planes("x", image, 20, 30, want, (fit_kind)fit, again));
        assert_memory_equal(again, image, sizeof image);
    }
    free(rgb);
}

/* 0.299 r + 0.587 g + 0.114 b; gray itself stays as it is. */
static void gray_is_luminance(void **state)
{
    (void)state;
    for (unsigned v = 0; v < 256; v++) assert_int_equal(resize_gray(v, v, v), v);
    for (unsigned r = 0; r < 256; r += 15)
        for (unsigned g = 0; g < 256; g += 15)
            for (unsigned b = 0; b < 256; b += 15)
                assert_true(fabs(resize_gray(r, g, b) - (0.299 * r + 0.587 * g + 0.114 * b)) < 0.51);
    const image_shape want = { 1, 1, 2 };
    const uint8_t rgb[] = { 255, 0, 0, 0, 0, 255 };
    uint8_t image[2];
    must(resize_picture("x", rgb, 2, 1, want, FIT_SQUASH, image));
    assert_int_equal(image[0], 76);
    assert_int_equal(image[1], 29);
}

/* A line stays a line of at least one pixel. */
static void extreme_shapes(void **state)
{
    (void)state;
    const image_shape want = { 3, 8, 8 };
    uint8_t line[3 * 1000], image[3 * 64];
    memset(line, 200, sizeof line);
    for (int fit = FIT_SQUASH; fit <= FIT_PAD; fit++)
        for (int upright = 0; upright < 2; upright++) {
            must(resize_picture("x", line, upright ? 1 : 1000, upright ? 1000 : 1, want, (fit_kind)fit,
                                image));
            int bright = 0;
            for (int i = 0; i < 64; i++) bright += image[i] > 150;
            assert_int_equal(bright, fit == FIT_PAD ? 8 : 64);
        }
}

/* Of a long line only the middle is shown, and scaled: all of it would be 48 GB. */
static void a_line_is_not_scaled_as_a_whole(void **state)
{
    (void)state;
    enum { LONG = 16384, SHORT = 40, LARGE = 1024 };
    const image_shape want = { 1, LARGE, LARGE };
    uint8_t *line, *whole, *part;
    assert_non_null(line = malloc(3 * LONG));
    assert_non_null(whole = malloc(LARGE * LARGE));
    assert_non_null(part = malloc(LARGE * LARGE));
    for (int i = 0; i < 3 * LONG; i++) line[i] = (uint8_t)(i / 3 * 37);
    for (int upright = 0; upright < 2; upright++) {
        must(resize_picture("x", line, upright ? 1 : LONG, upright ? LONG : 1, want, FIT_CROP, whole));
        must(resize_picture("x", line + 3 * (LONG - SHORT) / 2, upright ? 1 : SHORT, upright ? SHORT : 1,
                            want, FIT_CROP, part));
        assert_memory_equal(whole, part, LARGE * LARGE);
    }
    free(line);
    free(whole);
    free(part);
}

/* The drawn shapes at another size are the same drawings: averaged over 2 x 2 pixels, 64 x 64 looks like 32 x 32. */
static void synthetic_is_drawn_at_any_size(void **state)
{
    (void)state;
    config_data cfg = { .format = DATA_SYNTHETIC, .test_limit = 50, .channels = 3, .size = { 32, 32 } };
    dataset small, large;
    double difference = 0, contrast = 0;
    must(dataset_open(&cfg, 10, NULL, &small));
    cfg.size[0] = cfg.size[1] = 64;
    must(dataset_open(&cfg, 10, NULL, &large));
    assert_int_equal(large.shape.width, 64);
    for (int i = 0; i < 50; i++)
        for (int c = 0; c < 3; c++)
            for (int y = 0; y < 31; y++)
                for (int x = 0; x < 31; x++) {
                    const uint8_t *a = dataset_image(&small, i), *b = dataset_image(&large, i);
                    double mean = 0;
                    for (int k = 0; k < 4; k++)
                        mean += pixel(b, large.shape, c, 2 * y + k / 2, 2 * x + k % 2) / 4.0;
                    difference += fabs(mean - pixel(a, small.shape, c, y, x));
                    contrast += fabs(128.0 - pixel(a, small.shape, c, y, x));
                }
    assert_true(difference < 0.5 * contrast); /* what is left is the noise, which is drawn anew */
    dataset_free(&small);
    dataset_free(&large);
    cfg.channels = 1;
    must(dataset_open(&cfg, 10, NULL, &large));
    assert_int_equal(large.shape.channels, 1);
    dataset_free(&large);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(squash_scales_both_sides),
        cmocka_unit_test(crop_keeps_the_middle),
        cmocka_unit_test(pad_frames_in_black),
        cmocka_unit_test(same_size_is_copied),
        cmocka_unit_test(gray_is_luminance),
        cmocka_unit_test(extreme_shapes),
        cmocka_unit_test(a_line_is_not_scaled_as_a_whole),
        cmocka_unit_test(synthetic_is_drawn_at_any_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
