/* core/cpu/bnact.c -- batch normalisation, optional addition, activation: OP_BNACT. Fused with the max pooling behind it
 * (bnact_pool.h), forward saves a pass over what lies between, and backward two.
 *
 * The cost is memory traffic, so the passes over the tensors are counted: forward in training reads x
 * twice (statistics, then normalise) and z once, writes y once; backward reads x and dy twice and writes
 * dx (and dz) once. The sign of the activation is kept as one bit per value. y can be recomputed from x: that
 * reads x and writes y once more, and saves keeping y from forward to backward.
 *
 * Statistics. Over the m = N*H*W values of a channel, each run of RUN pixels is summed in float relative
 * to its own first pixel k: e = sum (x - k), q = sum (x - k)^2; the runs are put together in double:
 *     sum x = sum (n k + e)        sum x^2 = sum (n k^2 + 2 k e + q)
 * so a mean that is large beside the deviation costs no accuracy. The mean is used as float + rest, and
 * the rest goes into the additive constants.
 *
 * Determinism: the images are cut into a fixed number of groups, each summed by one thread, and the
 * groups are added in order. The result does not even depend on the number of threads. */
#include "bnact_pool.h"
#include "cpu.h"

#include <math.h>

enum { RUN = 128, MAX_GROUPS = 64 };

/* Per channel, padded to whole blocks; from forward to backward. */
typedef struct channel_stats {
    float *mean, *mean_rest, *invstd; /* mean + mean_rest is the mean to about 48 bits */
} channel_stats;

typedef struct bnact_plan {
    cpu_plan base;
    const bnact_desc *desc;
    shape4 y;                 /* of the pooling, if there is one */
    int window;               /* of the pooling; 0: none */
    windows size;             /* of y, then */
    int blocks, groups;       /* channel blocks; groups of images */
    int64_t pixels;           /* H * W */
    bool plain;               /* the values are plain NCHW: they pass through scratch */
    bool streamed;            /* results are stored past the caches */
    size_t stats_at, mask_at; /* in saved */
    size_t sums_at, a_at, b_at, c_at, x_at, z_at, y_at; /* in scratch; see backward for a, b, c */
} bnact_plan;

static int64_t padded_channels(const bnact_plan *p)
{
    return (int64_t)p->blocks * LANES;
}

static channel_stats stats_in(const bnact_plan *p, void *saved)
{
    float *s = at_offset(saved, p->stats_at);
    return (channel_stats){ s, s + padded_channels(p), s + 2 * padded_channels(p) };
}

/* The activation's bits from vector `first` of the value on; NULL where there are none. */
static lane_bits *mask_of(const bnact_plan *p, const op_args *a, int64_t first)
{
    if (!p->base.op.training || p->desc->act == ACT_NONE) return NULL;
    return (lane_bits *)at_offset(a->saved, p->mask_at) + first;
}

/* Does it normalise by the statistics of the batch? */
static bool by_batch(const op *o)
{
    return o->training && !o->bnact.frozen;
}

/* The largest of each window of a plane, and where the plane begins in y. */
static lane_bits *largest_of(const bnact_plan *p, const op_args *a, int64_t plane)
{
    return (lane_bits *)at_offset(a->saved, p->mask_at) + plane * p->pixels;
}

static void *pooled_at(const bnact_plan *p, const void *y, int64_t plane)
{
    return vector_at(y, plane * p->size.h * p->size.w, p->base.op.type);
}

static int first_image(const bnact_plan *p, int group)
{
    return (int)((int64_t)p->base.op.x.n * group / p->groups);
}

/* The two sums of a group of images over each channel: [group][2][channels]. */
static double *group_sums(const bnact_plan *p, const op_args *a, int group)
{
    return (double *)at_offset(a->scratch, p->sums_at) + 2 * group * padded_channels(p);
}

/* Adds the groups' sums, in order. */
static void total_sums(const bnact_plan *p, const op_args *a, int channel, double *first, double *second)
{
    *first = *second = 0;
    for (int g = 0; g < p->groups; g++) {
        const double *sums = group_sums(p, a, g);
        *first += sums[channel];
        *second += sums[padded_channels(p) + channel];
    }
}

/* Calls the loop over a plane with what is constant in it as constants: the type of the values and, where it pools, the
 * usual window. `p` and what follows are its further arguments. */
#define WITH_CONSTANTS(plain, pooled, p, ...)                                                                \
    do {                                                                                                     \
        const dtype type = (p)->base.op.type;                                                                \
        if (!(p)->window)                                                                                    \
            type == F32 ? plain(F32, p, __VA_ARGS__) : plain(BF16, p, __VA_ARGS__);                          \
        else if ((p)->window != 2)                                                                           \
            pooled(type, (p)->window, p, __VA_ARGS__);                                                       \
        else                                                                                                 \
            type == F32 ? pooled(F32, 2, p, __VA_ARGS__) : pooled(BF16, 2, p, __VA_ARGS__);                  \
    } while (0)

/* --- forward --- */

/* Adds sum x and sum x^2 of `n` pixels to sum[] and square[]. */
INLINED void add_moments(const void *x, int64_t n, dtype t, double *sum, double *square)
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

static void batch_moments(const bnact_plan *p, const op_args *a, const void *x, int group)
{
    double *sum = group_sums(p, a, group), *square = sum + padded_channels(p);
    memset(sum, 0, 2 * sizeof *sum * (size_t)padded_channels(p));
    for (int n = first_image(p, group); n < first_image(p, group + 1); n++)
        for (int b = 0; b < p->blocks; b++) {
            const int64_t plane = ((int64_t)n * p->blocks + b) * p->pixels;
            for (int64_t i = 0; i < p->pixels; i += RUN) {
                int64_t run = p->pixels - i < RUN ? p->pixels - i : RUN;
                if (p->base.op.type == F32)
                    add_moments(vector_at(x, plane + i, F32), run, F32, sum + b * LANES, square + b * LANES);
                else
                    add_moments(vector_at(x, plane + i, BF16), run, BF16, sum + b * LANES,
                                square + b * LANES);
            }
        }
}

/* Mean and deviation of this batch, and the running estimates. */
static void channel_from_batch(const bnact_plan *p, const op_args *a, int channel, channel_stats s)
{
    const op *o = &p->base.op;
    const double m = (double)o->x.n * (double)p->pixels, momentum = p->desc->momentum;
    float *running_mean = (float *)a->param[2] + channel, *running_var = (float *)a->param[3] + channel;
    double sum, square;
    total_sums(p, a, channel, &sum, &square);
    double mean = sum / m, var = fmax(square / m - mean * mean, 0);
    s.mean[channel] = (float)mean;
    s.mean_rest[channel] = (float)(mean - s.mean[channel]);
    s.invstd[channel] = (float)(1 / sqrt(var + p->desc->eps));
    *running_mean = (float)((1 - momentum) * *running_mean + momentum * mean);
    *running_var = (float)((1 - momentum) * *running_var + momentum * var * m / (m - 1));
}

static void channel_from_running(const bnact_plan *p, const op_args *a, int channel, channel_stats s)
{
    s.mean[channel] = a->param[2][channel];
    s.mean_rest[channel] = 0;
    s.invstd[channel] = (float)(1 / sqrt((double)a->param[3][channel] + p->desc->eps));
}

/* y = (x - mean) * a + b: a and b of each channel; 0 in the padding, so that it stays 0. recompute: by the
 * statistics that are there. */
static void affine_coefficients(const bnact_plan *p, const op_args *a, channel_stats s, bool recompute)
{
    const op *o = &p->base.op;
    float *scale = at_offset(a->scratch, p->a_at), *shift = at_offset(a->scratch, p->b_at);
    for (int c = 0; c < o->x.c; c++) {
        if (!recompute && by_batch(o))
            channel_from_batch(p, a, c, s);
        else if (!recompute)
            channel_from_running(p, a, c, s);
        scale[c] = a->param[0][c] * s.invstd[c];
        shift[c] = a->param[1][c] - s.mean_rest[c] * scale[c];
    }
    for (int64_t c = o->x.c; c < padded_channels(p); c++)
        scale[c] = shift[c] = s.mean[c] = s.mean_rest[c] = s.invstd[c] = 0;
}

/* The values of one call; NULL where absent. */
typedef struct values {
    const void *x, *z, *dy;
    void *y;
} values;

/* One plane (a block of channels of an image). */
INLINED void normalise_as(dtype t, const bnact_plan *p, const op_args *a, int64_t plane, values v,
                          channel_stats s)
{
    const int64_t pixels = p->pixels, first = plane * pixels, b = plane % p->blocks;
    const bool streamed = p->streamed;
    const activation act = p->desc->act;
    const vec mean = ((vec *)s.mean)[b];
    const vec scale = ((vec *)at_offset(a->scratch, p->a_at))[b],
              shift = ((vec *)at_offset(a->scratch, p->b_at))[b];
    const void *x = vector_at(v.x, first, t), *z = vector_at(v.z, first, t);
    void *y = vector_at(v.y, first, t);
    lane_bits *mask = mask_of(p, a, first);

    for (int64_t i = 0; i < pixels; i++) {
        vec u = (load(x, i, t) - mean) * scale + shift;
        if (z) u += load(z, i, t);
        if (mask) mask[i] = bits_of(is_active(act, u, t));
        store_result(y, i, t, activate(act, u), false, streamed);
    }
    stream_end();
}

INLINED void normalise_and_pool_as(dtype t, int window, const bnact_plan *p, const op_args *a, int64_t plane,
                                   values v, channel_stats s)
{
    const int64_t b = plane % p->blocks;
    const vec scale = ((vec *)at_offset(a->scratch, p->a_at))[b],
              shift = ((vec *)at_offset(a->scratch, p->b_at))[b];
    pool_forward_as(t, window, p->size, p->desc->act, vector_at(v.x, plane * p->pixels, t),
                    ((vec *)s.mean)[b], scale, shift, pooled_at(p, v.y, plane), largest_of(p, a, plane));
}

static void normalise(const bnact_plan *p, const op_args *a, int64_t plane, values v, channel_stats s)
{
    WITH_CONSTANTS(normalise_as, normalise_and_pool_as, p, a, plane, v, s);
}

static void compute_y(cpu_plan *base, const op_args *a, bool recompute)
{
    const bnact_plan *p = (bnact_plan *)base;
    const op *o = &base->op;
    const int64_t planes = (int64_t)o->x.n * p->blocks;
    values v = { .x = layout_in(base, o->x, a->x, LANES, at_offset(a->scratch, p->x_at)) };
    if (p->desc->add) v.z = layout_in(base, o->x, a->z, LANES, at_offset(a->scratch, p->z_at));
    if (p->window)
        v.y = layout_out(base, p->y, a->y, LANES, false, at_offset(a->scratch, p->y_at));
    else
        v.y = p->plain ? (void *)v.x : a->y; /* a converted copy is overwritten in place */
    channel_stats s = stats_in(p, o->training ? a->saved : a->scratch);

#pragma omp parallel
    {
        if (!recompute && by_batch(o)) {
#pragma omp for schedule(static)
            for (int g = 0; g < p->groups; g++) batch_moments(p, a, v.x, g);
        }
#pragma omp single
        affine_coefficients(p, a, s, recompute);
#pragma omp for schedule(static)
        for (int64_t i = 0; i < planes; i++) normalise(p, a, i, v, s);
    }
    layout_finish(base, p->y, v.y, a->y, LANES, false);
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

/* --- backward ---
 * With g = dy where the activation is active, xc = x - mean, xh = xc * invstd:
 *     dbeta = sum g     dgamma = sum g xh = invstd * sum g xc
 *     dx = gamma * invstd * (g - dbeta / m - xh * dgamma / m) = A g + B xc + C
 *     dz = g                                                                    [IS15] sec. 3 */

/* Adds sum g and sum g * (x - mean) of `n` pixels. */
INLINED void add_gradient_sums(const void *x, const void *dy, dtype t, const lane_bits *mask, int64_t n,
                               vec mean, double *sum_g, double *sum_gx)
{
    vec s0 = { 0 }, s1 = { 0 }, t0 = { 0 }, t1 = { 0 };
    int64_t i = 0;
    for (; i + 1 < n; i += 2) {
        vec g0 = load(dy, i, t), g1 = load(dy, i + 1, t);
        if (mask) g0 = masked(mask[i], g0), g1 = masked(mask[i + 1], g1);
        s0 += g0;
        s1 += g1;
        t0 += g0 * (load(x, i, t) - mean);
        t1 += g1 * (load(x, i + 1, t) - mean);
    }
    if (i < n) {
        vec g = load(dy, i, t);
        if (mask) g = masked(mask[i], g);
        s0 += g;
        t0 += g * (load(x, i, t) - mean);
    }
    const vec sum = s0 + s1, sum_x = t0 + t1;
    for (int l = 0; l < LANES; l++) {
        sum_g[l] += (double)sum[l];
        sum_gx[l] += (double)sum_x[l];
    }
}

INLINED void plane_sums_as(dtype t, const bnact_plan *p, const op_args *a, values v, int64_t plane, vec mean,
                           double *sum_g, double *sum_gx)
{
    const int64_t first = plane * p->pixels, end = first + p->pixels;
    for (int64_t i = first; i < end; i += RUN)
        add_gradient_sums(vector_at(v.x, i, t), vector_at(v.dy, i, t), t, mask_of(p, a, i),
                          end - i < RUN ? end - i : RUN, mean, sum_g, sum_gx);
}

INLINED void pooled_sums_as(dtype t, int window, const bnact_plan *p, const op_args *a, values v,
                            int64_t plane, vec mean, double *sum_g, double *sum_gx)
{
    pool_sums_as(t, window, p->size, vector_at(v.x, plane * p->pixels, t), pooled_at(p, v.dy, plane),
                 largest_of(p, a, plane), mean, sum_g, sum_gx);
}

static void plane_sums(const bnact_plan *p, const op_args *a, values v, int64_t plane, vec mean,
                       double *sum_g, double *sum_gx)
{
    WITH_CONSTANTS(plane_sums_as, pooled_sums_as, p, a, v, plane, mean, sum_g, sum_gx);
}

static void gradient_sums(const bnact_plan *p, const op_args *a, values v, int group, channel_stats s)
{
    double *sum_g = group_sums(p, a, group), *sum_gx = sum_g + padded_channels(p);
    memset(sum_g, 0, 2 * sizeof *sum_g * (size_t)padded_channels(p));
    for (int n = first_image(p, group); n < first_image(p, group + 1); n++)
        for (int b = 0; b < p->blocks; b++)
            plane_sums(p, a, v, (int64_t)n * p->blocks + b, ((vec *)s.mean)[b], sum_g + b * LANES,
                       sum_gx + b * LANES);
}

/* dgamma, dbeta, and A, B, C of dx. */
static void gradient_coefficients(const bnact_plan *p, const op_args *a, channel_stats s)
{
    const op *o = &p->base.op;
    const double per = by_batch(o) ? 1 / ((double)o->x.n * (double)p->pixels) : 0; /* frozen: B = C = 0 */
    float *A = at_offset(a->scratch, p->a_at), *B = at_offset(a->scratch, p->b_at),
          *C = at_offset(a->scratch, p->c_at);
    for (int c = 0; c < o->x.c; c++) {
        double sum_g, sum_gx, invstd = s.invstd[c], rest = s.mean_rest[c];
        total_sums(p, a, c, &sum_g, &sum_gx);
        double dgamma = invstd * (sum_gx - rest * sum_g), scale = a->param[0][c] * invstd;
        double slope = -scale * invstd * dgamma * per;
        if (a->grad[0]) a->grad[0][c] = (float)dgamma;
        if (a->grad[1]) a->grad[1][c] = (float)sum_g;
        A[c] = (float)scale;
        B[c] = (float)slope;
        C[c] = (float)(-scale * sum_g * per - slope * rest);
    }
    for (int64_t c = o->x.c; c < padded_channels(p); c++) A[c] = B[c] = C[c] = 0;
}

/* Where the gradients of one call go; NULL: not wanted. */
typedef struct gradients {
    void *dx, *dz;
    bool dx_add, dz_add;
} gradients;

INLINED void gradient_as(dtype t, const bnact_plan *p, const op_args *a, int64_t plane, values v,
                         gradients to, channel_stats s)
{
    const int64_t pixels = p->pixels, first = plane * pixels, b = plane % p->blocks;
    const bool streamed = p->streamed;
    const vec A = ((vec *)at_offset(a->scratch, p->a_at))[b], B = ((vec *)at_offset(a->scratch, p->b_at))[b];
    const vec C = ((vec *)at_offset(a->scratch, p->c_at))[b], mean = ((vec *)s.mean)[b];
    const void *x = vector_at(v.x, first, t), *dy = vector_at(v.dy, first, t);
    void *dx = vector_at(to.dx, first, t), *dz = vector_at(to.dz, first, t);
    const lane_bits *mask = mask_of(p, a, first);

    for (int64_t i = 0; i < pixels; i++) {
        vec g = load(dy, i, t);
        if (mask) g = masked(mask[i], g);
        vec d = A * g + (B * (load(x, i, t) - mean) + C);
        if (dx) store_result(dx, i, t, d, to.dx_add, streamed);
        if (dz) store_result(dz, i, t, g, to.dz_add, streamed);
    }
    stream_end();
}

INLINED void pooled_gradient_as(dtype t, int window, const bnact_plan *p, const op_args *a, int64_t plane,
                                values v, gradients to, channel_stats s)
{
    const int64_t first = plane * p->pixels, b = plane % p->blocks;
    pool_gradient_as(t, window, p->size, vector_at(v.x, first, t), pooled_at(p, v.dy, plane),
                     largest_of(p, a, plane), ((vec *)s.mean)[b], ((vec *)at_offset(a->scratch, p->a_at))[b],
                     ((vec *)at_offset(a->scratch, p->b_at))[b], ((vec *)at_offset(a->scratch, p->c_at))[b],
                     vector_at(to.dx, first, t), to.dx_add, p->streamed);
}

static void gradient(const bnact_plan *p, const op_args *a, int64_t plane, values v, gradients to,
                     channel_stats s)
{
    WITH_CONSTANTS(gradient_as, pooled_gradient_as, p, a, plane, v, to, s);
}

static status bnact_backward(cpu_plan *base, const op_args *a)
{
    const bnact_plan *p = (bnact_plan *)base;
    const op *o = &base->op;
    const int64_t planes = (int64_t)o->x.n * p->blocks;
    const values v = { .x = layout_in(base, o->x, a->x, LANES, at_offset(a->scratch, p->x_at)),
                       .dy = layout_in(base, p->y, a->dy, LANES,
                                       at_offset(a->scratch, p->window ? p->y_at : p->z_at)) };
    /* Converted copies are overwritten in place: dx over x, dz over dy. */
    const gradients to = { .dx = p->plain && a->dx ? (void *)v.x : a->dx,
                           .dz = p->plain && a->dz ? (void *)v.dy : a->dz,
                           .dx_add = a->dx_add && !p->plain,
                           .dz_add = a->dz_add && !p->plain };
    channel_stats s = stats_in(p, a->saved);

#pragma omp parallel
    {
#pragma omp for schedule(static)
        for (int g = 0; g < p->groups; g++) gradient_sums(p, a, v, g, s);
#pragma omp single
        gradient_coefficients(p, a, s);
        if (to.dx || to.dz) {
#pragma omp for schedule(static)
            for (int64_t i = 0; i < planes; i++) gradient(p, a, i, v, to, s);
        }
    }
    if (to.dx) layout_finish(base, o->x, to.dx, a->dx, LANES, a->dx_add);
    if (to.dz) layout_finish(base, o->x, to.dz, a->dz, LANES, a->dz_add);
    return OK;
}

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

/* pool: NULL, or what follows in the same pass. */
static status plan_bnact(cpu *c, const op *o, const op *pool, cpu_plan **out, op_needs *needs)
{
    status st = OK;
    TRY(cpu_plan_new(c, o, sizeof(bnact_plan), bnact_forward, bnact_backward, out));
    bnact_plan *p = (bnact_plan *)*out;
    p->base.recompute = bnact_recompute;
    p->desc = &p->base.op.bnact;
    p->y = pool ? pool->y : o->y;
    if (pool) {
        p->window = pool->pool.kernel;
        p->size = (windows){ pool->y.h, pool->y.w };
    }
    p->blocks = layout_blocks(o->x.c);
    p->groups = o->x.n < MAX_GROUPS ? o->x.n : MAX_GROUPS;
    p->pixels = (int64_t)o->x.h * o->x.w;
    p->plain = layout_block(o->x) != LANES;
    p->streamed = layout_bytes(o->x, (layout){ LANES, o->type }) >= CPU_STREAMED_BYTES;

    const size_t per_channel = sizeof(float) * (size_t)padded_channels(p);
    /* First in its buffer: saved in training, scratch otherwise. */
    p->stats_at = cpu_reserve(o->training ? &needs->saved : &needs->scratch, 3 * per_channel);
    if (o->training) {
        if (p->window || p->desc->act != ACT_NONE)
            p->mask_at =
                cpu_reserve(&needs->saved, sizeof(lane_bits) * (size_t)(o->x.n * p->blocks * p->pixels));
        p->sums_at =
            cpu_reserve(&needs->scratch, 2 * sizeof(double) * (size_t)(p->groups * padded_channels(p)));
        needs->backward_x = true;
        needs->recompute = !p->window;  /* what is pooled is small: kept */
        needs->dx_over_dy = !p->window; /* element by element, after the sums */
    }
    p->a_at = cpu_reserve(&needs->scratch, per_channel);
    p->b_at = cpu_reserve(&needs->scratch, per_channel);
    p->c_at = cpu_reserve(&needs->scratch, per_channel);
    if (p->plain) {
        p->x_at = cpu_reserve(&needs->scratch, layout_bytes(o->x, (layout){ LANES, o->type }));
        p->z_at = cpu_reserve(&needs->scratch, layout_bytes(o->x, (layout){ LANES, o->type }));
    }
    if (p->window && layout_block(p->y) != LANES)
        p->y_at = cpu_reserve(&needs->scratch, layout_bytes(p->y, (layout){ LANES, o->type }));
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
