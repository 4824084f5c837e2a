/* The similarity histogram: borders, negatives, limit. graph/histogram.h. */
#include "../../graph/histogram.h"
#include "graph_sweep.h"

#include <math.h>

/* One row of a tile far right of the diagonal, with these similarities. */
static histogram count(const float *sim, int n)
{
    static float tile[SIMILARITY_TILE * SIMILARITY_TILE];
    memcpy(tile, sim, (size_t)n * sizeof(float));
    histogram h = { .limit = 10000 };
    similarity_tile t = { .row0 = 0, .col0 = SIMILARITY_TILE, .rows = 1, .cols = n, .sim = tile };
    assert_int_equal(histogram_take(&h, &t), OK);
    return h;
}

static void borders(void **state)
{
    (void)state;
    for (int b = 1; b < HISTOGRAM_BINS; b++) {
        float below = nextafterf((float)(b / 10.0), 0), above = nextafterf((float)(b / 10.0), 1);
        while (10.0 * below >= b) below = nextafterf(below, 0);
        while (10.0 * above < b) above = nextafterf(above, 1);
        histogram h = count((const float[]){ below, above }, 2);
        assert_int_equal(h.bin[b - 1], 1);
        assert_int_equal(h.bin[b], 1);
    }
    histogram ends = count((const float[]){ 0, -0.0f, 1, 1.0000002f, 0.5f }, 5);
    assert_int_equal(ends.bin[0], 2);
    assert_int_equal(ends.bin[9], 2);
    assert_int_equal(ends.bin[5], 1);
    assert_int_equal(ends.negative, 0);
}

static void negatives_fall_in_the_first_bin(void **state)
{
    (void)state;
    histogram h = count((const float[]){ -1, -0.5f, -1e-9f, 0.05f }, 4);
    assert_int_equal(h.bin[0], 4);
    assert_int_equal(h.negative, 3);
}

/* Against the definition over the whole matrix, with a limit inside a tile. */
static void sweep_counts_every_pair(void **state)
{
    (void)state;
    const int rows = 1100, limits[] = { 0, 1, 700, 1100 };
    for (int k = 0; k < 4; k++) {
        whole_matrix m = matrix_open(rows);
        histogram h = { .limit = limits[k] };
        similarity_consumer both[] = { { histogram_take, &h }, { keep_tile, &m } };
        float *x = random_rows(7, rows, 4, 0.4f);
        sweep(x, rows, 4, SIMILARITY_TILE, both, 2);
        int64_t bin[HISTOGRAM_BINS] = { 0 }, negative = 0;
        for (int i = 0; i < limits[k]; i++) {
            for (int j = i + 1; j < limits[k]; j++) {
                double s = m.sim[(size_t)i * (size_t)rows + (size_t)j];
                bin[s < 0 ? 0 : (int)fmin(9, floor(10 * s))]++;
                negative += s < 0;
            }
        }
        assert_memory_equal(bin, h.bin, sizeof bin);
        assert_int_equal(negative, h.negative);
        if (limits[k] > 1) assert_true(negative > 0);
        matrix_close(&m);
        free(x);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(borders),
        cmocka_unit_test(negatives_fall_in_the_first_bin),
        cmocka_unit_test(sweep_counts_every_pair),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
