/* tools/check/opcheck_data.c -- the inputs of opcheck: random, but away from where a derivative jumps. On a kink of
 * ReLU, or where values of a pooling window tie, two correct answers may differ. */
#include "opcheck.h"

#include "../../core/base/rng.h"
#include "../../core/device/fusion.h"
#include "../../layers/layer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Each array has its own random numbers. */
enum { DATA_X = 1, DATA_Z, DATA_DY, DATA_DX0, DATA_DZ0, DATA_CHANNEL, DATA_LABEL, DATA_PARAM };

enum { KINK_ROUNDS = 1000 };

/* The nearest value that the data of this run may hold. */
static float representable(const opcheck_options *opt, double v)
{
    return opt->bf16_data ? bf16_to(bf16_from((float)v)) : (float)v;
}

static double uniform(const opcheck_options *opt, uint32_t array, int64_t i, double low, double high)
{
    return low + (high - low) * rng_uniform(opt->seed, RNG_TEST, array, (uint64_t)i);
}

static status fill(const opcheck_options *opt, uint32_t array, int64_t n, double low, double high,
                   float **out)
{
    status st = OK;
    TRY_ALLOC(*out, malloc((size_t)n * sizeof **out));
    for (int64_t i = 0; i < n; i++) (*out)[i] = representable(opt, uniform(opt, array, i, low, high));
out:
    return st;
}

/* A parameter in [low, high). Parameters are f32 on every backend: only weights are rounded (fill_weight). */
static status fill_param(const opcheck_options *opt, int index, int64_t n, double low, double high,
                         opcheck_result *r)
{
    opcheck_options exact = *opt;
    exact.bf16_data = false;
    r->n_param[index] = n;
    return fill(&exact, DATA_PARAM + (uint32_t)index, n, low, high, &r->param[index]);
}

/* Weights such that outputs are of the order of `size`. */
static status fill_weight(const opcheck_options *opt, int index, const param_spec *s, double size,
                          opcheck_result *r)
{
    const double limit = size * 3 / sqrt((double)s->fan_in);
    r->n_param[index] = param_count(s);
    return fill(opt, DATA_PARAM + (uint32_t)index, r->n_param[index], -limit, limit, &r->param[index]);
}

/* Gamma, beta, mean and variance of C channels. */
static status fill_normalisation(const op *o, const opcheck_options *opt, int index, opcheck_result *r)
{
    status st = OK;
    const int C = o->x.c;
    const bool six = o->bnact.act == ACT_RELU6; /* values below 0, inside, and above 6 */
    TRY(fill_param(opt, index, C, six ? 2 : 0.5, six ? 5 : 1.5, r));
    TRY(fill_param(opt, index + 1, C, six ? 1 : -0.5, six ? 4 : 0.5, r));
    TRY(fill_param(opt, index + 2, C, -1, 1, r));
    TRY(fill_param(opt, index + 3, C, 0.5, 1.5, r));
    for (int c = 1; c < C; c += 3) r->param[index][c] = -r->param[index][c]; /* gamma of both signs */
out:
    return st;
}

/* The parameters of a layer, from param[index] on. */
static status fill_params(const op *o, const opcheck_options *opt, int index, opcheck_result *r)
{
    status st = OK;
    param_spec spec[OP_MAX_PARAMS];
    const int n = layer_params(o, spec);
    const bool six = o->kind == OP_LINEAR && o->linear.act == ACT_RELU6;
    if (o->kind == OP_BNACT) return fill_normalisation(o, opt, index, r);
    for (int i = 0; i < n; i++) {
        if (spec[i].rank > 1)
            TRY(fill_weight(opt, index + i, &spec[i], six ? 4 : 1, r));
        else
            TRY(fill_param(opt, index + i, param_count(&spec[i]), six ? 1 : -1, six ? 5 : 1, r));
    }
out:
    return st;
}

static int count_trainable(const op *o)
{
    param_spec spec[OP_MAX_PARAMS];
    const int n = layer_params(o, spec);
    int trainable = 0;
    for (int i = 0; i < n; i++) trainable += spec[i].trainable;
    return trainable;
}

static bool adds_z(const op *o)
{
    return o->kind == OP_BNACT && o->bnact.add;
}

/* Where to move v if it is closer than `margin` to a kink of the activation; else v. */
static double off_kink(activation act, double margin, double v)
{
    if (act != ACT_NONE && fabs(v) < margin) return copysign(2 * margin, v);
    if (act == ACT_RELU6 && fabs(v - 6) < margin) return 6 + copysign(2 * margin, v - 6);
    return v;
}

/* The index of the j-th of the N*H*W values of channel c. */
static int64_t in_channel(shape4 s, int c, int64_t j)
{
    const int64_t HW = (int64_t)s.h * s.w;
    return (j / HW * s.c + c) * HW + j % HW;
}

/* One pass over channel c; returns how many values it had to move. Without z it moves x, which changes the statistics:
 * the caller repeats until nothing moves. */
static int move_off_kinks(const op *o, const opcheck_options *opt, int c, opcheck_result *r)
{
    const int64_t m = shape_count(o->x) / o->x.c;
    double mean = 0, var = 0;
    int moved = 0;

    for (int64_t j = 0; j < m; j++) mean += r->x[in_channel(o->x, c, j)] / (double)m;
    for (int64_t j = 0; j < m; j++) var += pow(r->x[in_channel(o->x, c, j)] - mean, 2) / (double)m;

    if (o->bnact.frozen) {
        mean = r->param[2][c];
        var = r->param[3][c];
    }
    const double slope = r->param[0][c] / sqrt(var + o->bnact.eps);
    for (int64_t j = 0; j < m; j++) {
        const int64_t i = in_channel(o->x, c, j);
        const double v = slope * (r->x[i] - mean) + r->param[1][c] + (r->z ? r->z[i] : 0);
        const double to = off_kink(o->bnact.act, opt->margin, v);
        if (to == v) continue;
        moved++;
        if (r->z) {
            r->z[i] = representable(opt, r->z[i] + to - v);
        } else {
            r->x[i] = representable(opt, r->x[i] + (to - v) / slope);
        }
    }
    return moved;
}

/* Gives each channel of x a mean and a scale of its own. */
static void spread_channels(const op *o, const opcheck_options *opt, opcheck_result *r)
{
    const int64_t HW = (int64_t)o->x.h * o->x.w;
    for (int64_t i = 0; i < r->n_x; i++) {
        const int64_t c = i / HW % o->x.c;
        r->x[i] = representable(opt, uniform(opt, DATA_CHANNEL, 2 * c, -1, 1) +
                                         r->x[i] * uniform(opt, DATA_CHANNEL, 2 * c + 1, 0.5, 2));
    }
}

static status adjust_bnact(const op *o, const opcheck_options *opt, opcheck_result *r)
{
    status st = OK;
    spread_channels(o, opt, r);
    for (int c = 0; o->training && c < o->x.c; c++) {
        int rounds = 0;
        while (move_off_kinks(o, opt, c, r)) {
            if (++rounds == KINK_ROUNDS) FAIL(ERR_RUNTIME, "opcheck: no data keep the margin");
        }
    }
out:
    return st;
}

/* In each plane distinct values, 0.25 apart, in random order; with ties, only five values. */
static status adjust_pool(const op *o, const opcheck_options *opt, opcheck_result *r)
{
    status st = OK;
    const int HW = o->x.h * o->x.w;
    int *order = NULL;
    if (o->pool.kind != POOL_MAX) goto out;

    TRY_ALLOC(order, malloc((size_t)HW * sizeof *order));
    for (int nc = 0; nc < o->x.n * o->x.c; nc++) {
        rng_permutation(opt->seed, RNG_TEST, DATA_PARAM + (uint32_t)nc, HW, order);
        for (int i = 0; i < HW; i++) {
            float *x = &r->x[(int64_t)nc * HW + i];
            *x = opt->ties ? roundf(2 * *x) : representable(opt, 0.25 * (order[i] - HW / 2));
        }
    }
out:
    free(order);
    return st;
}

/* A bias moves all values of its column: it moves on until the whole column keeps the margin. */
static status move_bias_off_kinks(const op *o, const opcheck_options *opt, int k, opcheck_result *r)
{
    const int64_t D = shape_image(o->x);
    float *bias = &r->param[1][k];

    for (int round = 0; round < KINK_ROUNDS; round++) {
        bool moved = false;
        for (int n = 0; n < o->x.n && !moved; n++) {
            double v = *bias;
            for (int64_t i = 0; i < D; i++) v += (double)r->param[0][k * D + i] * r->x[n * D + i];
            moved = off_kink(o->linear.act, opt->margin, v) != v;
        }
        if (!moved) return OK;
        *bias += opt->margin;
    }
    return status_set(ERR_RUNTIME, __FILE__, __LINE__, "opcheck: no data keep the margin");
}

static status adjust_linear(const op *o, const opcheck_options *opt, opcheck_result *r)
{
    status st = OK;
    for (int k = 0; o->linear.act != ACT_NONE && k < o->linear.out; k++)
        TRY(move_bias_off_kinks(o, opt, k, r));
out:
    return st;
}

/* Labels. Every second row is classified right, so that the number of correct rows is a real check. */
static status adjust_loss(const op *o, const opcheck_options *opt, opcheck_result *r)
{
    status st = OK;
    const int C = o->x.c;
    TRY_ALLOC(r->label, malloc((size_t)o->x.n * sizeof *r->label));
    for (int n = 0; n < o->x.n; n++) {
        float *x = &r->x[n * C];
        int best = 0;
        for (int c = 0; opt->ties && c < C; c++) x[c] = roundf(x[c]);
        for (int c = 1; c < C; c++)
            if (x[c] > x[best]) best = c;
        r->label[n] = best;
        if (n % 2) r->label[n] = (int)rng_below(opt->seed, RNG_TEST, DATA_LABEL, (uint64_t)n, (uint32_t)C);
        if (opt->ignored && n % opt->ignored == opt->ignored - 1) r->label[n] = -1;
    }
out:
    return st;
}

static status fill_gradients(const op *o, const opcheck_options *opt, opcheck_result *r)
{
    status st = OK;
    if (r->n_y) TRY(fill(opt, DATA_DY, r->n_y, -1, 1, &r->dy));
    TRY(fill(opt, DATA_DX0, r->n_x, -1, 1, &r->dx0));
    if (adds_z(o)) TRY(fill(opt, DATA_DZ0, r->n_x, -1, 1, &r->dz0));
out:
    return st;
}

/* Layers whose derivative jumps somewhere, or whose data are not all random. Others take what is there. */
static status (*const adjust[OP_KINDS])(const op *, const opcheck_options *, opcheck_result *) = {
    [OP_BNACT] = adjust_bnact,
    [OP_POOL] = adjust_pool,
    [OP_LINEAR] = adjust_linear,
    [OP_LOSS] = adjust_loss,
};

status opcheck_prepare(const op_problem *p, const opcheck_options *options, opcheck_result *out)
{
    status st = OK;
    const op *o = &p->op, *last = problem_last(p);
    const double range = o->kind == OP_LOSS ? 3 : 1;
    opcheck_options opt = *options;
    if (opt.margin == 0) opt.margin = 1e-3f;

    *out = (opcheck_result){ .n_x = shape_count(o->x),
                             .n_y = last->kind == OP_LOSS ? 0 : shape_count(last->y),
                             .n_grads = count_trainable(o) };
    TRY(fill(&opt, DATA_X, out->n_x, -range, range, &out->x));
    if (adds_z(last)) TRY(fill(&opt, DATA_Z, out->n_y, -2, 2, &out->z));
    TRY(fill_params(o, &opt, 0, out));
    if (p->fused) TRY(fill_params(last, &opt, FUSED_PARAM, out));
    if (adjust[o->kind]) TRY(adjust[o->kind](o, &opt, out));
    if (opt.backward) TRY(fill_gradients(last, &opt, out));
out:
    if (st != OK) opcheck_free(out);
    return st;
}
