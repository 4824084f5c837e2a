/* core/cuda/bias.cu -- a bias for each channel, followed by an activation; and their gradients. */
#include "sums.h"

/* --- forward: a thread takes one vector --- */

template <typename W>
__global__ void bias_act_kernel(void *y, const float *bias, int64_t vectors, int row_vectors, activation act)
{
    FOR_EACH(i, vectors)
    {
        const int c = vector_of(i, row_vectors).vector * W::WIDTH;
        float v[W::WIDTH];
        load<W>(y, i, v);
        for (int j = 0; j < W::WIDTH; j++) v[j] = act_forward(act, v[j] + bias[c + j]);
        store<W>(y, i, v, false);
    }
}

int bias_act(cuda_stream stream, dtype type, void *y, const float *bias, int64_t m, int c, activation act)
{
#define CALL(W)                                                                                              \
    LAUNCH_FOR(bias_act_kernel<W>, m *(c / W::WIDTH), stream, y, bias, m *(c / W::WIDTH), c / W::WIDTH, act)
    return BY_WIDTH(type, c, CALL);
#undef CALL
}

/* --- backward of the activation: a thread takes one value --- */

template <typename T>
__global__ void act_backward_kernel(const T *y, const T *dy, T *dv, int64_t count, activation act)
{
    FOR_EACH(i, count) from_float(&dv[i], act_passes(act, to_float(y[i])) ? to_float(dy[i]) : 0);
}

int act_backward(cuda_stream stream, dtype type, const void *y, const void *dy, void *dv, int64_t count,
                 activation act)
{
#define CALL(T)                                                                                              \
    LAUNCH_FOR(act_backward_kernel<T>, count, stream, (const T *)y, (const T *)dy, (T *)dv, count, act)
    return BY_TYPE(type, CALL);
#undef CALL
}

/* --- gradient of the bias: the sum over the rows (columns.h, sums.h) --- */

/* Uses the first of the two sums; the second stays zero. */
template <typename W> COLUMN_KERNEL column_parts(columns k, const void *x, two_sums *partial)
{
    const int vector = my_vector(k);
    float sum[2 * W::WIDTH] = { 0 };
    add_my_rows<W>(x, rows_of(k, vector), sum);
    put_partial_sums<W::WIDTH>(k, vector, sum, partial);
}

/* One block for each tile. */
__global__ void column_totals(columns k, const two_sums *partial, float *out)
{
    double sum, none;
    const int c = my_channel(k);
    columns_sum(k, partial, &sum, &none);
    if (c >= 0) out[c] = (float)sum;
}

size_t column_sums_bytes(dtype type, int64_t m, int c, int multiprocessors)
{
    return partial_bytes(columns_of(type, m, c, multiprocessors));
}

int column_sums(cuda_stream stream, dtype type, const void *x, int64_t m, int c, float *out, void *scratch,
                int multiprocessors)
{
    const columns k = columns_of(type, m, c, multiprocessors);
#define CALL(W) LAUNCH_COLUMNS(column_parts<W>, k, stream, x, (two_sums *)scratch)
    const int error = BY_WIDTH(type, c, CALL);
#undef CALL
    return error ? error
                 : LAUNCH_BLOCKS(column_totals, (unsigned)k.tiles, columns_block(k), stream, k,
                                 (const two_sums *)scratch, out);
}
