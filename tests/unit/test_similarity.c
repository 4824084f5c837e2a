/* Similarity tiles: right values, each pair once, the same bits in one block and in many. graph/similarity.h. */
#include "graph_sweep.h"

#include <math.h>

static double cosine(const float *a, const float *b, int64_t dim)
{
    double ab = 0, aa = 0, bb = 0;
    for (int64_t k = 0; k < dim; k++) {
        ab += (double)a[k] * b[k];
        aa += (double)a[k] * a[k];
        bb += (double)b[k] * b[k];
    }
    return ab / (fmax(sqrt(aa), 1e-8) * fmax(sqrt(bb), 1e-8));
}

/* Sizes below, at and above a tile, and not a multiple of one. */
static void every_pair_once_and_right(void **state)
{
    (void)state;
    const int sizes[] = { 1, 2, 100, SIMILARITY_TILE, SIMILARITY_TILE + 1, 1300 };
    const int64_t dim = 7;
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        int rows = sizes[s];
        float *x = random_rows(s, rows, dim, 0.3f), *original = random_rows(s, rows, dim, 0.3f);
        whole_matrix m = matrix_open(rows);
        similarity_consumer keep = { keep_tile, &m };
        sweep(x, rows, dim, rows, &keep, 1);
        for (int i = 0; i < rows; i++) {
            for (int j = 0; j < rows; j++) {
                size_t at = (size_t)i * (size_t)rows + (size_t)j;
                assert_int_equal(m.seen[at], i < j);
                if (i < j)
                    assert_float_equal(m.sim[at], cosine(original + i * dim, original + j * dim, dim), 5e-7);
            }
        }
        matrix_close(&m);
        free(x);
        free(original);
    }
}

static void blocks_do_not_change_a_bit(void **state)
{
    (void)state;
    const int rows = 1700, blocks[] = { SIMILARITY_TILE, 2 * SIMILARITY_TILE, 3 * SIMILARITY_TILE };
    whole_matrix one = matrix_open(rows);
    similarity_consumer keep_one = { keep_tile, &one };
    float *x = random_rows(1, rows, 5, 0);
    sweep(x, rows, 5, rows, &keep_one, 1);
    for (int b = 0; b < 3; b++) {
        whole_matrix many = matrix_open(rows);
        similarity_consumer keep_many = { keep_tile, &many };
        float *y = random_rows(1, rows, 5, 0);
        sweep(y, rows, 5, blocks[b], &keep_many, 1);
        assert_memory_equal(one.seen, many.seen, (size_t)rows * (size_t)rows);
        assert_memory_equal(one.sim, many.sim, (size_t)rows * (size_t)rows * sizeof(float));
        matrix_close(&many);
        free(y);
    }
    matrix_close(&one);
    free(x);
}

static void odd_rows_are_defined(void **state)
{
    (void)state;
    float x[] = { 0, 0, 0, 3, 0, 4, 6e-9f, 0, 8e-9f, 3e30f, 0, 4e30f };
    assert_int_equal(similarity_normalise(x, 4, 3, NULL), -1);
    for (int k = 0; k < 3; k++) assert_true(x[k] == 0); /* no direction: similarity 0 with everything */
    assert_float_equal(x[3], 0.6, 1e-7);
    assert_float_equal(x[5], 0.8, 1e-7);
    assert_float_equal(x[6], 0.6, 1e-7); /* |x| = 1e-8 is divided by as it is */
    assert_float_equal(x[9], 0.6, 1e-7); /* 1e61 does not fit a float */
    float tiny[] = { 3e-9f, 4e-9f };
    assert_int_equal(similarity_normalise(tiny, 1, 2, NULL), -1);
    assert_float_equal(tiny[0], 0.3, 1e-7); /* |x| = 5e-9 counts as 1e-8 */
    float bad[] = { 1, 2, NAN, 1, 1, INFINITY };
    assert_int_equal(similarity_normalise(bad, 3, 2, NULL), 1);
}

static void rows_of_int8_fill_the_range(void **state)
{
    (void)state;
    const float x[] = {
        0.5f, -1, 0.26f, 0, /**/ 0, 0, 0, 0, /**/ 3e-9f, 4e-9f, 0, 0, /**/ 3e30f, 4e30f, 0, 0
    };
    int8_t q[16];
    i8_scale scale[4];
    double norm[4];
    assert_int_equal(similarity_round(x, 4, 4, q, scale, norm), -1);
    const int8_t first[] = { 64, -127, 33, 0 }; /* 63.5 to the even 64 */
    assert_memory_equal(q, first, 4);
    assert_int_equal(scale[0].sum, 64 - 127 + 33);
    assert_float_equal(scale[0].scale, 1 / sqrt(64 * 64 + 127 * 127 + 33 * 33), 1e-9);
    assert_float_equal(norm[0], sqrt(0.25 + 1 + 0.26 * 0.26), 1e-7);
    assert_true(q[4] == 0 && q[7] == 0 && scale[1].scale == 0 && scale[1].sum == 0); /* no direction */
    assert_int_equal(q[8], 95);                                                      /* 127 * 3 / 4 */
    assert_float_equal(scale[2].scale * hypot(95, 127), 0.5, 1e-6); /* |x| = 5e-9 counts as 1e-8 */
    assert_int_equal(q[13], 127);
    assert_float_equal(norm[3] / 5e30, 1, 1e-6);
    const float bad[] = { 1, 2, 3, 4, NAN, 1, 1, 1, INFINITY, 0, 0, 0 };
    assert_int_equal(similarity_round(bad, 3, 4, q, scale, norm), 1);
}

/* A long row of equal values would sum to more than 2^31 if it were scaled to 127. */
static void long_rows_of_int8_stay_below_the_largest_sum(void **state)
{
    enum { LONG = SIMILARITY_INT8_DIM };
    (void)state;
    float *x = malloc(LONG * sizeof *x);
    int8_t *q = malloc(LONG);
    i8_scale scale;
    double norm;
    for (int k = 0; k < LONG; k++) x[k] = 2;
    assert_int_equal(similarity_round(x, 1, LONG, q, &scale, &norm), -1);
    int64_t squares = 0;
    for (int k = 0; k < LONG; k++) squares += q[k] * q[k];
    assert_true(q[0] == 68 && squares < INT32_MAX); /* 46000 / 680 = 67.6 */
    assert_float_equal(scale.scale * sqrt((double)squares), 1, 1e-7);
    free(x);
    free(q);
}

/* The sweep ends with the consumer's failure. */
static status refuse(void *ctx, const similarity_tile *t)
{
    (void)t;
    return ++*(int *)ctx == 2 ? ERR_DATA : OK;
}

static void failure_travels(void **state)
{
    (void)state;
    backend *b;
    similarity_sweep g;
    int calls = 0;
    similarity_consumer c = { refuse, &calls };
    float *x = random_rows(3, 1200, 2, 0);
    assert_int_equal(ref_open(1, &b), OK);
    assert_int_equal(similarity_open(&g, b, &c, 1), OK);
    assert_int_equal(similarity_triangle(&g, (similarity_rows){ x, 1200, 1200, 0 }, 2), ERR_DATA);
    assert_int_equal(calls, 2);
    similarity_close(&g);
    backend_close(b);
    free(x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_pair_once_and_right),
        cmocka_unit_test(blocks_do_not_change_a_bit),
        cmocka_unit_test(rows_of_int8_fill_the_range),
        cmocka_unit_test(long_rows_of_int8_stay_below_the_largest_sum),
        cmocka_unit_test(odd_rows_are_defined),
        cmocka_unit_test(failure_travels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
