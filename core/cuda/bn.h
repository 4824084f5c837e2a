/* core/cuda/bn.h -- batch normalisation, channel by channel: what bnact.cu and bnpool.cu share.
 *
 * Both take sums over the rows first (a partial sum for each part, columns.h), and then go through the rows again.
 * Each block of that second kernel makes statistics, or gradients of gamma and beta, of the sums of its channels;
 * those of the first part keep them. */
#ifndef CLEAVE_CUDA_BN_H
#define CLEAVE_CUDA_BN_H

#include "columns.h"

/* `saved` begins with bn_channel [c]. */
static inline size_t bn_channels_bytes(int c)
{
    return ((size_t)c * sizeof(bn_channel) + 255) / 256 * 256;
}

/* What the rows need to know of a channel. A block keeps those of its tile in shared memory, where one thread
 * prepares a channel; each thread reads those of its vector from there. */
template <typename P, int V>
__device__ static inline void my_params(columns k, const P tile[TILE_CHANNELS], P mine[V])
{
    for (int i = 0; i < V; i++) mine[i] = tile[(int)threadIdx.x % k.xs * V + i];
}

/* Channel c by the running statistics. */
__device__ static inline bn_channel running_channel(const bnact_args &a, int c)
{
    const bn_channel s = { a.running_mean[c], 0,
                           (float)(1 / sqrt((double)a.running_var[c] + (double)a.eps)) };
    return s;
}

/* --- forward --- */

/* bnact.cu: of x - shift and its square, into `scratch`, by columns_of(a->type, a->m, a->c). */
int bn_sums(cuda_stream, const bnact_args *);

/* What a channel's parameters are made of, read before the sums are there: one way to memory instead of two. */
typedef struct bn_given {
    float gamma, beta, shift, running_mean, running_var, bias;
} bn_given;

template <typename W> __device__ static inline bn_given read_given(const bnact_args &a, int c, bool keep)
{
    bn_given g = { a.gamma[c], a.beta[c], to_float(((const typename W::element *)a.x)[c]), 0, 0, 0 };
    if (keep) {
        g.running_mean = a.running_mean[c];
        g.running_var = a.running_var[c];
        if (a.shift) g.bias = a.shift[c];
    }
    return g;
}

/* Of channel c, from its sums. The statistics are the same in all blocks; `keep` in one. each: 1 / m. */
__device__ static inline bn_channel bn_statistics(const bnact_args &a, int c, const bn_given &given,
                                                  double sum, double squares, double each, bool keep)
{
    double mean, var;
    const bn_channel s = bn_from_sums(sum, squares, given.shift, each, a.eps, &mean, &var);
    if (!keep) return s;
    ((bn_channel *)a.saved)[c] = s;
    a.running_mean[c] = bn_running(given.running_mean, mean + given.bias, a.momentum);
    a.running_var[c] = bn_running(given.running_var, var * (double)a.m / (double)(a.m - 1), a.momentum);
    return s;
}

/* k: by which the sums were taken. */
template <typename W>
__device__ static inline void forward_params(columns k, const bnact_args &a, bn_line tile[TILE_CHANNELS])
{
    const int c = my_channel(k);
    if (a.training && !a.frozen) {
        const bool keep = my_part(k) == 0;
        const double each = 1 / (double)a.m;
        const bn_given none = {}, given = c >= 0 ? read_given<W>(a, c, keep) : none;
        double sum, squares;
        total_columns(k, (const two_sums *)a.scratch, &sum, &squares);
        if (c >= 0) {
            const bn_channel s = bn_statistics(a, c, given, sum, squares, each, keep);
            tile[threadIdx.x] = bn_line_of(s, given.gamma, given.beta);
        }
    } else if (c >= 0)
        tile[threadIdx.x] = bn_line_of(running_channel(a, c), a.gamma[c], a.beta[c]);
    __syncthreads();
}

/* --- backward --- */

/* Channel c as forward normalised it. */
__device__ static inline bn_channel known_channel(const bnact_args &a, int c)
{
    return a.frozen ? running_channel(a, c) : ((bn_channel *)a.saved)[c];
}

/* k: by which the sums of g and of g * (x - mean_high) were taken. */
__device__ static inline void backward_params(columns k, const bnact_args &a, bn_slope tile[TILE_CHANNELS])
{
    const int c = my_channel(k);
    const double each = a.frozen ? 0 : 1 / (double)a.m; /* frozen statistics do not move with x */
    const bn_channel none = {}, s = c >= 0 ? known_channel(a, c) : none;
    const float gamma = c >= 0 ? a.gamma[c] : 0;
    double dbeta, products;
    total_columns(k, (const two_sums *)a.scratch, &dbeta, &products);
    if (c >= 0) {
        const double dgamma = s.inv * (products - s.mean_low * dbeta);
        tile[threadIdx.x] = bn_slope_of(s, gamma, (float)(dbeta * each), (float)(dgamma * each));
        if (a.dbeta && my_part(k) == 0) a.dbeta[c] = (float)dbeta;
        if (a.dgamma && my_part(k) == 0) a.dgamma[c] = (float)dgamma;
    }
    __syncthreads();
}

#endif
