/* graph/cka.c -- centred Gram matrices of norm 1, so that CKA is a scalar product. */
#include "cka.h"

#include <math.h>
#include <stdlib.h>

static size_t triangle(int n)
{
    return (size_t)n * ((size_t)n + 1) / 2;
}

/* Index of entry (i, j), j >= i, in an upper triangle. */
static size_t entry(int n, int i, int j)
{
    return (size_t)i * (size_t)(2 * n - i - 1) / 2 + (size_t)j;
}

size_t cka_bytes(int n, int layers)
{
    return triangle(n) * (size_t)layers * sizeof(float);
}

status cka_open(cka *c, int n, int layers)
{
    status st = OK;
    *c = (cka){ .n = n, .layers = layers };
    if (n == 0) goto out;
    TRY_ALLOC(c->norm, calloc(2 * (size_t)n, sizeof *c->norm));
    TRY_ALLOC(c->k, malloc(cka_bytes(n, layers)));
    TRY_ALLOC(c->flat, calloc((size_t)layers, sizeof *c->flat));
out:
    if (st != OK) cka_close(c);
    return st;
}

void cka_close(cka *c)
{
    free(c->norm);
    free(c->k);
    free(c->flat);
    *c = (cka){ 0 };
}

static float *layer_triangle(const cka *c, int layer)
{
    return c->k + triangle(c->n) * (size_t)layer;
}

bool cka_wants(void *ctx, const similarity_tile *t)
{
    const cka *c = ctx;
    return t->row0 < c->n && t->col0 < c->n;
}

/* Stores similarities: the norms of the columns may not be known yet. */
status cka_take(void *ctx, const similarity_tile *t)
{
    cka *c = ctx;
    int cols = c->n - t->col0 < t->cols ? c->n - t->col0 : t->cols;
    for (int r = 0; r < t->rows && t->row0 + r < c->n; r++) {
        float *row = layer_triangle(c, c->layer) + entry(c->n, t->row0 + r, t->col0);
        for (int j = similarity_tile_from(t, r); j < cols; j++) row[j] = t->sim[r * SIMILARITY_TILE + j];
    }
    return OK;
}

/* K_ij = h_i . h_j = sim_ij * the divisors of both rows, and the sums of its rows. */
static void fill_kernel(const cka *c, float *k, double *sum)
{
    for (int i = 0; i < c->n; i++) sum[i] = 0;
    for (int i = 0; i < c->n; i++) {
        float *row = k + entry(c->n, i, 0);
        row[i] = (float)(c->norm[i] * c->norm[i]);
        sum[i] += row[i];
        for (int j = i + 1; j < c->n; j++) {
            row[j] = (float)(row[j] * similarity_divisor(c->norm[i]) * similarity_divisor(c->norm[j]));
            sum[i] += row[j];
            sum[j] += row[j];
        }
    }
}

/* Subtracts the means of row and column. Returns |K|^2; *centred receives |K'|^2. */
static double centre(int n, float *k, const double *sum, double *centred)
{
    double all = 0, before = 0, after = 0;
    for (int i = 0; i < n; i++) all += sum[i];
    for (int i = 0; i < n; i++) {
        float *row = k + entry(n, i, 0);
        for (int j = i; j < n; j++) {
            int times = j > i ? 2 : 1;
            double v = row[j] - sum[i] / n - sum[j] / n + all / n / n;
            before += times * (double)row[j] * row[j];
            after += times * v * v;
            row[j] = (float)v;
        }
    }
    *centred = after;
    return before;
}

void cka_layer_end(cka *c)
{
    if (c->n == 0) return;
    float *k = layer_triangle(c, c->layer);
    double centred, *sum = c->norm + c->n;
    fill_kernel(c, k, sum);
    double before = centre(c->n, k, sum, &centred);
    /* If all images are equal, K' holds only the rounding errors of float values. */
    c->flat[c->layer] = !(centred > 1e-10 * before);
    double scale = c->flat[c->layer] ? 0 : 1 / sqrt(centred);
    for (size_t e = 0; e < triangle(c->n); e++) k[e] = (float)(k[e] * scale);
}

/* <K', L'>. An entry off the diagonal stands for two of the matrix. */
static double product(const cka *c, int a, int b)
{
    const float *x = layer_triangle(c, a), *y = layer_triangle(c, b);
    double sum = 0;
    for (int i = 0; i < c->n; i++) {
        size_t first = entry(c->n, i, i);
        double row = 0;
#pragma omp simd reduction(+ : row)
        for (int j = 1; j < c->n - i; j++) row += (double)x[first + (size_t)j] * y[first + (size_t)j];
        sum += 2 * row + (double)x[first] * y[first];
    }
    return sum;
}

void cka_matrix(const cka *c, double *out)
{
#pragma omp parallel for schedule(dynamic, 1)
    for (int a = 0; a < c->layers; a++) {
        for (int b = 0; b <= a; b++) {
            double v = c->flat[a] || c->flat[b] ? NAN : product(c, a, b);
            out[a * c->layers + b] = out[b * c->layers + a] = v;
        }
    }
}
