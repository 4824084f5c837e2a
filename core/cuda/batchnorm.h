/* core/cuda/batchnorm.h -- batch normalisation, channel by channel: what bnact.cu and bnact_pool.cu share.
 *
 * Forward in training, and backward, take two kernels each, since no value of a channel can be computed before all of
 * its rows were seen:
 *
 *   1. sums over the rows: each block leaves partial sums of its part (sums.h)
 *   2. once more through the rows. Before that, each block adds up the parts for its channels and computes from the
 *      sums what a channel's values need: bn_line in forward, bn_slope in backward (arithmetic.h). The blocks of
 *      part 0 also store what outlives the kernel: statistics, dgamma, dbeta. */
#ifndef CLEAVE_CUDA_BATCHNORM_H
#define CLEAVE_CUDA_BATCHNORM_H

#include "sums.h"

/* `saved` begins with bn_channel [c]. */
static inline size_t bn_channels_bytes(int c)
{
    return ((size_t)c * sizeof(bn_channel) + 255) / 256 * 256;
}

static inline columns bn_columns(const bnact_args *a)
{
    return columns_of(a->type, a->m, a->c, a->multiprocessors);
}

/* Channel c by the running statistics. */
__device__ static inline bn_channel running_channel(const bnact_args &a, int c)
{
    const bn_channel s = { a.running_mean[c], 0,
                           (float)(1 / sqrt((double)a.running_var[c] + (double)a.eps)) };
    return s;
}

/* --- forward --- */

/* bnact.cu. Leaves the partial sums over x - shift and its square in `scratch`, for columns bn_columns(a). */
int bn_sums(cuda_stream, const bnact_args *);

/* What a channel's parameters are computed from, besides the sums. Read before the sums, so that the thread waits for
 * memory once instead of twice. */
typedef struct bn_given {
    float gamma, beta, shift, running_mean, running_var, bias;
} bn_given;

/* keep: the running statistics will be updated. */
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

/* The statistics of channel c from its sums; each = 1 / m. With `keep`, also stores them and updates the running
 * ones. */
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

/* Fills `tile` with the lines of the block's channels. k: the columns with which bn_sums worked. All threads of the
 * block must call it. */
template <typename W>
__device__ static inline void forward_params(columns k, const bnact_args &a, bn_line tile[TILE_CHANNELS])
{
    const int c = my_channel(k);
    if (a.training && !a.frozen) {
        const bool keep = my_part(k) == 0;
        const double each = 1 / (double)a.m;
        const bn_given none = {}, given = c >= 0 ? read_given<W>(a, c, keep) : none;
        double sum, squares;
        columns_sum(k, (const two_sums *)a.scratch, &sum, &squares);
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

/* Fills `tile` with the means by which forward normalised the block's channels. All threads of the block must call
 * it. */
__device__ static inline void known_means(columns k, const bnact_args &a, float tile[TILE_CHANNELS])
{
    const int c = my_channel(k);
    if (c >= 0) tile[threadIdx.x] = known_channel(a, c).mean_high;
    __syncthreads();
}

/* Fills `tile` with the slopes of the block's channels, from the sums of g and of g * (x - mean_high), and stores
 * dgamma and dbeta. k: the columns with which the sums were taken. All threads of the block must call it. */
__device__ static inline void backward_params(columns k, const bnact_args &a, bn_slope tile[TILE_CHANNELS])
{
    const int c = my_channel(k);
    const double each = a.frozen ? 0 : 1 / (double)a.m; /* frozen statistics do not depend on x */
    const bn_channel none = {}, s = c >= 0 ? known_channel(a, c) : none;
    const float gamma = c >= 0 ? a.gamma[c] : 0;
    double dbeta, products;
    columns_sum(k, (const two_sums *)a.scratch, &dbeta, &products);
    if (c >= 0) {
        const double dgamma = s.inv * (products - s.mean_low * dbeta);
        tile[threadIdx.x] = bn_slope_of(s, gamma, (float)(dbeta * each), (float)(dgamma * each));
        if (a.dbeta && my_part(k) == 0) a.dbeta[c] = (float)dbeta;
        if (a.dgamma && my_part(k) == 0) a.dgamma[c] = (float)dgamma;
    }
    __syncthreads();
}

#endif
