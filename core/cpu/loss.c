/* core/cpu/loss.c -- softmax cross-entropy with label smoothing: OP_LOSS. There are few logits, so all arithmetic is in
 * double, and backward recomputes the softmax instead of keeping it. */
#include "cpu.h"

#include <math.h>

typedef struct loss_plan {
    cpu_plan base;
    size_t logits_at; /* in scratch */
} loss_plan;

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

/* The logits as f32: x itself, or a converted copy in scratch behind the losses of the rows. */
static const float *logits(const cpu_plan *p, const op_args *a)
{
    const layout from = layout_of(p->op.x, p->op.type);
    if (from.type == F32) return a->x;
    float *copy = at_offset(a->scratch, ((loss_plan *)p)->logits_at);
    layout_convert(p->op.x, a->x, from, copy, (layout){ from.block, F32 }, false);
    return copy;
}

static status loss_forward(cpu_plan *base, const op_args *a)
{
    const op *o = &base->op;
    const int classes = o->x.c;
    const float *x = logits(base, a);
    double *rows = a->scratch; /* added in order afterwards: the same sum for any number of threads */
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

/* dx = (softmax(x) - t) / rows; 0 in rows without a label. */
static void row_gradient(const op *o, const float *x, int label, int64_t rows, void *dx, int64_t first,
                         bool add)
{
    const loss_desc *d = &o->loss;
    const int classes = o->x.c;
    const double lse = label < 0 ? 0 : log_sum_exp(x, classes);
    for (int c = 0; c < classes; c++) {
        double g = 0;
        if (label >= 0) {
            double t = (c == label ? 1 - (double)d->smoothing : 0) + (double)d->smoothing / classes;
            g = (exp(x[c] - lse) - t) / (double)rows;
        }
        if (add) g += value_get(dx, first + c, o->type);
        value_set(dx, first + c, o->type, (float)g, false);
    }
}

static status loss_backward(cpu_plan *base, const op_args *a)
{
    const op *o = &base->op;
    const int classes = o->x.c;
    int64_t rows = 0;
    if (!a->dx) return OK;
    const float *x = logits(base, a);
    for (int n = 0; n < o->x.n; n++) rows += a->label[n] >= 0;
#pragma omp parallel for schedule(static)
    for (int n = 0; n < o->x.n; n++) {
        const int64_t first = (int64_t)n * classes;
        row_gradient(o, x + first, a->label[n], rows, a->dx, first, a->dx_add);
    }
    return OK;
}

status cpu_loss_plan(cpu *c, const op *o, cpu_plan **out, op_needs *needs)
{
    status st = OK;
    TRY(cpu_plan_new(c, o, sizeof(loss_plan), loss_forward, loss_backward, out));
    cpu_reserve(&needs->scratch, sizeof(double) * (size_t)o->x.n);
    if (o->type != F32)
        ((loss_plan *)*out)->logits_at =
            cpu_reserve(&needs->scratch, sizeof(float) * (size_t)shape_count(o->x));
    needs->backward_x = o->training;
out:
    return st;
}
