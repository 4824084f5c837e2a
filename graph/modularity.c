/* graph/modularity.c -- [Yang23] eq. 3-5 on the |E| most similar pairs, [Lu22] on k nearest neighbours; the
 * readings of docs/definitions.md. Double precision throughout. */
#include "modularity.h"

#include <math.h>
#include <stdlib.h>

/* The strength s_i is the sum of the weights at vertex i. Also counts isolated vertices and the ends of edges by
 * class. */
static status strengths(const edge_list *e, int n, const int32_t *label, double *s, yang_result *y)
{
    status st = OK;
    bool *touched;
    TRY_ALLOC(touched, calloc((size_t)n + 1, 1));
    double end = e->n ? 0.5 / (double)e->n : 0;
    for (int64_t k = 0; k < e->n; k++) {
        edge x = e->edge[k];
        s[x.i] += x.sim;
        s[x.j] += x.sim;
        touched[x.i] = touched[x.j] = true;
        y->class_share[label[x.i]] += end;
        y->class_share[label[x.j]] += end;
    }
    for (int i = 0; i < n; i++) y->isolated += !touched[i];
    free(touched);
out:
    return st;
}

/* AQ = 1/2S sum over AS of (sim_ij - s_i s_j / 2S), EQ the same over ES; r = |AS|/|E|, M = r AQ (1 - EQ). */
static void sum_edges(const edge_list *e, const int32_t *label, const double *s, double two_s, double ways,
                      yang_result *y)
{
    double within = 0, between = 0;
    for (int64_t k = 0; k < e->n; k++) {
        edge x = e->edge[k];
        double term = x.sim - s[x.i] * s[x.j] / two_s;
        bool correct = label[x.i] == label[x.j];
        y->correct += correct;
        *(correct ? &within : &between) += term;
    }
    y->r = (double)y->correct / (double)e->n;
    y->AQ = ways * within / two_s;
    y->EQ = ways * between / two_s;
    y->M = y->r * y->AQ * (1 - y->EQ);
    y->min_sim = e->edge[e->n - 1].sim;
}

status yang_modularity(const edge_list *e, int n, const int32_t *label, int classes, norm_kind norm,
                       yang_result *out)
{
    status st = OK;
    double *s = NULL, sum = 0;
    yang_result y = { .r = NAN, .AQ = NAN, .EQ = NAN, .M = NAN, .min_sim = NAN, .n_classes = classes };
    TRY_ALLOC(y.class_share, calloc((size_t)classes + 1, sizeof(double)));
    TRY_ALLOC(s, calloc((size_t)n + 1, sizeof(double)));
    TRY(strengths(e, n, label, s, &y));
    for (int i = 0; i < n; i++) sum += s[i];
    double two_s = norm == NORM_NEWMAN ? sum : 2 * sum;
    if (two_s == 0) two_s = NAN; /* defined: no weight, no modularity */
    if (e->n > 0) sum_edges(e, label, s, two_s, norm == NORM_NEWMAN ? 2 : 1, &y);
    *out = y;
    y.class_share = NULL;
out:
    free(y.class_share);
    free(s);
    return st;
}

/* A_ij = the entry j that row i keeps, W = (A + A^T) / 2. W is not stored: every kept entry adds half its value to d_i
 * and half to d_j, and, as L_c counts W_ij once for i < j, half to L_c. */
status lu_modularity(const neighbour_list *kept, int n, const int32_t *label, int classes, double *out)
{
    status st = OK;
    double *L, *K, two_m = 0, Q = 0;
    TRY_ALLOC(L, calloc((size_t)classes * 2 + 1, sizeof(double)));
    K = L + classes;
    for (int i = 0; i < n; i++) {
        for (int p = 0; p < kept->k; p++) {
            neighbour e = kept->neighbour[(int64_t)i * kept->k + p];
            if (e.j < 0) continue;
            two_m += e.sim;
            K[label[i]] += 0.5 * e.sim;
            K[label[e.j]] += 0.5 * e.sim;
            if (label[i] == label[e.j]) L[label[i]] += 0.5 * e.sim;
        }
    }
    for (int c = 0; c < classes; c++) Q += L[c] / (two_m / 2) - (K[c] / two_m) * (K[c] / two_m);
    *out = two_m == 0 ? NAN : Q;
out:
    free(L);
    return st;
}

void lu_summary(lu_result *u)
{
    double sum = 0, squares = 0;
    for (int b = 0; b < u->n; b++) sum += u->Q[b];
    u->mean = sum / u->n;
    for (int b = 0; b < u->n; b++) squares += (u->Q[b] - u->mean) * (u->Q[b] - u->mean);
    u->sd = u->n > 1 ? sqrt(squares / (u->n - 1)) : 0;
    if (isnan(u->mean)) u->mean = u->sd = NAN; /* without the sign that 0/0 leaves */
}
