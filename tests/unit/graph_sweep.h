/* tests/unit/graph_sweep.h -- features made by hand through a real sweep, and the whole matrix to compare
 * with. */
#ifndef CLEAVE_TESTS_GRAPH_SWEEP_H
#define CLEAVE_TESTS_GRAPH_SWEEP_H

#include "../../core/base/rng.h"
#include "../../graph/similarity.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* [rows, dim] from N(shift, 1). The caller frees. */
static inline float *random_rows(uint64_t seed, int rows, int64_t dim, float shift)
{
    float *x = malloc((size_t)rows * (size_t)dim * sizeof *x);
    assert_non_null(x);
    for (int64_t k = 0; k < rows * dim; k++) x[k] = shift + rng_normal(seed, RNG_TEST, 0, (uint64_t)k);
    return x;
}

/* Normalises x and shows all its pairs to the consumers: as one triangle (block >= rows), or block by block
 * with the rows behind a block in pieces of SIMILARITY_TILE. */
static inline void sweep(float *x, int rows, int64_t dim, int block, const similarity_consumer *consumers,
                         int n)
{
    backend *b;
    similarity_sweep g;
    assert_int_equal(ref_open(2, &b), OK);
    assert_int_equal(similarity_open(&g, b, consumers, n), OK);
    assert_int_equal(similarity_normalise(x, rows, dim, NULL), -1);
    for (int i = 0; i < rows; i += block) {
        int end = rows - i < block ? rows : i + block;
        const similarity_rows held = { x + i * dim, end - i, rows - i, i,
                                       F32 }; /* with what follows as the room behind */
        assert_int_equal(similarity_triangle(&g, held, dim), OK);
        for (int j = end; j < rows; j += SIMILARITY_TILE) {
            int count = rows - j < SIMILARITY_TILE ? rows - j : SIMILARITY_TILE;
            const similarity_rows behind = { x + j * dim, count, rows - j, j, F32 };
            assert_int_equal(similarity_rectangle(&g, held, behind, dim), OK);
        }
    }
    similarity_close(&g);
    backend_close(b);
}

/* A consumer that keeps what the others must not: sim[i * rows + j] for i < j, and how often it came. */
typedef struct whole_matrix {
    int rows;
    float *sim;
    uint8_t *seen;
} whole_matrix;

static inline status keep_tile(void *ctx, const similarity_tile *t)
{
    whole_matrix *m = ctx;
    for (int r = 0; r < t->rows; r++) {
        for (int c = similarity_tile_from(t, r); c < t->cols; c++) {
            size_t at = (size_t)(t->row0 + r) * (size_t)m->rows + (size_t)(t->col0 + c);
            m->sim[at] = t->sim[r * SIMILARITY_TILE + c];
            m->seen[at]++;
        }
    }
    return OK;
}

static inline whole_matrix matrix_open(int rows)
{
    size_t n = (size_t)rows * (size_t)rows;
    whole_matrix m = { rows, calloc(n, sizeof(float)), calloc(n, 1) };
    assert_non_null(m.sim);
    assert_non_null(m.seen);
    return m;
}

static inline void matrix_close(whole_matrix *m)
{
    free(m->sim);
    free(m->seen);
}

#endif
