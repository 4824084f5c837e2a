/* Which layers share a pass, and how many rows are held: never more than there is room for. graph/features.h. */
#include "../../core/base/rng.h"
#include "../../graph/features.h"
#include "../../graph/similarity.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MAX_LAYERS = 64 };

/* Bytes held at once: of a group all its layers; of a layer in blocks a block and a tile of rows. */
static void assert_groups(const int64_t *dim, int n, int rows, int64_t bytes, const feature_group *p,
                          int groups)
{
    int64_t used[MAX_LAYERS] = { 0 };
    int members[MAX_LAYERS] = { 0 };
    for (int l = 0; l < n; l++) {
        int held = p[l].block < rows ? p[l].block + SIMILARITY_TILE : rows;
        assert_in_range(p[l].number, 0, groups - 1);
        assert_true(p[l].block == rows ||
                    (p[l].block >= SIMILARITY_TILE && p[l].block % SIMILARITY_TILE == 0));
        used[p[l].number] += dim[l] * held * (int64_t)sizeof(float);
        members[p[l].number]++;
    }
    for (int g = 0; g < groups; g++) {
        assert_true(members[g] > 0);
        assert_true(used[g] <= bytes);
    }
    for (int l = 0; l < n; l++) assert_true(p[l].block == rows || members[p[l].number] == 1);
}

static void layers_share_passes_where_they_fit(void **state)
{
    (void)state;
    const int64_t dim[] = { 100, 100, 400, 50, 10 }, row = sizeof(float);
    const int rows = 10000;
    feature_group p[5];
    int groups;
    /* All at once. */
    assert_int_equal(features_group(dim, 5, rows, sizeof(float), 660 * row * rows, p, &groups), OK);
    assert_int_equal(groups, 1);
    for (int l = 0; l < 5; l++) assert_true(p[l].number == 0 && p[l].block == rows);
    /* Just not: first fit. */
    assert_int_equal(features_group(dim, 5, rows, sizeof(float), 650 * row * rows, p, &groups), OK);
    assert_int_equal(groups, 2);
    assert_int_equal(p[4].number, 1);
    /* Layer 2 alone does not fit: a block and a row of tiles that streams by. */
    int64_t bytes = 300 * row * rows;
    assert_int_equal(features_group(dim, 5, rows, sizeof(float), bytes, p, &groups), OK);
    assert_int_equal(groups, 2);
    assert_int_equal(p[2].number, 1);
    assert_int_equal(p[2].block % SIMILARITY_TILE, 0);
    assert_true((p[2].block + SIMILARITY_TILE) * dim[2] * row <= bytes);
    assert_true((p[2].block + 2 * SIMILARITY_TILE) * dim[2] * row > bytes);
    for (int l = 0; l < 5; l++) assert_true(l == 2 || (p[l].number == 0 && p[l].block == rows));
    /* The least there can be, and one byte less. */
    bytes = 2 * SIMILARITY_TILE * 400 * row;
    assert_int_equal(features_group(dim, 5, rows, sizeof(float), bytes, p, &groups), OK);
    assert_int_equal(p[2].block, SIMILARITY_TILE);
    assert_int_equal(features_group(dim, 5, rows, sizeof(float), bytes - 1, p, &groups), ERR_USAGE);
    assert_int_equal(features_group(dim, 5, rows, sizeof(float), -5000000, p, &groups), ERR_USAGE);
    assert_true(strstr(status_message(), "analysis.memory") != NULL);
}

static void fits_whatever_the_sizes(void **state)
{
    (void)state;
    for (uint32_t round = 0; round < 500; round++) {
        int64_t dim[MAX_LAYERS], largest = 0;
        feature_group group[MAX_LAYERS];
        int n = 1 + (int)rng_below(1, RNG_TEST, round, 0, MAX_LAYERS), groups;
        int rows = 1 + (int)rng_below(1, RNG_TEST, round, 1, 12000);
        for (int l = 0; l < n; l++) {
            dim[l] = 1 + rng_below(1, RNG_TEST, round, 2 + (uint64_t)l, 300000);
            if (dim[l] > largest) largest = dim[l];
        }
        int64_t least = 2 * SIMILARITY_TILE * largest * (int64_t)sizeof(float);
        int64_t bytes = least + (int64_t)(least * (double)rng_uniform(1, RNG_TEST, round, 100) * 8);
        assert_int_equal(features_group(dim, n, rows, sizeof(float), bytes, group, &groups), OK);
        assert_groups(dim, n, rows, bytes, group, groups);
        assert_int_equal(features_group(dim, n, rows, sizeof(float), INT64_MAX / 2, group, &groups), OK);
        assert_int_equal(groups, 1); /* one pass where there is room for all */
    }
}

/* resnet101 at 10,000 images, 6 GB of which a net and its batch leave 5.4: the largest layers go in two
 * blocks, of most others two share a pass. */
static void resnet101_in_six_gigabytes(void **state)
{
    (void)state;
    int64_t dim[34];
    feature_group group[34];
    int n = 0, groups;
    dim[n++] = 65536;
    while (n < 4) dim[n++] = 262144;
    while (n < 8) dim[n++] = 131072;
    while (n < 31) dim[n++] = 65536;
    while (n < 34) dim[n++] = 32768;
    assert_int_equal(features_group(dim, n, 10000, sizeof(float), 5400000000, group, &groups), OK);
    assert_groups(dim, n, 10000, 5400000000, group, groups);
    for (int l = 1; l < 4; l++) assert_int_equal(group[l].block, 4608);
    assert_int_equal(groups, 20);
    /* In int8 every layer fits, and several share a pass. */
    assert_int_equal(features_group(dim, n, 10000, 1, 5400000000, group, &groups), OK);
    for (int l = 0; l < n; l++) assert_int_equal(group[l].block, 10000);
    assert_int_equal(groups, 6);
}

static void too_little(void **state)
{
    (void)state;
    const int64_t dim[] = { 10, 100000 };
    feature_group group[2];
    int groups;
    assert_int_equal(features_group(dim, 2, 5000, sizeof(float), 400000000, group, &groups), ERR_USAGE);
    assert_non_null(strstr(status_message(), "analysis.memory: a layer of 100000 values"));
    assert_int_equal(features_group(dim, 2, 100, sizeof(float), 400000000, group, &groups),
                     OK); /* fewer rows fit */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(layers_share_passes_where_they_fit),
        cmocka_unit_test(fits_whatever_the_sizes),
        cmocka_unit_test(resnet101_in_six_gigabytes),
        cmocka_unit_test(too_little),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
