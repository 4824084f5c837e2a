/* core/cuda/bnact.cu -- batch normalisation, addition, activation: [op.h] OP_BNACT.
 *
 * forward in training: sums over the rows (x once), statistics, apply (x again, z, y).
 * backward: sums over the rows (x, dy), gradients of gamma and beta, apply (x, dy again, dx, dz).
 * Where no z was added, backward asks gamma * xh + beta again for the sign of the activation instead of
 * reading y: one tensor less to read, and y need not be kept. */
#include "columns.h"

/* The statistics of the batch, and what backward passes from its sums to its second pass. */
typedef struct grad_means {
    float g, gx; /* dbeta / m, dgamma / m */
} grad_means;

size_t bn_saved_bytes(int c)
{
    return (size_t)c * sizeof(bn_channel);
}

static size_t aligned(size_t bytes)
{
    return (bytes + 63) / 64 * 64;
}

size_t bn_scratch_bytes(dtype type, int64_t m, int c)
{
    return aligned(partial_bytes(columns_of(type, m, c))) + (size_t)c * sizeof(grad_means);
}

static grad_means *means_of(const bnact_args *a)
{
    return (grad_means *)((char *)a->scratch + aligned(partial_bytes(columns_of(a->type, a->m, a->c))));
}

/* --- forward --- */

/* Sums of x - shift and its square, shift = the first row: of squares about 0, float would lose the variance
 * where the mean is large. */
template <typename W> __global__ void bn_sums(columns k, const void *x, double *partial)
{
    const int vector = my_vector(k);
    float shift[W::WIDTH] = { 0 }, sum[W::WIDTH] = { 0 }, squares[W::WIDTH] = { 0 };
    if (vector >= 0) {
        load<W>(x, vector, shift);
        FOR_MY_ROWS(row, k)
        {
            float v[W::WIDTH];
            load<W>(x, row * k.vectors + vector, v);
            for (int i = 0; i < W::WIDTH; i++) {
                const float d = v[i] - shift[i];
                sum[i] += d;
                squares[i] += d * d;
            }
        }
    }
    add_columns<W::WIDTH>(k, vector, sum, squares, partial);
}

template <typename W> __global__ void bn_statistics(columns k, bnact_args a)
{
    double sum, squares, mean, var;
    const int c = finish_columns(k, (const double *)a.scratch, &sum, &squares);
    if (c < 0) return;
    const float shift = to_float(((const typename W::element *)a.x)[c]);
    ((bn_channel *)a.saved)[c] = bn_from_sums(sum, squares, shift, (double)k.m, a.eps, &mean, &var);
    if (a.shift) mean += a.shift[c];
    a.running_mean[c] = bn_running(a.running_mean[c], mean, a.momentum);
    a.running_var[c] = bn_running(a.running_var[c], var * (double)k.m / (double)(k.m - 1), a.momentum);
}

__device__ static inline bn_channel channel_of(const bnact_args &a, int c)
{
    if (a.training && !a.frozen) return ((const bn_channel *)a.saved)[c];
    bn_channel s = { a.running_mean[c], 0, (float)(1 / sqrt((double)a.running_var[c] + (double)a.eps)) };
    return s;
}

template <typename W> __global__ void bn_apply(columns k, bnact_args a)
{
    const int vector = my_vector(k);
    if (vector < 0) return;
    bn_channel s[W::WIDTH];
    float gamma[W::WIDTH], beta[W::WIDTH];
    for (int i = 0; i < W::WIDTH; i++) {
        const int c = vector * W::WIDTH + i;
        s[i] = channel_of(a, c);
        gamma[i] = a.gamma[c];
        beta[i] = a.beta[c];
    }
    FOR_MY_ROWS(row, k)
    {
        float v[W::WIDTH], z[W::WIDTH] = { 0 };
        load<W>(a.x, row * k.vectors + vector, v);
        if (a.z) load<W>(a.z, row * k.vectors + vector, z);
        for (int i = 0; i < W::WIDTH; i++)
            v[i] = cuda_act(a.act, bn_affine(s[i], gamma[i], beta[i], v[i]) + z[i]);
        store<W>(a.y, row * k.vectors + vector, v, false);
    }
}

template <typename W> static int forward(cuda_stream stream, const bnact_args *a)
{
    const columns k = columns_of(a->type, a->m, a->c);
    int error = 0;
    if (a->training && !a->frozen) {
        error = LAUNCH_BLOCKS(bn_sums<W>, columns_grid(k), columns_block(k), stream, k, a->x,
                              (double *)a->scratch);
        if (!error) error = LAUNCH_BLOCKS(bn_statistics<W>, finish_grid(k.c), THREADS, stream, k, *a);
    }
    if (!error) error = LAUNCH(bn_apply<W>, columns_grid(k), columns_block(k), stream, k, *a);
    return error;
}

int bn_forward(cuda_stream stream, const bnact_args *a)
{
#define CALL(W) forward<W>(stream, a)
    return BY_WIDTH(a->type, a->c, CALL);
#undef CALL
}

/* --- backward --- */

/* What a thread knows of its channels. */
template <int V> struct bn_thread {
    bn_channel s[V];
    float gamma[V], beta[V];
};

template <typename W>
__device__ static inline void bn_thread_load(const bnact_args &a, int vector, bn_thread<W::WIDTH> *t)
{
    for (int i = 0; i < W::WIDTH; i++) {
        const int c = vector * W::WIDTH + i;
        t->s[i] = channel_of(a, c);
        t->gamma[i] = a.gamma[c];
        t->beta[i] = a.beta[c];
    }
}

/* x and g = dy * act'(v) of one vector. */
template <typename W>
__device__ static inline void bn_gradient(const bnact_args &a, const bn_thread<W::WIDTH> &t, int64_t at,
                                          float x[W::WIDTH], float g[W::WIDTH])
{
    float y[W::WIDTH] = { 0 };
    load<W>(a.x, at, x);
    load<W>(a.dy, at, g);
    if (a.act == ACT_NONE) return;
    if (a.add) load<W>(a.y, at, y);
    for (int i = 0; i < W::WIDTH; i++) {
        if (!a.add)
            y[i] = rounded((const typename W::element *)0,
                           cuda_act(a.act, bn_affine(t.s[i], t.gamma[i], t.beta[i], x[i]) + 0.0f));
        g[i] = cuda_act_grad(a.act, y[i], g[i]);
    }
}

template <typename W> __global__ void bn_grad_sums(columns k, bnact_args a)
{
    const int vector = my_vector(k);
    float dbeta[W::WIDTH] = { 0 }, dgamma[W::WIDTH] = { 0 };
    if (vector >= 0) {
        bn_thread<W::WIDTH> t;
        bn_thread_load<W>(a, vector, &t);
        FOR_MY_ROWS(row, k)
        {
            float x[W::WIDTH], g[W::WIDTH];
            bn_gradient<W>(a, t, row * k.vectors + vector, x, g);
            for (int i = 0; i < W::WIDTH; i++) {
                dbeta[i] += g[i];
                dgamma[i] += g[i] * bn_xhat(t.s[i], x[i]);
            }
        }
    }
    add_columns<W::WIDTH>(k, vector, dbeta, dgamma, (double *)a.scratch);
}

__global__ void bn_grad_means(columns k, bnact_args a, grad_means *means)
{
    double dbeta, dgamma;
    const int c = finish_columns(k, (const double *)a.scratch, &dbeta, &dgamma);
    if (c < 0) return;
    if (a.dbeta) a.dbeta[c] = (float)dbeta;
    if (a.dgamma) a.dgamma[c] = (float)dgamma;
    means[c].g = a.frozen ? 0 : (float)(dbeta / (double)k.m); /* frozen statistics do not move with x */
    means[c].gx = a.frozen ? 0 : (float)(dgamma / (double)k.m);
}

template <typename W> __global__ void bn_grad_apply(columns k, bnact_args a, const grad_means *means)
{
    const int vector = my_vector(k);
    if (vector < 0) return;
    bn_thread<W::WIDTH> t;
    grad_means mean[W::WIDTH];
    bn_thread_load<W>(a, vector, &t);
    for (int i = 0; i < W::WIDTH; i++) mean[i] = means[vector * W::WIDTH + i];
    FOR_MY_ROWS(row, k)
    {
        const int64_t at = row * k.vectors + vector;
        float x[W::WIDTH], g[W::WIDTH];
        bn_gradient<W>(a, t, at, x, g);
        if (a.dz) store<W>(a.dz, at, g, a.dz_add);
        for (int i = 0; i < W::WIDTH; i++)
            x[i] = bn_dx(t.s[i], t.gamma[i], x[i], g[i], mean[i].g, mean[i].gx);
        if (a.dx) store<W>(a.dx, at, x, a.dx_add);
    }
}

template <typename W> static int backward(cuda_stream stream, const bnact_args *a)
{
    const columns k = columns_of(a->type, a->m, a->c);
    grad_means *means = means_of(a);
    int error = LAUNCH_BLOCKS(bn_grad_sums<W>, columns_grid(k), columns_block(k), stream, k, *a);
    if (!error) error = LAUNCH_BLOCKS(bn_grad_means, finish_grid(k.c), THREADS, stream, k, *a, means);
    if (!error && (a->dx || a->dz))
        error = LAUNCH(bn_grad_apply<W>, columns_grid(k), columns_block(k), stream, k, *a,
                       (const grad_means *)means);
    return error;
}

int bn_backward(cuda_stream stream, const bnact_args *a)
{
#define CALL(W) backward<W>(stream, a)
    return BY_WIDTH(a->type, a->c, CALL);
#undef CALL
}

/* --- sums alone: the gradient of a bias --- */

template <typename W> __global__ void column_parts(columns k, const void *x, double *partial)
{
    const int vector = my_vector(k);
    float sum[W::WIDTH] = { 0 }, none[W::WIDTH] = { 0 };
    if (vector >= 0) {
        FOR_MY_ROWS(row, k)
        {
            float v[W::WIDTH];
            load<W>(x, row * k.vectors + vector, v);
            for (int i = 0; i < W::WIDTH; i++) sum[i] += v[i];
        }
    }
    add_columns<W::WIDTH>(k, vector, sum, none, partial);
}

__global__ void column_totals(columns k, const double *partial, float *out)
{
    double sum, none;
    const int c = finish_columns(k, partial, &sum, &none);
    if (c >= 0) out[c] = (float)sum;
}

size_t column_sums_bytes(dtype type, int64_t m, int c)
{
    return partial_bytes(columns_of(type, m, c));
}

int column_sums(cuda_stream stream, dtype type, const void *x, int64_t m, int c, float *out, void *scratch)
{
    const columns k = columns_of(type, m, c);
#define CALL(W)                                                                                              \
    LAUNCH_BLOCKS(column_parts<W>, columns_grid(k), columns_block(k), stream, k, x, (double *)scratch)
    const int error = BY_WIDTH(type, c, CALL);
#undef CALL
    return error ? error
                 : LAUNCH_BLOCKS(column_totals, finish_grid(c), THREADS, stream, k, (const double *)scratch,
                                 out);
}
