/* core/cuda/loss.cu -- softmax cross-entropy: [op.h] OP_LOSS. A thread takes a row of logits. They are few, so all
 * arithmetic is in double, and a single block adds up the rows: their sum always has the same bits. */
#include "sums.h"

typedef struct device_stats { /* loss_stats of core/device/backend.h */
    double loss;
    int64_t correct, rows;
} device_stats;

__device__ static inline device_stats &operator+=(device_stats &to, const device_stats &s)
{
    to.loss += s.loss;
    to.correct += s.correct;
    to.rows += s.rows;
    return to;
}

/* log sum exp x. The maximum is subtracted first, so that nothing overflows. */
template <typename T> __device__ static inline double log_sum_exp(const T *x, int c)
{
    double max = to_float(x[0]), sum = 0;
    for (int i = 1; i < c; i++) max = to_float(x[i]) > max ? to_float(x[i]) : max;
    for (int i = 0; i < c; i++) sum += exp(to_float(x[i]) - max);
    return max + log(sum);
}

template <typename T> __device__ static inline int first_greatest(const T *x, int c)
{
    int best = 0;
    for (int i = 1; i < c; i++)
        if (to_float(x[i]) > to_float(x[best])) best = i;
    return best;
}

template <typename T>
__device__ static inline device_stats row_stats(const T *x, int label, int c, float smoothing)
{
    device_stats s = { 0, 0, 0 };
    if (label < 0) return s;
    const double lse = log_sum_exp(x, c);
    for (int i = 0; i < c; i++) s.loss += loss_term(smoothing, c, i == label, to_float(x[i]), lse);
    s.correct = first_greatest(x, c) == label;
    s.rows = 1;
    return s;
}

/* One block. */
template <typename T>
__global__ void loss_forward_kernel(const T *x, const int32_t *label, device_stats *out, int n, int c,
                                    float smoothing)
{
    __shared__ device_stats sum[THREADS];
    device_stats mine = { 0, 0, 0 };
    for (int row = (int)threadIdx.x; row < n; row += THREADS)
        mine += row_stats(x + (int64_t)row * c, label[row], c, smoothing);
    const device_stats all = block_sum(sum, mine);
    if (threadIdx.x == 0) *out += all;
}

int loss_forward(cuda_stream stream, dtype type, const void *x, const int32_t *label, void *stats, int n,
                 int c, float smoothing)
{
#define CALL(T)                                                                                              \
    LAUNCH_BLOCKS(loss_forward_kernel<T>, 1, THREADS, stream, (const T *)x, label, (device_stats *)stats, n, \
                  c, smoothing)
    return BY_TYPE(type, CALL);
#undef CALL
}

/* The gradient is divided by the number of rows with a label. Each block counts them all. */
template <typename T>
__global__ void loss_backward_kernel(const T *x, const int32_t *label, T *dx, bool add, int n, int c,
                                     float smoothing)
{
    __shared__ int count[THREADS];
    const int t = (int)threadIdx.x, row = (int)(blockIdx.x * blockDim.x) + t;
    int mine = 0;
    for (int i = t; i < n; i += THREADS) mine += label[i] >= 0;
    const int rows = block_sum(count, mine);
    if (row >= n) return;
    const T *from = x + (int64_t)row * c;
    const double lse = label[row] < 0 ? 0 : log_sum_exp(from, c);
    for (int i = 0; i < c; i++) {
        const double g =
            label[row] < 0 ? 0 : loss_grad(smoothing, c, i == label[row], to_float(from[i]), lse, rows);
        T *to = &dx[(int64_t)row * c + i];
        from_float(to, (float)(add ? to_float(*to) + g : g));
    }
}

int loss_backward(cuda_stream stream, dtype type, const void *x, const int32_t *label, void *dx, bool add,
                  int n, int c, float smoothing)
{
    const unsigned blocks = (unsigned)((n + THREADS - 1) / THREADS);
#define CALL(T)                                                                                              \
    LAUNCH_BLOCKS(loss_backward_kernel<T>, blocks, THREADS, stream, (const T *)x, label, (T *)dx, add, n, c, \
                  smoothing)
    return BY_TYPE(type, CALL);
#undef CALL
}
