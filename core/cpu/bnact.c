/* core/cpu/bnact.c -- batch normalisation, addition and activation (OP_BNACT), and with max pooling behind it in the
 * same passes (core/device/fusion.h).
 *
 *   u = gamma (x - mean) / sqrt(var + eps) + beta + z          y = act(u)            [IS15] Alg. 1, [He16] eq. 1
 *
 * Passes. Memory traffic takes most of the time. These are the passes over the tensors:
 *
 *   forward, training    1. read x: mean and var of each channel      2. read x and z, write y
 *   forward, evaluation                                               2. alone
 *   backward             3. read x and dy: two sums of each channel   4. read x and dy, write dx and dz
 *   recompute                                                         2. alone: saves keeping y until backward
 *
 * One bit per value is saved for backward: is the activation's derivative 1 there? (It is 0 elsewhere.) With the
 * pooling fused, pass 2 writes and passes 3 and 4 read a pooled tensor in place of a whole one, and what lies between
 * the two operations is never stored.
 *
 * Statistics. A channel has m = N*H*W values. A run of up to RUN pixels is summed in float, relative to the run's first
 * pixel k: e = sum (x - k), q = sum (x - k)^2. The runs are put together in double:
 *
 *   sum x = sum (n k + e)        sum x^2 = sum (n k^2 + 2 k e + q)            over runs of n pixels
 *
 * This way a mean that is large beside the deviation costs no accuracy. For the same reason the mean is kept as the sum
 * of two floats, mean + rest: the loops subtract `mean`, and `rest` goes into the constants that they add.
 *
 * Determinism. The images are divided into groups (cpu.h). One thread sums one group, and the groups are added in
 * order. So the result does not depend on the number of threads. */
#include "cpu.h"

#include <math.h>

enum { RUN = 128, MOST_WINDOW = 15 };

typedef struct bnact_plan {
    cpu_plan base;
    const bnact_desc *desc;
    shape4 y;                 /* of the pooling if there is one */
    int window;               /* of the pooling, window x window values; 0: none */
    int blocks, groups;       /* of channels; of images */
    int64_t pixels;           /* of x: H * W */
    bool plain;               /* the values are plain NCHW: they are converted in scratch */
    bool streamed;            /* results are stored past the caches */
    size_t stats_at, bits_at; /* in saved; stats in scratch if not training */
    size_t sums_at;           /* in scratch: double [group][2][channels] */
    size_t a_at, b_at,
        c_at; /* in scratch: the coefficients of pass 2 (scale, shift) or 4 (A, B, C), [channels] */
    size_t x_at, z_at, y_at; /* in scratch: values that are converted */
} bnact_plan;

/* [channels], padded to whole blocks. In training, forward saves them for backward. */
typedef struct channel_stats {
    float *mean, *mean_rest, *invstd; /* mean + mean_rest is the mean to about 48 bits */
} channel_stats;

/* One call of forward or backward, its values blocked. NULL: there is no such value, or it is not computed. */
typedef struct bnact_call {
    const bnact_plan *p;
    const op_args *a;
    channel_stats stats;
    const void *x, *z, *dy;
    void *y, *dx, *dz;
    bool dx_add, dz_add;
} bnact_call;

static int64_t padded_channels(const bnact_plan *p)
{
    return (int64_t)p->blocks * LANES;
}

static bnact_call call_of(const bnact_plan *p, const op_args *a)
{
    float *s = at_offset(p->base.op.training ? a->saved : a->scratch, p->stats_at);
    return (bnact_call){ .p = p,
                         .a = a,
                         .stats = { s, s + padded_channels(p), s + 2 * padded_channels(p) },
                         .x =
                             layout_in(&p->base, p->base.op.x, a->x, LANES, at_offset(a->scratch, p->x_at)) };
}

/* Does it normalise by the statistics of this batch? */
static bool by_batch(const op *o)
{
    return o->training && !o->bnact.frozen;
}

/* The coefficients of a block of channels. */
static inline vec coefficient(const bnact_call *c, size_t offset, int64_t block)
{
    return ((vec *)at_offset(c->a->scratch, offset))[block];
}

/* The saved bits from vector `first` of x on. */
static lane_bits *bits_at(const bnact_call *c, int64_t first)
{
    return (lane_bits *)at_offset(c->a->saved, c->p->bits_at) + first;
}

/* Without pooling: where the activation's derivative is 1. NULL: it is 1 everywhere, or there is no backward. */
static lane_bits *active_bits(const bnact_call *c, int64_t first)
{
    return c->p->base.op.training && c->p->desc->act != ACT_NONE ? bits_at(c, first) : NULL;
}

/* A plane is a block of channels of an image: p->pixels vectors of x. This is where one begins in a pooled tensor. */
static void *pooled_plane(const bnact_call *c, const void *pooled, int64_t plane)
{
    return vector_at(pooled, plane * c->p->y.h * c->p->y.w, c->p->base.op.type);
}

/* The two sums of one group of images: [2][channels]. */
static double *group_sums(const bnact_call *c, int group)
{
    return (double *)at_offset(c->a->scratch, c->p->sums_at) + 2 * group * padded_channels(c->p);
}

static void total_sums(const bnact_call *c, int channel, double *first, double *second)
{
    *first = *second = 0;
    for (int g = 0; g < c->p->groups; g++) {
        const double *sums = group_sums(c, g);
        *first += sums[channel];
        *second += sums[padded_channels(c->p) + channel];
    }
}

/* Calls a loop over a plane: `plain`, or with pooling `pooled`. The type of the values and the usual window are
 * constants in it (vec.h). */
#define FOR_TYPE_AND_WINDOW(plain, pooled, c, ...)                                                           \
    do {                                                                                                     \
        const dtype type = (c)->p->base.op.type;                                                             \
        const int window = (c)->p->window;                                                                   \
        if (!window)                                                                                         \
            FOR_TYPE(type, plain, c, __VA_ARGS__);                                                           \
        else if (window != 2)                                                                                \
            pooled(type, window, c, __VA_ARGS__);                                                            \
        else                                                                                                 \
            FOR_TYPE(type, pooled, 2, c, __VA_ARGS__);                                                       \
    } while (0)

/* ---- one plane with max pooling ----
 *
 * y = max over a window of act(u) = act(max over the window of u), since act is monotonic. The windows tile the plane:
 * each value of x is in exactly one. All that backward needs to know is which value of a window was the largest: a bit
 * per value, set for one value of a window, and for none where the activation's derivative is 0.
 *
 *   x, window 2:  | a b | c d | ...          bits:  a b e f | c d g h | ...      (a lane_bits for each vector)
 *                 | e f | g h | ...
 *
 * All loops go through x row by row, because the processor fetches ahead along one row. Window by window, which is two
 * or more rows at a time, they take twice as long. */

typedef struct windows {
    int h, w; /* of a plane of y: how many windows */
} windows;

/* The vector of x at row r and column s of window (p, q). */
INLINED int64_t in_window(windows y, int window, int p, int q, int r, int s)
{
    return ((int64_t)p * window + r) * y.w * window + q * window + s;
}

/* Windows [q0, q0 + n) of row p. bits: of the plane. best: [n], for the maxima. */
INLINED void pool_row(dtype t, int window, windows size, activation act, const void *x, vec mean, vec scale,
                      vec shift, void *y, lane_bits *bits, int p, int q0, int n, vec *best)
{
    const int values = window * window;
    const int64_t first = (int64_t)p * size.w + q0;
    for (int r = 0; r < window; r++)
        for (int i = 0; i < n; i++)
            for (int s = 0; s < window; s++) {
                const vec before = r || s ? best[i] : splat(-INFINITY);
                const vec u = (load(x, in_window(size, window, p, q0 + i, r, s), t) - mean) * scale + shift;
                const lane_bits better =
                    bits_of(~(u <= before)); /* true for NaN, so that it is seen in the loss */
                best[i] = blend(better, u, before);
                bits[(first + i) * values + r * window + s] = better;
            }
    /* So far a bit is set wherever the maximum rose. The last of them is the maximum. */
    for (int i = 0; i < n; i++) {
        lane_bits left = bits_of(is_active(act, best[i], t)); /* lanes whose bit is not found yet */
        for (int k = values - 1; k >= 0; k--) {
            lane_bits *own = &bits[(first + i) * values + k];
            const lane_bits better = *own;
            *own = left & better;
            left &= (lane_bits)~better;
        }
        store(y, first + i, t, activate(act, best[i]));
    }
}

INLINED void pool_plane(dtype t, int window, windows size, activation act, const void *x, vec mean, vec scale,
                        vec shift, void *y, lane_bits *bits)
{
    enum { AT_ONCE = 32 };
    vec best[AT_ONCE];
    for (int p = 0; p < size.h; p++)
        for (int q = 0; q < size.w; q += AT_ONCE)
            pool_row(t, window, size, act, x, mean, scale, shift, y, bits, p, q,
                     size.w - q < AT_ONCE ? size.w - q : AT_ONCE, best);
}

/* Pass 3: adds sum g and sum g (x - mean), where g is dy at the maximum of its window and 0 elsewhere. Some rows of
 * windows are summed in float. */
INLINED void pool_sums(dtype t, int window, windows size, const void *x, const void *dy,
                       const lane_bits *bits, vec mean, double *sum_g, double *sum_gx)
{
    const int values = window * window;
    vec sum = { 0 }, sum_x = { 0 };
    int terms = 0;
    for (int p = 0; p < size.h; p++) {
        for (int r = 0; r < window; r++)
            for (int q = 0; q < size.w; q++) {
                const int64_t i = (int64_t)p * size.w + q;
                for (int s = 0; s < window; s++) {
                    const vec g = masked(bits[i * values + r * window + s], load(dy, i, t));
                    sum += g;
                    sum_x += g * (load(x, in_window(size, window, p, q, r, s), t) - mean);
                }
            }
        terms += size.w;
        if (terms < RUN && p < size.h - 1) continue;
        for (int l = 0; l < LANES; l++) {
            sum_g[l] += (double)sum[l];
            sum_gx[l] += (double)sum_x[l];
        }
        sum = sum_x = splat(0);
        terms = 0;
    }
}

/* Pass 4: dx = A g + B (x - mean) + C. */
INLINED void pool_gradient(dtype t, int window, windows size, const void *x, const void *dy,
                           const lane_bits *bits, vec mean, vec A, vec B, vec C, void *dx, bool add,
                           bool streamed)
{
    const int values = window * window;
    for (int p = 0; p < size.h; p++)
        for (int r = 0; r < window; r++)
            for (int q = 0; q < size.w; q++) {
                const int64_t i = (int64_t)p * size.w + q;
                const vec Ag = A * load(dy, i, t);
                for (int s = 0; s < window; s++) {
                    const int64_t to = in_window(size, window, p, q, r, s);
                    const vec own = masked(bits[i * values + r * window + s], Ag);
                    store_result(dx, to, t, own + (B * (load(x, to, t) - mean) + C), add, streamed);
                }
            }
    if (streamed) stream_end();
}

/* ---- forward ---- */

/* Pass 1, n pixels: adds sum x and sum x^2 to sum[LANES] and square[LANES]. */
INLINED void add_moments(dtype t, const void *x, int64_t n, double *sum, double *square)
{
    const vec k = load(x, 0, t);
    vec e0 = { 0 }, e1 = { 0 }, q0 = { 0 }, q1 = { 0 }; /* two chains hide the latency of the additions */
    int64_t i = 0;
    for (; i + 1 < n; i += 2) {
        vec d0 = load(x, i, t) - k, d1 = load(x, i + 1, t) - k;
        e0 += d0;
        e1 += d1;
        q0 += d0 * d0;
        q1 += d1 * d1;
    }
    if (i < n) {
        vec d = load(x, i, t) - k;
        e0 += d;
        q0 += d * d;
    }
    const vec e = e0 + e1, q = q0 + q1;
    for (int l = 0; l < LANES; l++) {
        double kl = k[l], el = e[l];
        sum[l] += (double)n * kl + el;
        square[l] += (double)n * kl * kl + 2 * kl * el + (double)q[l];
    }
}

static void batch_moments(const bnact_call *c, int group)
{
    const bnact_plan *p = c->p;
    const int images = p->base.op.x.n;
    const dtype t = p->base.op.type;
    double *sum = group_sums(c, group), *square = sum + padded_channels(p);
    memset(sum, 0, 2 * sizeof *sum * (size_t)padded_channels(p));
    for (int n = image_group_begin(images, group); n < image_group_begin(images, group + 1); n++)
        for (int b = 0; b < p->blocks; b++) {
            const int64_t plane = ((int64_t)n * p->blocks + b) * p->pixels;
            for (int64_t i = 0; i < p->pixels; i += RUN) {
                const int64_t run = p->pixels - i < RUN ? p->pixels - i : RUN;
                FOR_TYPE(t, add_moments, vector_at(c->x, plane + i, t), run, sum + b * LANES,
                         square + b * LANES);
            }
        }
}

/* Mean and deviation of this batch, and the running estimates. */
static void channel_from_batch(const bnact_call *c, int channel)
{
    const bnact_plan *p = c->p;
    const op_args *a = c->a;
    const channel_stats s = c->stats;
    const double m = (double)p->base.op.x.n * (double)p->pixels, momentum = p->desc->momentum;
    float *running_mean = (float *)a->param[2] + channel, *running_var = (float *)a->param[3] + channel;
    double sum, square;
    total_sums(c, channel, &sum, &square);
    double mean = sum / m, var = fmax(square / m - mean * mean, 0);
    s.mean[channel] = (float)mean;
    s.mean_rest[channel] = (float)(mean - s.mean[channel]);
    s.invstd[channel] = (float)(1 / sqrt(var + p->desc->eps));
    *running_mean = (float)((1 - momentum) * *running_mean + momentum * mean);
    *running_var = (float)((1 - momentum) * *running_var + momentum * var * m / (m - 1));
}

static void channel_from_running(const bnact_call *c, int channel)
{
    const channel_stats s = c->stats;
    s.mean[channel] = c->a->param[2][channel];
    s.mean_rest[channel] = 0;
    s.invstd[channel] = (float)(1 / sqrt((double)c->a->param[3][channel] + c->p->desc->eps));
}

/* Statistics, unless forward has left them there (`recompute`), and from them scale and shift: u = (x - mean) * scale +
 * shift + z. All are 0 in the padding, which therefore stays 0. */
static void forward_coefficients(const bnact_call *c, bool recompute)
{
    const bnact_plan *p = c->p;
    const op *o = &p->base.op;
    const channel_stats s = c->stats;
    float *scale = at_offset(c->a->scratch, p->a_at), *shift = at_offset(c->a->scratch, p->b_at);
    for (int k = 0; k < o->x.c; k++) {
        if (!recompute && by_batch(o))
            channel_from_batch(c, k);
        else if (!recompute)
            channel_from_running(c, k);
        scale[k] = c->a->param[0][k] * s.invstd[k];
        shift[k] = c->a->param[1][k] - s.mean_rest[k] * scale[k];
    }
    for (int64_t k = o->x.c; k < padded_channels(p); k++)
        scale[k] = shift[k] = s.mean[k] = s.mean_rest[k] = s.invstd[k] = 0;
}

/* Pass 2, one plane. */
INLINED void plain_forward(dtype t, const bnact_call *c, int64_t plane)
{
    const int64_t pixels = c->p->pixels, first = plane * pixels, b = plane % c->p->blocks;
    const bool streamed = c->p->streamed;
    const activation act = c->p->desc->act;
    const vec mean = ((vec *)c->stats.mean)[b];
    const vec scale = coefficient(c, c->p->a_at, b), shift = coefficient(c, c->p->b_at, b);
    const void *x = vector_at(c->x, first, t), *z = vector_at(c->z, first, t);
    void *y = vector_at(c->y, first, t);
    lane_bits *active = active_bits(c, first);

    for (int64_t i = 0; i < pixels; i++) {
        vec u = (load(x, i, t) - mean) * scale + shift;
        if (z) u += load(z, i, t);
        if (active) active[i] = bits_of(is_active(act, u, t));
        store_result(y, i, t, activate(act, u), false, streamed);
    }
    stream_end();
}

INLINED void pooled_forward(dtype t, int window, const bnact_call *c, int64_t plane)
{
    const bnact_plan *p = c->p;
    const int64_t first = plane * p->pixels, b = plane % p->blocks;
    const vec scale = coefficient(c, p->a_at, b), shift = coefficient(c, p->b_at, b);
    pool_plane(t, window, (windows){ p->y.h, p->y.w }, p->desc->act, vector_at(c->x, first, t),
               ((vec *)c->stats.mean)[b], scale, shift, pooled_plane(c, c->y, plane), bits_at(c, first));
}

static void forward_plane(const bnact_call *c, int64_t plane)
{
    FOR_TYPE_AND_WINDOW(plain_forward, pooled_forward, c, plane);
}

static void compute_y(cpu_plan *base, const op_args *a, bool recompute)
{
    const bnact_plan *p = (bnact_plan *)base;
    const op *o = &base->op;
    const int64_t planes = (int64_t)o->x.n * p->blocks;
    bnact_call c = call_of(p, a);
    if (p->desc->add) c.z = layout_in(base, o->x, a->z, LANES, at_offset(a->scratch, p->z_at));
    if (p->window)
        c.y = layout_out(base, p->y, a->y, LANES, false, at_offset(a->scratch, p->y_at));
    else
        c.y = p->plain ? (void *)c.x : a->y; /* the converted copy of x is overwritten */

#pragma omp parallel
    {
        if (!recompute && by_batch(o)) {
#pragma omp for schedule(static)
            for (int g = 0; g < p->groups; g++) batch_moments(&c, g);
        }
#pragma omp single
        forward_coefficients(&c, recompute);
#pragma omp for schedule(static)
        for (int64_t i = 0; i < planes; i++) forward_plane(&c, i);
    }
    layout_finish(base, p->y, c.y, a->y, LANES, false);
}

static status bnact_forward(cpu_plan *base, const op_args *a)
{
    compute_y(base, a, false);
    return OK;
}

static status bnact_recompute(cpu_plan *base, const op_args *a)
{
    compute_y(base, a, true);
    return OK;
}

/* ---- backward ----
 *
 * g = dy where the activation's derivative is 1, else 0;  xc = x - mean;  xh = xc * invstd;  sums over the m values:
 *
 *   dbeta = sum g        dgamma = sum g xh = invstd * sum g xc        dz = g                    [IS15] sec. 3
 *   dx = gamma * invstd * (g - dbeta / m - xh * dgamma / m) = A g + B xc + C */

/* Pass 3, n pixels: adds sum g and sum g (x - mean). */
INLINED void add_gradient_sums(dtype t, const void *x, const void *dy, const lane_bits *active, int64_t n,
                               vec mean, double *sum_g, double *sum_gx)
{
    vec s0 = { 0 }, s1 = { 0 }, t0 = { 0 }, t1 = { 0 };
    int64_t i = 0;
    for (; i + 1 < n; i += 2) {
        vec g0 = load(dy, i, t), g1 = load(dy, i + 1, t);
        if (active) g0 = masked(active[i], g0), g1 = masked(active[i + 1], g1);
        s0 += g0;
        s1 += g1;
        t0 += g0 * (load(x, i, t) - mean);
        t1 += g1 * (load(x, i + 1, t) - mean);
    }
    if (i < n) {
        vec g = load(dy, i, t);
        if (active) g = masked(active[i], g);
        s0 += g;
        t0 += g * (load(x, i, t) - mean);
    }
    const vec sum = s0 + s1, sum_x = t0 + t1;
    for (int l = 0; l < LANES; l++) {
        sum_g[l] += (double)sum[l];
        sum_gx[l] += (double)sum_x[l];
    }
}

INLINED void plain_sums(dtype t, const bnact_call *c, int64_t plane, vec mean, double *sum_g, double *sum_gx)
{
    const int64_t first = plane * c->p->pixels, end = first + c->p->pixels;
    for (int64_t i = first; i < end; i += RUN)
        add_gradient_sums(t, vector_at(c->x, i, t), vector_at(c->dy, i, t), active_bits(c, i),
                          end - i < RUN ? end - i : RUN, mean, sum_g, sum_gx);
}

INLINED void pooled_sums(dtype t, int window, const bnact_call *c, int64_t plane, vec mean, double *sum_g,
                         double *sum_gx)
{
    const bnact_plan *p = c->p;
    const int64_t first = plane * p->pixels;
    pool_sums(t, window, (windows){ p->y.h, p->y.w }, vector_at(c->x, first, t),
              pooled_plane(c, c->dy, plane), bits_at(c, first), mean, sum_g, sum_gx);
}

static void plane_sums(const bnact_call *c, int64_t plane, vec mean, double *sum_g, double *sum_gx)
{
    FOR_TYPE_AND_WINDOW(plain_sums, pooled_sums, c, plane, mean, sum_g, sum_gx);
}

static void gradient_sums(const bnact_call *c, int group)
{
    const bnact_plan *p = c->p;
    const int images = p->base.op.x.n;
    double *sum_g = group_sums(c, group), *sum_gx = sum_g + padded_channels(p);
    memset(sum_g, 0, 2 * sizeof *sum_g * (size_t)padded_channels(p));
    for (int n = image_group_begin(images, group); n < image_group_begin(images, group + 1); n++)
        for (int b = 0; b < p->blocks; b++)
            plane_sums(c, (int64_t)n * p->blocks + b, ((vec *)c->stats.mean)[b], sum_g + b * LANES,
                       sum_gx + b * LANES);
}

/* dgamma, dbeta, and A, B, C of dx. With frozen statistics mean and invstd do not depend on x: B = C = 0. */
static void backward_coefficients(const bnact_call *c)
{
    const bnact_plan *p = c->p;
    const op_args *a = c->a;
    const op *o = &p->base.op;
    const channel_stats s = c->stats;
    const double per = by_batch(o) ? 1 / ((double)o->x.n * (double)p->pixels) : 0;
    float *A = at_offset(a->scratch, p->a_at), *B = at_offset(a->scratch, p->b_at),
          *C = at_offset(a->scratch, p->c_at);
    for (int k = 0; k < o->x.c; k++) {
        double sum_g, sum_gx, invstd = s.invstd[k], rest = s.mean_rest[k];
        total_sums(c, k, &sum_g, &sum_gx);
        double dgamma = invstd * (sum_gx - rest * sum_g), scale = a->param[0][k] * invstd;
        double slope = -scale * invstd * dgamma * per;
        if (a->grad[0]) a->grad[0][k] = (float)dgamma;
        if (a->grad[1]) a->grad[1][k] = (float)sum_g;
        A[k] = (float)scale;
        B[k] = (float)slope;
        C[k] = (float)(-scale * sum_g * per - slope * rest);
    }
    for (int64_t k = o->x.c; k < padded_channels(p); k++) A[k] = B[k] = C[k] = 0;
}

/* Pass 4, one plane. */
INLINED void plain_backward(dtype t, const bnact_call *c, int64_t plane)
{
    const int64_t pixels = c->p->pixels, first = plane * pixels, b = plane % c->p->blocks;
    const bool streamed = c->p->streamed, dx_add = c->dx_add, dz_add = c->dz_add;
    const vec A = coefficient(c, c->p->a_at, b), B = coefficient(c, c->p->b_at, b);
    const vec C = coefficient(c, c->p->c_at, b), mean = ((vec *)c->stats.mean)[b];
    const void *x = vector_at(c->x, first, t), *dy = vector_at(c->dy, first, t);
    void *dx = vector_at(c->dx, first, t), *dz = vector_at(c->dz, first, t);
    const lane_bits *active = active_bits(c, first);

    for (int64_t i = 0; i < pixels; i++) {
        vec g = load(dy, i, t);
        if (active) g = masked(active[i], g);
        vec d = A * g + (B * (load(x, i, t) - mean) + C);
        if (dx) store_result(dx, i, t, d, dx_add, streamed);
        if (dz) store_result(dz, i, t, g, dz_add, streamed);
    }
    stream_end();
}

INLINED void pooled_backward(dtype t, int window, const bnact_call *c, int64_t plane)
{
    const bnact_plan *p = c->p;
    const int64_t first = plane * p->pixels, b = plane % p->blocks;
    pool_gradient(t, window, (windows){ p->y.h, p->y.w }, vector_at(c->x, first, t),
                  pooled_plane(c, c->dy, plane), bits_at(c, first), ((vec *)c->stats.mean)[b],
                  coefficient(c, p->a_at, b), coefficient(c, p->b_at, b), coefficient(c, p->c_at, b),
                  vector_at(c->dx, first, t), c->dx_add, p->streamed);
}

static void backward_plane(const bnact_call *c, int64_t plane)
{
    FOR_TYPE_AND_WINDOW(plain_backward, pooled_backward, c, plane);
}

static status bnact_backward(cpu_plan *base, const op_args *a)
{
    const bnact_plan *p = (bnact_plan *)base;
    const op *o = &base->op;
    const int64_t planes = (int64_t)o->x.n * p->blocks;
    bnact_call c = call_of(p, a);
    c.dy = layout_in(base, p->y, a->dy, LANES, at_offset(a->scratch, p->window ? p->y_at : p->z_at));
    /* Converted copies are overwritten: that of x by dx, that of dy by dz. */
    c.dx = p->plain && a->dx ? (void *)c.x : a->dx;
    c.dz = p->plain && a->dz ? (void *)c.dy : a->dz;
    c.dx_add = a->dx_add && !p->plain;
    c.dz_add = a->dz_add && !p->plain;

#pragma omp parallel
    {
#pragma omp for schedule(static)
        for (int g = 0; g < p->groups; g++) gradient_sums(&c, g);
#pragma omp single
        backward_coefficients(&c);
        if (c.dx || c.dz) {
#pragma omp for schedule(static)
            for (int64_t i = 0; i < planes; i++) backward_plane(&c, i);
        }
    }
    if (c.dx) layout_finish(base, o->x, c.dx, a->dx, LANES, a->dx_add);
    if (c.dz) layout_finish(base, o->x, c.dz, a->dz, LANES, a->dz_add);
    return OK;
}

/* ---- planning ---- */

const char *cpu_bnact_pool_unsupported(const op *bnact, const op *pool)
{
    const pool_desc *d = &pool->pool;
    if (bnact->bnact.add || d->kind != POOL_MAX) return "only bnact without z and max pool are fused";
    if (d->pad || d->stride != d->kernel || d->kernel > MOST_WINDOW) return "windows do not tile the image";
    if (pool->x.h != pool->y.h * d->kernel || pool->x.w != pool->y.w * d->kernel)
        return "windows leave a border";
    if (layout_block(bnact->x) != LANES) return "too few channels for blocks";
    return NULL;
}

/* pool: NULL, or the operation that follows in the same passes. */
static status plan_bnact(cpu *c, const op *o, const op *pool, cpu_plan **out, op_needs *needs)
{
    status st = OK;
    TRY(cpu_plan_new(c, o, sizeof(bnact_plan), bnact_forward, bnact_backward, out));
    bnact_plan *p = (bnact_plan *)*out;
    p->base.recompute = bnact_recompute;
    p->desc = &p->base.op.bnact;
    p->y = pool ? pool->y : o->y;
    p->window = pool ? pool->pool.kernel : 0;
    p->blocks = layout_blocks(o->x.c);
    p->groups = image_groups(o->x.n);
    p->pixels = (int64_t)o->x.h * o->x.w;
    p->plain = layout_block(o->x) != LANES;
    p->streamed = blocked_bytes(o->x, o->type) >= CPU_STREAMED_BYTES;

    const size_t per_channel = sizeof(float) * (size_t)padded_channels(p);
    p->stats_at = cpu_reserve(o->training ? &needs->saved : &needs->scratch, 3 * per_channel);
    if (o->training) {
        if (p->window || p->desc->act != ACT_NONE)
            p->bits_at =
                cpu_reserve(&needs->saved, sizeof(lane_bits) * (size_t)(o->x.n * p->blocks * p->pixels));
        p->sums_at =
            cpu_reserve(&needs->scratch, 2 * sizeof(double) * (size_t)(p->groups * padded_channels(p)));
        needs->backward_x = true;
        needs->recompute = !p->window;  /* a pooled y is small: it is kept */
        needs->dx_over_dy = !p->window; /* pass 4 reads each dy just before it writes the dx in its place */
    }
    p->a_at = cpu_reserve(&needs->scratch, per_channel);
    p->b_at = cpu_reserve(&needs->scratch, per_channel);
    p->c_at = cpu_reserve(&needs->scratch, per_channel);
    if (p->plain) {
        p->x_at = cpu_reserve(&needs->scratch, blocked_bytes(o->x, o->type));
        p->z_at = cpu_reserve(&needs->scratch, blocked_bytes(o->x, o->type));
    }
    if (p->window && layout_block(p->y) != LANES)
        p->y_at = cpu_reserve(&needs->scratch, blocked_bytes(p->y, o->type));
out:
    return st;
}

status cpu_bnact_plan(cpu *c, const op *o, cpu_plan **out, op_needs *needs)
{
    return plan_bnact(c, o, NULL, out, needs);
}

status cpu_bnact_pool_plan(cpu *c, const op *bnact, const op *pool, cpu_plan **out, op_needs *needs)
{
    return plan_bnact(c, bnact, pool, out, needs);
}
