/* layers/loss.c -- softmax and cross-entropy with label smoothing.
 *
 *   t[c] = (1 - smoothing) * (c == label) + smoothing / C
 *   loss of a row = - sum over c of t[c] * log softmax(x)[c],   log softmax(x)[c] = x[c] - log sum exp x
 *   loss of the batch = mean over the rows whose label is not negative
 *
 *   x [N, C, 1, 1] logits   label [N]
 *   A row whose label is -1 fills up the last, partial batch: it is not counted and has no gradient.
 *   y has the shape of x and is not stored: forward adds to op_args.stats, and backward has no dy.
 *
 * Source: [Szegedy16] sec. 7 for the smoothing.
 */
#include "loops.h"

#include <math.h>

static status infer(op *o)
{
    status st = OK;
    if (o->x.h != 1 || o->x.w != 1)
        FAIL(ERR_USAGE, "loss: logits of %dx%d pixels; expected 1x1", o->x.h, o->x.w);
    if (!(o->loss.smoothing >= 0 && o->loss.smoothing < 1))
        FAIL(ERR_USAGE, "loss: label smoothing %g is not in [0, 1)", (double)o->loss.smoothing);
    o->y = o->x;
out:
    return st;
}

static op_needs needs(const op *o)
{
    (void)o;
    return (op_needs){ .backward_x = true };
}

/* log sum exp x, with the maximum taken out so that nothing overflows. */
static double log_sum_exp(const float *x, int C)
{
    double max = x[0], sum = 0;
    for (int c = 1; c < C; c++) max = fmax(max, x[c]);
    for (int c = 0; c < C; c++) sum += exp(x[c] - max);
    return max + log(sum);
}

static double target(float smoothing, int C, int c, int label)
{
    return (1 - (double)smoothing) * (c == label) + (double)smoothing / C;
}

static int first_greatest(const float *x, int C)
{
    int best = 0;
    for (int c = 1; c < C; c++) {
        if (x[c] > x[best]) best = c;
    }
    return best;
}

/* Adds up the rows of this batch. Whoever reads the statistics divides by their number. */
static void forward(const op *o, const op_args *a)
{
    const float smoothing = o->loss.smoothing;
    const int N = o->x.n, C = o->x.c;

    for (int n = 0; n < N; n++) {
        const float *x = (const float *)a->x + (int64_t)n * C;
        const int label = a->label[n];
        if (label < 0) continue;

        const double lse = log_sum_exp(x, C);
        for (int c = 0; c < C; c++) a->stats->loss -= target(smoothing, C, c, label) * (x[c] - lse);
        a->stats->correct += first_greatest(x, C) == label;
        a->stats->rows++;
    }
}

/* loss = - sum of t[c] * (x[c] - log sum exp x), where the t[c] sum to 1
 * so dx[c] = softmax(x)[c] - t[c], divided by the number of rows because the loss of the batch is their mean. */
static void backward(const op *o, const op_args *a)
{
    const float smoothing = o->loss.smoothing;
    const int N = o->x.n, C = o->x.c;
    int rows = 0;
    if (!a->dx) return;

    for (int n = 0; n < N; n++) rows += a->label[n] >= 0;

    for (int n = 0; n < N; n++) {
        const float *x = (const float *)a->x + (int64_t)n * C;
        float *dx = (float *)a->dx + (int64_t)n * C;
        const int label = a->label[n];

        const double lse = log_sum_exp(x, C);
        for (int c = 0; c < C; c++) {
            const double g = (exp(x[c] - lse) - target(smoothing, C, c, label)) / rows;
            store(&dx[c], a->dx_add, label < 0 ? 0 : g);
        }
    }
}

/* n5c10_s0.1 */
static const layer_field fields[] = { { FIELD_FRACTION, offsetof(op, loss.smoothing), "_s" }, { 0 } };

const layer_type layer_loss = {
    .kind = OP_LOSS,
    .name = "loss",
    .infer = infer,
    .needs = needs,
    .forward = forward,
    .backward = backward,
    .tolerance = 1e-6,
    .fields = fields,
};
