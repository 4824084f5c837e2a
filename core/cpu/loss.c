/* core/cpu/loss.c -- softmax cross-entropy with label smoothing: [op.h] OP_LOSS. Logits are few: double
 * throughout, and backward computes the softmax again instead of keeping it. */
#include "cpu.h"

#include <math.h>

/* log sum_c exp(x_c), shifted by the maximum so that nothing overflows. */
static double log_sum_exp(const float *x, int classes)
{
    double sum = 0, max = x[0];
    for (int c = 1; c < classes; c++) max = x[c] > max ? x[c] : max;
    for (int c = 0; c < classes; c++) sum += exp(x[c] - max);
    return max + log(sum);
}

static double row_loss(const float *x, int classes, int label, double smoothing)
{
    const double lse = log_sum_exp(x, classes);
    double sum = 0;
    for (int c = 0; c < classes; c++) sum += lse - x[c];
    return (1 - smoothing) * (lse - x[label]) + smoothing / classes * sum;
}

static int first_greatest(const float *x, int classes)
{
    int best = 0;
    for (int c = 1; c < classes; c++)
        if (x[c] > x[best]) best = c;
    return best;
}

static status loss_forward(plan *base, const op_args *a)
{
    const op *o = &base->op;
    const int classes = o->x.c;
    const float *x = a->x;
    double *rows = a->scratch; /* added in order afterwards: the sum is the same for any thread count */
#pragma omp parallel for schedule(static)
    for (int n = 0; n < o->x.n; n++)
        rows[n] =
            a->label[n] < 0 ? 0 : row_loss(x + (int64_t)n * classes, classes, a->label[n], o->loss.smoothing);
    for (int n = 0; n < o->x.n; n++) {
        if (a->label[n] < 0) continue;
        a->stats->loss += rows[n];
        a->stats->correct += first_greatest(x + (int64_t)n * classes, classes) == a->label[n];
        a->stats->rows++;
    }
    return OK;
}

/* dx = (softmax(x) - t) / rows; rows of padding get 0. */
static void row_gradient(const loss_desc *d, const float *x, int classes, int label, int64_t rows, float *dx,
                         bool add)
{
    const double lse = label < 0 ? 0 : log_sum_exp(x, classes);
    for (int c = 0; c < classes; c++) {
        double g = 0;
        if (label >= 0) {
            double t = (c == label ? 1 - (double)d->smoothing : 0) + (double)d->smoothing / classes;
            g = (exp(x[c] - lse) - t) / (double)rows;
        }
        dx[c] = (float)(add ? dx[c] + g : g);
    }
}

static status loss_backward(plan *base, const op_args *a)
{
    const op *o = &base->op;
    const int classes = o->x.c;
    int64_t rows = 0;
    if (!a->dx) return OK;
    for (int n = 0; n < o->x.n; n++) rows += a->label[n] >= 0;
#pragma omp parallel for schedule(static)
    for (int n = 0; n < o->x.n; n++) {
        const int64_t first = (int64_t)n * classes;
        row_gradient(&o->loss, (const float *)a->x + first, classes, a->label[n], rows,
                     (float *)a->dx + first, a->dx_add);
    }
    return OK;
}

status cpu_loss_plan(cpu *c, const op *o, plan **out, op_needs *needs)
{
    status st = OK;
    TRY(cpu_plan_new(c, o, sizeof(plan), out));
    (*out)->forward = loss_forward;
    (*out)->backward = loss_backward;
    cpu_reserve(&needs->scratch, sizeof(double) * (size_t)o->x.n);
    needs->backward_x = o->training;
out:
    return st;
}
