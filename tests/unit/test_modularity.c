/* M and Q against networkx (tests/golden/graph.json, made by tests/peer/graph_reference.py), and special cases.
 * graph/modularity.h. */
#include "../../core/base/file.h"
#include "../../graph/modularity.h"
#include "graph_sweep.h"

#include <cjson/cJSON.h>
#include <math.h>

static const double NEAR = 2e-6; /* similarities are f32 here, f64 there */

static double number(const cJSON *o, const char *key)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(o, key);
    assert_true(cJSON_IsNumber(item));
    return item->valuedouble;
}

static const cJSON *array(const cJSON *o, const char *key, int64_t n)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(o, key);
    assert_true(cJSON_IsArray(item));
    assert_int_equal(cJSON_GetArraySize(item), n);
    return item;
}

static void check_yang(const edge_list *e, int n, const int32_t *label, int classes, norm_kind norm,
                       const cJSON *right, const cJSON *share)
{
    yang_result y;
    assert_int_equal(yang_modularity(e, n, label, classes, norm, &y), OK);
    assert_float_equal(y.r, number(right, "r"), 1e-12);
    assert_float_equal(y.AQ, number(right, "AQ"), NEAR);
    assert_float_equal(y.EQ, number(right, "EQ"), NEAR);
    assert_float_equal(y.M, number(right, "M"), NEAR);
    assert_float_equal(y.min_sim, number(right, "min_sim"), NEAR);
    assert_int_equal(y.correct, (int)number(right, "correct"));
    assert_int_equal(y.isolated, (int)number(right, "isolated"));
    assert_int_equal(y.n_classes, classes);
    double sum = 0;
    for (int c = 0; c < classes; c++) {
        assert_float_equal(y.class_share[c], cJSON_GetArrayItem(share, c)->valuedouble, 1e-12);
        sum += y.class_share[c];
    }
    assert_float_equal(sum, 1, 1e-12);
    free(y.class_share);
}

static void check_case(const cJSON *c)
{
    int n = (int)number(c, "n"), dim = (int)number(c, "dim"), classes = (int)number(c, "classes");
    int edges = (int)number(c, "edges"), k = (int)number(c, "k");
    float x[60 * 8];
    int32_t label[60], vertex[60];
    const cJSON *features = array(c, "features", (int64_t)n * dim), *labels = array(c, "labels", n), *item;
    const cJSON *top = array(c, "top", edges);
    int at = 0;
    cJSON_ArrayForEach(item, features) x[at++] = (float)item->valuedouble;
    for (int i = 0; i < n; i++) label[i] = cJSON_GetArrayItem(labels, i)->valueint;
    for (int i = 0; i < n; i++) vertex[i] = i;

    edge_top t;
    nearest near;
    edge_list e;
    assert_int_equal(edge_top_open(&t, edges, n, vertex), OK);
    assert_int_equal(nearest_open(&near, k, n, 1), OK);
    similarity_consumer both[] = { { edge_top_take, &t }, { nearest_take, &near } };
    sweep(x, n, dim, n, both, 2);
    assert_int_equal(edge_top_finish(&t, &e), OK);
    assert_int_equal(e.n, edges);
    at = 0;
    cJSON_ArrayForEach(item, top)
    {
        assert_int_equal(e.edge[at].i, cJSON_GetArrayItem(item, 0)->valueint);
        assert_int_equal(e.edge[at++].j, cJSON_GetArrayItem(item, 1)->valueint);
    }
    const cJSON *share = array(c, "share", classes);
    check_yang(&e, n, label, classes, NORM_NEWMAN, cJSON_GetObjectItem(c, "newman"), share);
    check_yang(&e, n, label, classes, NORM_LITERAL, cJSON_GetObjectItem(c, "literal"), share);
    neighbour_list kept = nearest_batch(&near, 0);
    double Q;
    assert_int_equal(lu_modularity(&kept, n, label, classes, &Q), OK);
    assert_float_equal(Q, number(c, "Q"), NEAR);
    free(e.edge);
    nearest_close(&near);
    edge_top_close(&t);
}

static void agrees_with_networkx(void **state)
{
    (void)state;
    char *text;
    int cases = 0;
    assert_int_equal(file_read("tests/golden/graph.json", &text, NULL), OK);
    cJSON *golden = cJSON_Parse(text), *c;
    assert_non_null(golden);
    cJSON_ArrayForEach(c, cJSON_GetObjectItem(golden, "cases"))
    {
        print_message("%s\n", cJSON_GetObjectItem(c, "name")->valuestring);
        check_case(c);
        cases++;
    }
    assert_int_equal(cases, 8);
    cJSON_Delete(golden);
    free(text);
}

static void two_pairs_of_twins(void **state)
{
    (void)state;
    edge e[] = { { 0, 1, 1 }, { 2, 3, 1 } };
    edge_list list = { 2, e };
    const int32_t label[] = { 0, 0, 1, 1 };
    yang_result y;
    /* newman: AQ = 2 * (2 edges) * (1 - 1/4) / 4 = 3/4; literal: 2S = 8, AQ = 2 * (1 - 1/8) / 8. */
    assert_int_equal(yang_modularity(&list, 4, label, 2, NORM_NEWMAN, &y), OK);
    assert_float_equal(y.M, 0.75, 1e-15);
    free(y.class_share);
    assert_int_equal(yang_modularity(&list, 4, label, 2, NORM_LITERAL, &y), OK);
    assert_float_equal(y.M, 2 * (1 - 1 / 8.0) / 8, 1e-15);
    free(y.class_share);
}

static void no_edges(void **state)
{
    (void)state;
    edge_list none = { 0, NULL };
    const int32_t label[] = { 0, 1, 2 };
    yang_result y;
    for (int n = 0; n <= 3; n += 3) {
        assert_int_equal(yang_modularity(&none, n, label, 3, NORM_NEWMAN, &y), OK);
        assert_true(isnan(y.r) && isnan(y.AQ) && isnan(y.EQ) && isnan(y.M) && isnan(y.min_sim));
        assert_int_equal(y.correct, 0);
        assert_int_equal(y.isolated, n);
        for (int c = 0; c < 3; c++) assert_true(y.class_share[c] == 0);
        free(y.class_share);
    }
}

/* All activations 0: every similarity is 0, so the first pairs in order become edges without weight. */
static void no_weight(void **state)
{
    (void)state;
    edge e[] = { { 0, 1, 0 }, { 0, 2, 0 } };
    edge_list list = { 2, e };
    const int32_t label[] = { 0, 0, 1, 1 };
    yang_result y;
    assert_int_equal(yang_modularity(&list, 4, label, 2, NORM_NEWMAN, &y), OK);
    assert_true(y.r == 0.5 && y.min_sim == 0);
    assert_int_equal(y.isolated, 1); /* an edge without weight is an edge */
    assert_true(isnan(y.AQ) && isnan(y.EQ) && isnan(y.M));
    free(y.class_share);

    neighbour zero[] = { { 0, 0 }, { 1, 0 }, { 0, 0 }, { 1, 0 } };
    neighbour_list kept = { 2, zero };
    double Q = 0;
    assert_int_equal(lu_modularity(&kept, 2, label, 2, &Q), OK);
    assert_true(isnan(Q));
}

static void summary_over_batches(void **state)
{
    (void)state;
    double Q[] = { 0.2, 0.4, 0.9 };
    lu_result u = { .n = 3, .Q = Q };
    lu_summary(&u);
    assert_float_equal(u.mean, 0.5, 1e-15);
    assert_float_equal(u.sd, sqrt((0.09 + 0.01 + 0.16) / 2), 1e-15);
    u.n = 1;
    lu_summary(&u);
    assert_true(u.mean == 0.2 && u.sd == 0);
    u.n = 0;
    lu_summary(&u);
    assert_true(isnan(u.mean) && isnan(u.sd));
    Q[1] = NAN;
    u.n = 3;
    lu_summary(&u);
    assert_true(isnan(u.mean) && isnan(u.sd));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_networkx),
        cmocka_unit_test(two_pairs_of_twins),
        cmocka_unit_test(no_edges),
        cmocka_unit_test(no_weight),
        cmocka_unit_test(summary_over_batches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
