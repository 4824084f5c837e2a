/* Top-|E| edges and k nearest neighbours against brute force, ties included. graph/edges.h. */
#include "../../graph/edges.h"
#include "graph_sweep.h"

#include <math.h>

/* Rows of vectors at quarter turns: few distinct similarities, so nearly all pairs are equal. */
static float *tied_rows(int rows)
{
    float *x = calloc((size_t)rows * 4, sizeof *x);
    assert_non_null(x);
    for (int i = 0; i < rows; i++) {
        uint32_t kind = rng_below(5, RNG_TEST, 0, (uint64_t)i, 6);
        if (kind < 4) x[i * 4 + (int)kind] = 2;
        if (kind == 4)
            for (int k = 0; k < 4; k++) x[i * 4 + k] = 1; /* similarity 1/2 with the others */
    }                                                     /* kind 5: no direction, similarity 0 */
    return x;
}

static int before(const void *a, const void *b)
{
    const edge *x = a, *y = b;
    if (x->sim != y->sim) return x->sim > y->sim ? -1 : 1;
    return x->i != y->i ? (x->i < y->i ? -1 : 1) : x->j < y->j ? -1 : 1;
}

/* Sorts all pairs of members; the caller frees. */
static edge_list brute_force(const whole_matrix *m, const int32_t *vertex, int64_t want)
{
    edge_list all = { 0, malloc((size_t)m->rows * (size_t)m->rows / 2 * sizeof(edge) + 1) };
    assert_non_null(all.edge);
    for (int i = 0; i < m->rows; i++) {
        for (int j = i + 1; j < m->rows; j++) {
            if (vertex[i] < 0 || vertex[j] < 0) continue;
            all.edge[all.n++] =
                (edge){ vertex[i], vertex[j], m->sim[(size_t)i * (size_t)m->rows + (size_t)j] };
        }
    }
    qsort(all.edge, (size_t)all.n, sizeof(edge), before);
    if (all.n > want) all.n = want;
    return all;
}

/* `members` of 7 positions are in the graph. */
static void check_top(float *x, int rows, int64_t dim, int members, int64_t want)
{
    int vertices = 0;
    int32_t *vertex = malloc((size_t)rows * sizeof *vertex);
    assert_non_null(vertex);
    for (int i = 0; i < rows; i++) vertex[i] = i * 3 % 7 < members ? vertices++ : -1;
    whole_matrix m = matrix_open(rows);
    edge_top top;
    edge_list got;
    assert_int_equal(edge_top_open(&top, want, vertices, vertex), OK);
    similarity_consumer both[] = { { keep_tile, &m }, { edge_top_take, &top } };
    for (int turn = 0; turn < 2; turn++) { /* the second time from a used edge_top, in another order */
        memset(m.seen, 0, (size_t)rows * (size_t)rows);
        sweep(x, rows, dim, turn ? SIMILARITY_TILE : rows, both, 2);
        assert_int_equal(edge_top_finish(&top, &got), OK);
        edge_list right = brute_force(&m, vertex, want);
        assert_int_equal(got.n, right.n);
        assert_memory_equal(got.edge, right.edge, (size_t)got.n * sizeof(edge));
        free(got.edge);
        free(right.edge);
    }
    edge_top_close(&top);
    matrix_close(&m);
    free(vertex);
    free(x);
}

static void top_of_all_pairs(void **state)
{
    (void)state;
    const int64_t want[] = { 1, 2, 1000, 40000 };
    for (int k = 0; k < 4; k++) check_top(random_rows(11, 1300, 6, 0.2f), 1300, 6, 7, want[k]);
}

static void top_of_a_sample(void **state)
{
    (void)state;
    check_top(random_rows(12, 1300, 6, 0), 1300, 6, 3, 5000);
    check_top(random_rows(13, 900, 6, 0), 900, 6, 1, 100);
}

/* Nearly all similarities are one of 0, 1/2, 1: the order of i and j decides. */
static void ties(void **state)
{
    (void)state;
    const int64_t want[] = { 1, 700, 40000, 150000, 400000 };
    for (int k = 0; k < 5; k++) check_top(tied_rows(1100), 1100, 4, 7, want[k]);
}

static void more_edges_than_pairs_and_none(void **state)
{
    (void)state;
    check_top(random_rows(14, 200, 3, 0), 200, 3, 7, 1000000);
    check_top(random_rows(14, 600, 3, 0), 600, 3, 7, 600 * 599 / 2);
    check_top(random_rows(15, 600, 3, 0), 600, 3, 7, 600 * 599 / 2 - 1);
    check_top(random_rows(16, 600, 3, 0), 600, 3, 7, 0);
    check_top(random_rows(17, 1, 3, 0), 1, 3, 7, 10);
    check_top(random_rows(18, 30, 3, 0), 30, 3, 0, 10);
}

/* ---- nearest ---- */

typedef struct entry {
    int j;
    float sim;
} entry;

static int closer(const void *a, const void *b)
{
    const entry *x = a, *y = b;
    if (x->sim != y->sim) return x->sim > y->sim ? -1 : 1;
    return x->j - y->j;
}

/* docs/definitions.md word for word: the row with a zero diagonal, sorted; its first k. */
static void check_nearest(float *x, int rows, int64_t dim, int k, int batch, int batches)
{
    whole_matrix m = matrix_open(rows);
    nearest n;
    assert_int_equal(nearest_open(&n, k, batch, batches), OK);
    similarity_consumer both[] = { { keep_tile, &m }, { nearest_take, &n } };
    entry *row = malloc((size_t)batch * sizeof *row);
    assert_non_null(row);
    sweep(x, rows, dim, SIMILARITY_TILE, both, 2);
    for (int b = 0; b < batches; b++) {
        neighbour_list got = nearest_batch(&n, b);
        assert_int_equal(got.k, k);
        for (int i = 0; i < batch; i++) {
            for (int j = 0; j < batch; j++) {
                size_t p = (size_t)(b * batch + (i < j ? i : j)), q = (size_t)(b * batch + (i < j ? j : i));
                row[j] = (entry){ j, i == j ? 0 : m.sim[p * (size_t)rows + q] };
            }
            qsort(row, (size_t)batch, sizeof *row, closer);
            for (int p = 0; p < k; p++) {
                neighbour e = got.neighbour[i * k + p];
                assert_int_equal(e.j, p < batch ? row[p].j : -1);
                if (p < batch) assert_true(e.sim == row[p].sim);
            }
        }
    }
    free(row);
    nearest_close(&n);
    matrix_close(&m);
    free(x);
}

static void nearest_in_batches(void **state)
{
    (void)state;
    check_nearest(random_rows(21, 1300, 8, 0.5f), 1300, 8, 3, 500, 2);
    check_nearest(random_rows(22, 1300, 8, 0), 1300, 8, 11, 200, 6);
    check_nearest(random_rows(23, 1200, 8, 0), 1200, 8, 3, 1200, 1);
    check_nearest(random_rows(24, 600, 8, 0), 600, 8, 1, 100, 5);
}

/* With one dimension similarities are 1 and -1: rows of the rarer sign must keep their zero diagonal. */
static void the_diagonal_competes(void **state)
{
    (void)state;
    float *x = malloc(60 * sizeof *x);
    assert_non_null(x);
    for (int i = 0; i < 60; i++) x[i] = i % 10 < 2 ? -1 : 1;
    check_nearest(x, 60, 1, 3, 10, 6);
}

static void nearest_ties_and_small_batches(void **state)
{
    (void)state;
    check_nearest(tied_rows(1000), 1000, 4, 5, 500, 2);
    check_nearest(tied_rows(40), 40, 4, 6, 4, 10); /* fewer others than k */
    check_nearest(tied_rows(5), 5, 4, 3, 1, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(top_of_all_pairs),
        cmocka_unit_test(top_of_a_sample),
        cmocka_unit_test(ties),
        cmocka_unit_test(more_edges_than_pairs_and_none),
        cmocka_unit_test(nearest_in_batches),
        cmocka_unit_test(the_diagonal_competes),
        cmocka_unit_test(nearest_ties_and_small_batches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
