/* Linear CKA against its definition with features, |Y^T X|^2 / (|X^T X| |Y^T Y|) of centred X and Y, in
 * double; tests/peer/compare_cka.py does the same with NumPy on a real net. graph/cka.h. */
#include "../../graph/cka.h"
#include "graph_sweep.h"

#include <math.h>

enum { ROWS = 600, LAYERS = 5 }; /* more rows than a tile */

static void centre_columns(double *x, int rows, int dim)
{
    for (int c = 0; c < dim; c++) {
        double mean = 0;
        for (int r = 0; r < rows; r++) mean += x[r * dim + c] / rows;
        for (int r = 0; r < rows; r++) x[r * dim + c] -= mean;
    }
}

/* |X^T Y|^2 of Frobenius. */
static double cross(const double *x, int p, const double *y, int q, int rows)
{
    double sum = 0;
    for (int i = 0; i < p; i++) {
        for (int j = 0; j < q; j++) {
            double dot = 0;
            for (int r = 0; r < rows; r++) dot += x[r * p + i] * y[r * q + j];
            sum += dot * dot;
        }
    }
    return sum;
}

static double by_features(const float *a, int p, const float *b, int q, int rows)
{
    double *x = malloc((size_t)(rows * p) * sizeof *x), *y = malloc((size_t)(rows * q) * sizeof *y);
    for (int k = 0; k < rows * p; k++) x[k] = a[k];
    for (int k = 0; k < rows * q; k++) y[k] = b[k];
    centre_columns(x, rows, p);
    centre_columns(y, rows, q);
    double v = cross(x, p, y, q, rows) / sqrt(cross(x, p, x, p, rows) * cross(y, q, y, q, rows));
    free(x);
    free(y);
    return v;
}

/* One layer's rows through a real sweep, as graph/analysis.c does it. */
static void feed(cka *c, int layer, const float *rows, int dim, int block)
{
    float *x = malloc((size_t)ROWS * (size_t)dim * sizeof *x);
    similarity_consumer take = { cka_take, c };
    memcpy(x, rows, (size_t)ROWS * (size_t)dim * sizeof *x);
    for (int i = 0; i < c->n; i++) {
        double sum = 0;
        for (int k = 0; k < dim; k++) sum += (double)x[i * dim + k] * x[i * dim + k];
        c->norm[i] = sqrt(sum);
    }
    c->layer = layer;
    sweep(x, ROWS, dim, block, &take, 1);
    cka_layer_end(c);
    free(x);
}

static void agrees_with_the_definition(void **state)
{
    (void)state;
    const int dim[LAYERS] = { 6, 9, 6, 3, 4 }, sizes[] = { 90, 512, 580 };
    float *x[LAYERS];
    for (int l = 0; l < LAYERS; l++) x[l] = random_rows((uint64_t)l, ROWS, dim[l], 0.5f);
    for (int i = 0; i < ROWS * 6; i++) x[2][i] = 3 * x[0][i] + (i % 6 == 1 ? 7 : 0); /* scaled and moved */
    for (int i = 0; i < ROWS; i++) x[3][3 * i] = x[0][6 * i]; /* shares a direction with layer 0 */
    for (int i = 0; i < ROWS * 4; i++) x[4][i] = 1.5f;        /* flat */
    for (int s = 0; s < 3; s++) {
        cka c;
        double out[LAYERS * LAYERS];
        assert_int_equal(cka_open(&c, sizes[s], LAYERS), OK);
        const int order[LAYERS] = { 3, 1, 4, 0, 2 }; /* any */
        for (int k = 0; k < LAYERS; k++)
            feed(&c, order[k], x[order[k]], dim[order[k]], s == 1 ? SIMILARITY_TILE : ROWS);
        cka_matrix(&c, out);
        for (int a = 0; a < LAYERS; a++) {
            for (int b = 0; b < LAYERS; b++) {
                double v = out[a * LAYERS + b];
                if (a == 4 || b == 4)
                    assert_true(isnan(v));
                else
                    assert_float_equal(v, by_features(x[a], dim[a], x[b], dim[b], sizes[s]), 2e-5);
            }
        }
        assert_float_equal(out[0 * LAYERS + 2], 1, 2e-5);
        assert_true(out[0 * LAYERS + 3] > 0.2 && out[0 * LAYERS + 3] < 0.9);
        cka_close(&c);
    }
    for (int l = 0; l < LAYERS; l++) free(x[l]);
}

static void not_asked_for(void **state)
{
    (void)state;
    cka c;
    assert_int_equal(cka_open(&c, 0, 3), OK);
    assert_int_equal(cka_bytes(0, 3), 0);
    cka_layer_end(&c);
    cka_close(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_the_definition),
        cmocka_unit_test(not_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
