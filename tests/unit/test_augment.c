/* data/augment.c: against pixels followed one by one, and the statistics of the choices. */
#include "../../core/base/rng.h"
#include "../../data/augment.h"
#include "../../data/dataset.h"
#include "../image32.h"
#include "../scratch.h"

#include <math.h>

static const config_data paper = {
    CONFIG32,
    .mean = { .4914f, .4822f, .4465f },
    .std = { .2023f, .1994f, .2010f },
    .crop_pad = 4,
    .flip = true,
    .rotate = 15,
};

static void random_image(uint8_t *image, uint32_t which)
{
    for (int i = 0; i < IMAGE_VALUES; i++)
        image[i] = (uint8_t)(rng_u32(1, RNG_TEST, which, (uint64_t)i) >> 24);
}

static float normalised(float value, int c)
{
    return (value / 255 - paper.mean[c]) / paper.std[c];
}

/* Where output (i, j) comes from, in words of the header: pad with black, crop, then flip. */
static float expected(const uint8_t *image, const augment_choice *choice, int c, int i, int j)
{
    uint8_t padded[32 + 2 * 8][32 + 2 * 8] = { { 0 } };
    for (int y = 0; y < 32; y++)
        for (int x = 0; x < 32; x++) padded[y + 8][x + 8] = image[c * 1024 + y * 32 + x];
    const int column = choice->flip ? 31 - j : j;
    return normalised(padded[8 + choice->dy + i][8 + choice->dx + column], c);
}

static void plain_is_normalisation_to_the_last_bit(void **state)
{
    (void)state;
    uint8_t image[IMAGE_VALUES];
    float out[IMAGE_VALUES];
    random_image(image, 0);
    augment_apply(image, &paper, NULL, out);
    for (int c = 0; c < 3; c++)
        for (int i = 0; i < 1024; i++)
            assert_true(out[c * 1024 + i] ==
                        ((float)image[c * 1024 + i] / 255.0f - paper.mean[c]) / paper.std[c]);
}

static void crops_and_flips(void **state)
{
    (void)state;
    uint8_t image[IMAGE_VALUES];
    float out[IMAGE_VALUES];
    random_image(image, 1);
    for (int dy = -8; dy <= 8; dy += 4)
        for (int dx = -8; dx <= 8; dx += 4)
            for (int flip = 0; flip < 2; flip++) {
                const augment_choice choice = { .dx = dx, .dy = dy, .flip = flip };
                augment_apply(image, &paper, &choice, out);
                for (int c = 0; c < 3; c++)
                    for (int i = 0; i < 32; i++)
                        for (int j = 0; j < 32; j++)
                            assert_true(out[(c * 32 + i) * 32 + j] == expected(image, &choice, c, i, j));
            }
}

static void far_shifts_are_black(void **state)
{
    (void)state;
    uint8_t image[IMAGE_VALUES];
    float out[IMAGE_VALUES];
    memset(image, 255, sizeof image);
    augment_apply(image, &paper, &(augment_choice){ .dx = 40, .dy = -3, .flip = true }, out);
    for (int i = 0; i < IMAGE_VALUES; i++) assert_true(out[i] == normalised(0, i / 1024));
}

/* A quarter turn counter-clockwise carries the right edge to the top: out(i, j) = in(j, 31 - i). */
static void quarter_turn_is_counter_clockwise(void **state)
{
    (void)state;
    uint8_t image[IMAGE_VALUES];
    float out[IMAGE_VALUES];
    random_image(image, 2);
    augment_apply(image, &paper, &(augment_choice){ .degrees = 90 }, out);
    for (int c = 0; c < 3; c++)
        for (int i = 1; i < 31; i++) /* at the border rounding may mix in black */
            for (int j = 1; j < 31; j++)
                assert_float_equal(out[(c * 32 + i) * 32 + j],
                                   normalised(image[(c * 32 + j) * 32 + 31 - i], c), 1e-3);
}

/* A bilinear interpolation repeats a linear ramp exactly, so a rotated ramp is known in closed form. */
static void small_rotation_of_a_ramp(void **state)
{
    (void)state;
    uint8_t image[IMAGE_VALUES];
    float out[IMAGE_VALUES];
    for (int c = 0; c < 3; c++)
        for (int y = 0; y < 32; y++)
            for (int x = 0; x < 32; x++) image[(c * 32 + y) * 32 + x] = (uint8_t)(10 + 3 * x + 2 * y);
    const double angle = 10 * M_PI / 180;
    const augment_choice choice = { .dx = 2, .dy = -1, .flip = true, .degrees = 10 };
    augment_apply(image, &paper, &choice, out);
    int inside = 0;
    for (int i = 0; i < 32; i++)
        for (int j = 0; j < 32; j++) {
            const double u = 31 - j + 2 - 15.5, v = i - 1 - 15.5; /* after flip and crop, from the centre */
            const double x = 15.5 + u * cos(angle) - v * sin(angle),
                         y = 15.5 + u * sin(angle) + v * cos(angle);
            const bool in_crop = fabs(u) < 15.9 && fabs(v) < 15.9;
            if (in_crop && x > 0.01 && x < 30.99 && y > 0.01 && y < 30.99) {
                assert_float_equal(out[i * 32 + j], normalised((float)(10 + 3 * x + 2 * y), 0), 2e-3);
                inside++;
            } else if (!in_crop || x < -1.01 || x > 32.01 || y < -1.01 || y > 32.01) {
                assert_true(out[i * 32 + j] == normalised(0, 0));
            }
        }
    assert_true(inside > 700);
}

static void choices_are_uniform(void **state)
{
    (void)state;
    enum { N = 40000 };
    int dx[9] = { 0 }, dy[9] = { 0 }, both[9][9] = { { 0 } }, flips = 0;
    double sum = 0, squares = 0;
    for (int i = 0; i < N; i++) {
        const augment_choice c = augment_choose(&paper, 5, 3, i);
        assert_in_range(c.dx + 4, 0, 8);
        assert_in_range(c.dy + 4, 0, 8);
        assert_true(c.degrees >= -15 && c.degrees <= 15);
        dx[c.dx + 4]++, dy[c.dy + 4]++, both[c.dx + 4][c.dy + 4]++;
        flips += c.flip;
        sum += c.degrees, squares += (double)c.degrees * c.degrees;
    }
    double chi = 0; /* 80 degrees of freedom: 99.99 % of the time below 135 */
    for (int x = 0; x < 9; x++)
        for (int y = 0; y < 9; y++) chi += pow(both[x][y] - N / 81.0, 2) / (N / 81.0);
    assert_true(chi < 135);
    for (int x = 0; x < 9; x++) { /* standard deviation 63 */
        assert_in_range(dx[x], N / 9 - 280, N / 9 + 280);
        assert_in_range(dy[x], N / 9 - 280, N / 9 + 280);
    }
    assert_in_range(flips, N / 2 - 450, N / 2 + 450); /* standard deviation 100 */
    assert_float_equal(sum / N, 0, 0.2);
    assert_float_equal(squares / N, 15.0 * 15 / 3, 1.5);
}

static void choices_depend_on_seed_epoch_and_index_only(void **state)
{
    (void)state;
    int same_seed = 0, same_epoch = 0, same_index = 0;
    for (int i = 0; i < 1000; i++) {
        const augment_choice a = augment_choose(&paper, 7, 2, i), again = augment_choose(&paper, 7, 2, i);
        assert_true(a.dx == again.dx && a.dy == again.dy && a.flip == again.flip &&
                    a.degrees == again.degrees);
        same_seed += a.degrees == augment_choose(&paper, 8, 2, i).degrees;
        same_epoch += a.degrees == augment_choose(&paper, 7, 3, i).degrees;
        same_index += a.degrees == augment_choose(&paper, 7, 2, i + 1).degrees;
    }
    assert_true(same_seed < 5 && same_epoch < 5 && same_index < 5);
}

static void can_be_switched_off(void **state)
{
    (void)state;
    config_data off = paper;
    off.crop_pad = 0, off.flip = false, off.rotate = 0;
    for (int i = 0; i < 100; i++) {
        const augment_choice c = augment_choose(&off, 1, 1, i);
        assert_true(c.dx == 0 && c.dy == 0 && !c.flip && c.degrees == 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_is_normalisation_to_the_last_bit),
        cmocka_unit_test(crops_and_flips),
        cmocka_unit_test(far_shifts_are_black),
        cmocka_unit_test(quarter_turn_is_counter_clockwise),
        cmocka_unit_test(small_rotation_of_a_ramp),
        cmocka_unit_test(choices_are_uniform),
        cmocka_unit_test(choices_depend_on_seed_epoch_and_index_only),
        cmocka_unit_test(can_be_switched_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
