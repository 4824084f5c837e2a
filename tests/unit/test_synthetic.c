/* data/synthetic.c: the same for everyone, balanced, and not to be told apart by colour or by a linear map.
 */
#include "../../core/base/rng.h"
#include "../../data/dataset.h"
#include "../image32.h"
#include "../scratch.h"

#include <math.h>
#include <omp.h>

/* A configuration of these data. */
#define FROM(folder, limit)                                                                                  \
    (&(config_data){ CONFIG32, .path = (char *)(folder), .train_limit = (limit), .test_limit = (limit),      \
                     .max_pixels = 1 << 26 })

enum { CLASSES = 10 };

static dataset open_set(int limit, bool training)
{
    dataset d;
    assert_int_equal(synthetic_open(FROM("", limit), 0, training, &d), OK);
    return d;
}

static void sizes_names_and_balance(void **state)
{
    (void)state;
    for (int training = 0; training < 2; training++) {
        dataset d = open_set(0, training);
        int count[CLASSES] = { 0 };
        assert_int_equal(d.n, training ? 10000 : 2000);
        assert_int_equal(d.classes, CLASSES);
        for (int i = 0; i < d.n; i++) count[d.label[i]]++;
        for (int c = 0; c < CLASSES; c++) {
            assert_int_equal(count[c], d.n / CLASSES);
            assert_true(strlen(d.class_name[c]) > 0);
            for (int k = 0; k < c; k++) assert_string_not_equal(d.class_name[c], d.class_name[k]);
        }
        dataset_free(&d);
    }
}

static void same_for_any_limit_and_thread_count(void **state)
{
    (void)state;
    const int threads = omp_get_max_threads();
    omp_set_num_threads(4);
    dataset many = open_set(300, true);
    omp_set_num_threads(1);
    dataset few = open_set(90, true), test = open_set(300, false);
    omp_set_num_threads(threads);
    assert_memory_equal(many.image, few.image, (size_t)few.n * IMAGE_VALUES);
    for (int i = 0; i < test.n; i++) /* no test image is a training image */
        for (int k = 0; k < many.n; k++)
            assert_memory_not_equal(test.image + i * IMAGE_VALUES, many.image + k * IMAGE_VALUES,
                                    IMAGE_VALUES);
    dataset_free(&many);
    dataset_free(&few);
    dataset_free(&test);
}

static void says_how_many_there_are(void **state)
{
    (void)state;
    dataset d;
    assert_int_equal(synthetic_open(FROM("", 50001), 0, true, &d), ERR_DATA);
    assert_non_null(strstr(status_message(), "50000"));
    assert_int_equal(synthetic_open(FROM("", 10001), 0, false, &d), ERR_DATA);
    assert_null(d.image);
}

static int arg_max(const float *score)
{
    int best = 0;
    for (int c = 1; c < CLASSES; c++)
        if (score[c] > score[best]) best = c;
    return best;
}

static void mean_colour(const uint8_t *image, float out[3])
{
    for (int c = 0; c < 3; c++) {
        float sum = 0;
        for (int i = 0; i < 1024; i++) sum += image[c * 1024 + i];
        out[c] = sum / 1024;
    }
}

/* The class whose average colour is nearest: chance is 10 %, its standard deviation on 2000 images .7 %. */
static void colour_does_not_tell_the_class(void **state)
{
    (void)state;
    dataset train = open_set(5000, true), test = open_set(2000, false);
    float centre[CLASSES][3] = { { 0 } }, colour[3];
    for (int i = 0; i < train.n; i++) {
        mean_colour(train.image + (size_t)i * IMAGE_VALUES, colour);
        for (int c = 0; c < 3; c++) centre[train.label[i]][c] += colour[c] / 500;
    }
    int correct = 0;
    for (int i = 0; i < test.n; i++) {
        float score[CLASSES];
        mean_colour(test.image + (size_t)i * IMAGE_VALUES, colour);
        for (int k = 0; k < CLASSES; k++)
            score[k] =
                -hypotf(hypotf(colour[0] - centre[k][0], colour[1] - centre[k][1]), colour[2] - centre[k][2]);
        correct += arg_max(score) == test.label[i];
    }
    print_message("nearest mean colour: %.1f %%\n", 100.0 * correct / test.n);
    assert_in_range(correct, 0, test.n * 14 / 100);
    dataset_free(&train);
    dataset_free(&test);
}

/* score_k = w_k . x; returns sum of x w in one loop per class. */
static void scores(const float *w, const uint8_t *image, float *out)
{
    for (int k = 0; k < CLASSES; k++) {
        float sum = 0;
        for (int i = 0; i < IMAGE_VALUES; i++) sum += w[k * IMAGE_VALUES + i] * ((float)image[i] - 128);
        out[k] = sum / 128;
    }
}

/* Softmax regression on the pixels, plain SGD. It must learn something, or it would prove nothing. */
static void linear_maps_do_not_tell_the_class(void **state)
{
    (void)state;
    dataset train = open_set(5000, true), test = open_set(2000, false);
    static float w[CLASSES * IMAGE_VALUES];
    int order[5000], correct = 0;
    for (int epoch = 0; epoch < 4; epoch++) {
        rng_permutation(1, RNG_TEST, (uint32_t)epoch, train.n, order);
        for (int s = 0; s < train.n; s++) {
            const uint8_t *image = train.image + (size_t)order[s] * IMAGE_VALUES;
            float score[CLASSES], sum = 0;
            scores(w, image, score);
            const float top = score[arg_max(score)];
            for (int k = 0; k < CLASSES; k++) sum += score[k] = expf(score[k] - top);
            for (int k = 0; k < CLASSES; k++) {
                const float g =
                    (score[k] / sum - (float)(k == train.label[order[s]])) * 1e-4f / (1 + epoch) / 128;
                for (int i = 0; i < IMAGE_VALUES; i++) w[k * IMAGE_VALUES + i] -= g * ((float)image[i] - 128);
            }
        }
    }
    for (int i = 0; i < test.n; i++) {
        float score[CLASSES];
        scores(w, test.image + (size_t)i * IMAGE_VALUES, score);
        correct += arg_max(score) == test.label[i];
    }
    print_message("softmax regression on pixels: %.1f %%\n", 100.0 * correct / test.n);
    assert_in_range(correct, test.n * 15 / 100, test.n * 35 / 100);
    dataset_free(&train);
    dataset_free(&test);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_names_and_balance),
        cmocka_unit_test(same_for_any_limit_and_thread_count),
        cmocka_unit_test(says_how_many_there_are),
        cmocka_unit_test(colour_does_not_tell_the_class),
        cmocka_unit_test(linear_maps_do_not_tell_the_class),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
