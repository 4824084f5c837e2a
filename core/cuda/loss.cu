/* core/cuda/loss.cu -- softmax cross-entropy: [op.h] OP_LOSS. Logits are few: double throughout, and one
 * block adds up all rows, in an order that does not change. */
#include "device.h"

typedef struct device_stats { /* loss_stats of core/device/backend.h */
    double loss;
    int64_t correct, rows;
} device_stats;

/* log sum exp x, the maximum taken out so that nothing overflows. */
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
    const int t = (int)threadIdx.x;
    device_stats mine = { 0, 0, 0 };
    for (int row = t; row < n; row += THREADS) {
        const device_stats s = row_stats(x + (int64_t)row * c, label[row], c, smoothing);
        mine.loss += s.loss;
        mine.correct += s.correct;
        mine.rows += s.rows;
    }
    sum[t] = mine;
    __syncthreads();
    for (int half = THREADS / 2; half > 0; half /= 2) {
        if (t < half) {
            sum[t].loss += sum[t + half].loss;
            sum[t].correct += sum[t + half].correct;
            sum[t].rows += sum[t + half].rows;
        }
        __syncthreads();
    }
    if (t != 0) return;
    out->loss += sum[0].loss;
    out->correct += sum[0].correct;
    out->rows += sum[0].rows;
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

/* A thread a row; every block counts the rows with a label for itself. */
template <typename T>
__global__ void loss_backward_kernel(const T *x, const int32_t *label, T *dx, bool add, int n, int c,
                                     float smoothing)
{
    __shared__ int count[THREADS];
    const int t = (int)threadIdx.x, row = (int)(blockIdx.x * blockDim.x) + t;
    count[t] = 0;
    for (int i = t; i < n; i += THREADS) count[t] += label[i] >= 0;
    __syncthreads();
    for (int half = THREADS / 2; half > 0; half /= 2) {
        if (t < half) count[t] += count[t + half];
        __syncthreads();
    }
    if (row >= n) return;
    const T *from = x + (int64_t)row * c;
    const double lse = label[row] < 0 ? 0 : log_sum_exp(from, c);
    for (int i = 0; i < c; i++) {
        const double g =
            label[row] < 0 ? 0 : loss_grad(smoothing, c, i == label[row], to_float(from[i]), lse, count[0]);
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
