/* Similarity tiles: right values, each pair once, the same bits in one block and in many. graph/gram.h. */
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
    const int sizes[] = { 1, 2, 100, GRAM_TILE, GRAM_TILE + 1, 1300 };
    const int64_t dim = 7;
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        int rows = sizes[s];
        float *x = random_rows(s, rows, dim, 0.3f), *original = random_rows(s, rows, dim, 0.3f);
        whole_matrix m = matrix_open(rows);
        gram_consumer keep = { keep_tile, &m };
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
    const int rows = 1700, blocks[] = { GRAM_TILE, 2 * GRAM_TILE, 3 * GRAM_TILE };
    whole_matrix one = matrix_open(rows);
    gram_consumer keep_one = { keep_tile, &one };
    float *x = random_rows(1, rows, 5, 0);
    sweep(x, rows, 5, rows, &keep_one, 1);
    for (int b = 0; b < 3; b++) {
        whole_matrix many = matrix_open(rows);
        gram_consumer keep_many = { keep_tile, &many };
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
    assert_int_equal(gram_normalise(x, 4, 3, NULL), -1);
    for (int k = 0; k < 3; k++) assert_true(x[k] == 0); /* no direction: similarity 0 with everything */
    assert_float_equal(x[3], 0.6, 1e-7);
    assert_float_equal(x[5], 0.8, 1e-7);
    assert_float_equal(x[6], 0.6, 1e-7); /* |x| = 1e-8 is divided by as it is */
    assert_float_equal(x[9], 0.6, 1e-7); /* 1e61 does not fit a float */
    float tiny[] = { 3e-9f, 4e-9f };
    assert_int_equal(gram_normalise(tiny, 1, 2, NULL), -1);
    assert_float_equal(tiny[0], 0.3, 1e-7); /* |x| = 5e-9 counts as 1e-8 */
    float bad[] = { 1, 2, NAN, 1, 1, INFINITY };
    assert_int_equal(gram_normalise(bad, 3, 2, NULL), 1);
}

/* The sweep ends with the consumer's failure. */
static status refuse(void *ctx, const gram_tile *t)
{
    (void)t;
    return ++*(int *)ctx == 2 ? ERR_DATA : OK;
}

static void failure_travels(void **state)
{
    (void)state;
    backend *b;
    gram g;
    int calls = 0;
    gram_consumer c = { refuse, &calls };
    float *x = random_rows(3, 1200, 2, 0);
    assert_int_equal(ref_open(1, &b), OK);
    assert_int_equal(gram_open(&g, b, &c, 1), OK);
    assert_int_equal(gram_triangle(&g, (gram_rows){ x, 1200, 1200, 0 }, 2), ERR_DATA);
    assert_int_equal(calls, 2);
    gram_close(&g);
    backend_close(b);
    free(x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_pair_once_and_right),
        cmocka_unit_test(blocks_do_not_change_a_bit),
        cmocka_unit_test(odd_rows_are_defined),
        cmocka_unit_test(failure_travels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
