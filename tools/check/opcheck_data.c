/* tools/check/opcheck_data.c -- the inputs of opcheck: random, but away from where a derivative jumps. A value
 * on a kink of ReLU, or a tie in a pooling window, would make two correct answers differ. */
#include "opcheck.h"

#include "../../core/base/rng.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Each array has random numbers of its own. */
enum { DATA_X = 1, DATA_Z, DATA_DY, DATA_DX0, DATA_DZ0, DATA_CHANNEL, DATA_LABEL, DATA_PARAM };

enum { KINK_ROUNDS = 1000 };

static float round_bf16(float v)
{
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    bits = (bits + 0x7fff + ((bits >> 16) & 1)) & 0xffff0000u; /* to nearest, ties to even */
    memcpy(&v, &bits, sizeof bits);
    return v;
}

/* A value as this run's data may hold it. */
static float representable(const opcheck_options *opt, double v)
{
    return opt->bf16_data ? round_bf16((float)v) : (float)v;
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

/* Parameters other than weights are f32 on every backend: never rounded. */
static status fill_param(const opcheck_options *opt, int index, int64_t n, double low, double high,
                         opcheck_result *r)
{
    opcheck_options exact = *opt;
    exact.bf16_data = false;
    r->n_param[index] = n;
    return fill(&exact, DATA_PARAM + (uint32_t)index, n, low, high, &r->param[index]);
}

/* Weights such that outputs are of the order of `size`. */
static status fill_weight(const op *o, const opcheck_options *opt, int64_t fan_in, double size,
                          opcheck_result *r)
{
    const double limit = size * 3 / sqrt((double)fan_in);
    r->n_param[0] = fan_in * o->y.c;
    return fill(opt, DATA_PARAM, r->n_param[0], -limit, limit, &r->param[0]);
}

/* If v is closer to a kink of act than margin: where to move it. Else v. */
static double off_kink(activation act, double margin, double v)
{
    if (act != ACT_NONE && fabs(v) < margin) return copysign(2 * margin, v);
    if (act == ACT_RELU6 && fabs(v - 6) < margin) return 6 + copysign(2 * margin, v - 6);
    return v;
}

static status prepare_conv(const op *o, const opcheck_options *opt, opcheck_result *r)
{
    status st = OK;
    const conv_desc d = *op_conv(o);
    TRY(fill(opt, DATA_X, r->n_x, -1, 1, &r->x));
    TRY(fill_weight(o, opt, (int64_t)o->x.c / d.groups * d.kernel * d.kernel, 1, r));
    if (d.bias) TRY(fill_param(opt, 1, d.out, -1, 1, r));
    r->n_grads = d.bias ? 2 : 1;
out:
    return st;
}

/* Gamma and beta, mean and variance of C channels: parameters first .. first + 3. */
static status fill_normalisation(const opcheck_options *opt, activation act, int C, int first,
                                 opcheck_result *r)
{
    status st = OK;
    const bool six = act == ACT_RELU6; /* values below 0, inside, and above 6 */
    TRY(fill_param(opt, first, C, six ? 2 : 0.5, six ? 5 : 1.5, r));
    TRY(fill_param(opt, first + 1, C, six ? 1 : -0.5, six ? 4 : 0.5, r));
    TRY(fill_param(opt, first + 2, C, -1, 1, r));
    TRY(fill_param(opt, first + 3, C, 0.5, 1.5, r));
    for (int c = 1; c < C; c += 3) r->param[first][c] = -r->param[first][c]; /* gamma of both signs */
out:
    return st;
}

/* Continuous, and without a backward: its values may be on kinks. */
static status prepare_conv_bnact(const op *o, const opcheck_options *opt, opcheck_result *r)
{
    status st = OK;
    const bnact_desc *d = &o->conv_bnact.bnact;
    TRY(prepare_conv(o, opt, r));
    if (d->add) TRY(fill(opt, DATA_Z, r->n_y, -2, 2, &r->z));
    TRY(fill_normalisation(opt, d->act, o->y.c, CONV_BNACT_BN, r));
    r->n_grads = 0;
out:
    return st;
}

/* Where the j-th of the N*H*W values of channel c is. */
static int64_t in_channel(shape4 s, int c, int64_t j)
{
    const int64_t HW = (int64_t)s.h * s.w;
    return (j / HW * s.c + c) * HW + j % HW;
}

/* One pass over channel c; returns how many values it had to move. Without z it moves x, and so the
 * statistics: the caller repeats until nothing moves. */
static int move_off_kinks(const op *o, const opcheck_options *opt, int c, opcheck_result *r)
{
    const int64_t m = shape_count(o->x) / o->x.c;
    double mean = 0, var = 0;
    int moved = 0;

    for (int64_t j = 0; j < m; j++) mean += r->x[in_channel(o->x, c, j)] / (double)m;
    for (int64_t j = 0; j < m; j++) var += pow(r->x[in_channel(o->x, c, j)] - mean, 2) / (double)m;

    if (op_bnact(o)->frozen) {
        mean = r->param[2][c];
        var = r->param[3][c];
    }
    const double slope = r->param[0][c] / sqrt(var + op_bnact(o)->eps);
    for (int64_t j = 0; j < m; j++) {
        const int64_t i = in_channel(o->x, c, j);
        const double v = slope * (r->x[i] - mean) + r->param[1][c] + (r->z ? r->z[i] : 0);
        const double to = off_kink(op_bnact(o)->act, opt->margin, v);
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

static status prepare_bnact(const op *o, const opcheck_options *opt, opcheck_result *r)
{
    status st = OK;
    const int C = o->x.c;
    const int64_t HW = (int64_t)o->x.h * o->x.w;

    TRY(fill(opt, DATA_X, r->n_x, -1, 1, &r->x));
    for (int64_t i = 0; i < r->n_x; i++) { /* each channel has a mean and a scale of its own */
        const int64_t c = i / HW % C;
        r->x[i] = representable(opt, uniform(opt, DATA_CHANNEL, 2 * c, -1, 1) +
                                         r->x[i] * uniform(opt, DATA_CHANNEL, 2 * c + 1, 0.5, 2));
    }
    if (op_bnact(o)->add) TRY(fill(opt, DATA_Z, r->n_x, -2, 2, &r->z));
    TRY(fill_normalisation(opt, op_bnact(o)->act, C, 0, r));
    r->n_grads = 2;

    for (int c = 0; o->training && c < C; c++) {
        int rounds = 0;
        while (move_off_kinks(o, opt, c, r)) {
            if (++rounds == KINK_ROUNDS) FAIL(ERR_RUNTIME, "opcheck: no data keep the margin");
        }
    }
out:
    return st;
}

/* Distinct values 0.25 apart in each plane, in random order; or, with ties, five values. */
static status prepare_pool(const op *o, const opcheck_options *opt, opcheck_result *r)
{
    status st = OK;
    const int HW = o->x.h * o->x.w;
    int *order = NULL;
    TRY(fill(opt, DATA_X, r->n_x, -1, 1, &r->x));
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

/* A bias moves all values of its column: it steps on until the whole column keeps the margin. */
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

static status prepare_linear(const op *o, const opcheck_options *opt, opcheck_result *r)
{
    status st = OK;
    const bool six = o->linear.act == ACT_RELU6;
    TRY(fill(opt, DATA_X, r->n_x, -1, 1, &r->x));
    TRY(fill_weight(o, opt, shape_image(o->x), six ? 4 : 1, r));
    TRY(fill_param(opt, 1, o->linear.out, six ? 1 : -1, six ? 5 : 1, r));
    r->n_grads = 2;
    if (o->linear.act == ACT_NONE) goto out;
    for (int k = 0; k < o->linear.out; k++) TRY(move_bias_off_kinks(o, opt, k, r));
out:
    return st;
}

static status prepare_loss(const op *o, const opcheck_options *opt, opcheck_result *r)
{
    status st = OK;
    const int C = o->x.c;
    TRY(fill(opt, DATA_X, r->n_x, -3, 3, &r->x));
    TRY_ALLOC(r->label, malloc((size_t)o->x.n * sizeof *r->label));
    for (int n = 0; n < o->x.n; n++) {
        if (opt->ties) {
            for (int c = 0; c < C; c++) r->x[n * C + c] = roundf(r->x[n * C + c]);
        }
        int best = 0;
        for (int c = 1; c < C; c++) {
            if (r->x[n * C + c] > r->x[n * C + best]) best = c;
        }
        /* Every second row is classified right, so that the count of them says something. */
        r->label[n] = best;
        if (n % 2) r->label[n] = (int)rng_below(opt->seed, RNG_TEST, DATA_LABEL, (uint64_t)n, (uint32_t)C);
        if (opt->ignored && n % opt->ignored == opt->ignored - 1) r->label[n] = -1;
    }
out:
    return st;
}

static status prepare_plain(const op *o, const opcheck_options *opt, opcheck_result *r)
{
    (void)o;
    return fill(opt, DATA_X, r->n_x, -1, 1, &r->x);
}

static status prepare_gradients(const op *o, const opcheck_options *opt, opcheck_result *r)
{
    status st = OK;
    if (r->n_y) TRY(fill(opt, DATA_DY, r->n_y, -1, 1, &r->dy));
    TRY(fill(opt, DATA_DX0, r->n_x, -1, 1, &r->dx0));
    if (o->kind == OP_BNACT && o->bnact.add) TRY(fill(opt, DATA_DZ0, r->n_x, -1, 1, &r->dz0));
out:
    return st;
}

status opcheck_prepare(const op *o, const opcheck_options *options, opcheck_result *out)
{
    static status (*const prepare[OP_KINDS])(const op *, const opcheck_options *, opcheck_result *) = {
        [OP_CONV] = prepare_conv,     [OP_BNACT] = prepare_bnact,           [OP_POOL] = prepare_pool,
        [OP_LINEAR] = prepare_linear, [OP_DROPOUT] = prepare_plain,         [OP_SHORTCUT] = prepare_plain,
        [OP_LOSS] = prepare_loss,     [OP_CONV_BNACT] = prepare_conv_bnact, [OP_BNACT_POOL] = prepare_bnact,
    };
    status st = OK;
    opcheck_options opt = *options;
    if (opt.margin == 0) opt.margin = 1e-3f;

    *out = (opcheck_result){ .n_x = shape_count(o->x), .n_y = o->kind == OP_LOSS ? 0 : shape_count(o->y) };
    if (!prepare[o->kind]) FAIL(ERR_RUNTIME, "there are no checks of such an operation");
    TRY(prepare[o->kind](o, &opt, out));
    if (opt.backward) TRY(prepare_gradients(o, &opt, out));
out:
    if (st != OK) opcheck_free(out);
    return st;
}
