/* core/cuda/kernels.h -- functions that launch our kernels; they are called from C. All launch on `stream` and return
 * the launch's cudaError_t, 0 if it succeeded. Values are NHWC of `type`; a row is the C channels of one pixel.
 *
 * No kernel adds floats atomically: the order of a sum depends only on the shape and, where a function is given
 * `multiprocessors` and sums over many rows, on that number. So one device computes the same bits every time, and
 * devices with different numbers of multiprocessors may differ in the last bits: of statistics and gradients in batch
 * normalisation, and of the gradients of biases and of convolution weights. Whatever a function needs in bytes is
 * asked with the same number. */
#ifndef CLEAVE_CUDA_KERNELS_H
#define CLEAVE_CUDA_KERNELS_H

#include "../device/image.h"
#include "../device/op.h"
#include "../device/tile.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct CUstream_st *cuda_stream;

/* step_scalars (core/device/backend.h) in device memory, where a recorded step reads them. */
typedef struct cuda_scalars {
    float lr, momentum, weight_decay;
    int nesterov;
    uint64_t seed, step;
} cuda_scalars;

/* --- bnact.cu: m rows of c channels --- */

typedef struct bnact_args {
    dtype type;
    int64_t m;
    int c;
    int multiprocessors;
    activation act;
    bool training, frozen; /* frozen: in training, but by the running statistics */
    float eps, momentum;
    const float *gamma, *beta;
    float *running_mean, *running_var;
    const float *shift;     /* op_args; may be NULL */
    void *saved;            /* bn_saved_bytes, from forward to backward; unused in evaluation */
    void *scratch;          /* bn_scratch_bytes */
    const void *x, *z, *dy; /* z: NULL if absent */
    void *y;                /* written by forward */
    void *dx, *dz;          /* NULL: not needed */
    bool dx_add, dz_add;
    float *dgamma, *dbeta; /* NULL: not needed */
} bnact_args;
size_t bn_saved_bytes(dtype, int64_t m, int c, activation);
size_t bn_scratch_bytes(dtype, int64_t m, int c, int multiprocessors);
int bn_forward(cuda_stream, const bnact_args *);
int bn_backward(cuda_stream, const bnact_args *);

/* --- bnact_pool.cu: bnact, then max pooling by windows of 2 x 2 with stride 2, in training --- */

size_t bn_pool_saved_bytes(int c, shape4 Y);
/* Arguments and scratch as for bn_forward; y and dy have the shape of Y, and there is no z. */
int bn_pool_forward(cuda_stream, const bnact_args *, shape4 X, shape4 Y);
int bn_pool_backward(cuda_stream, const bnact_args *, shape4 X, shape4 Y);

/* --- bias.cu: m rows of c channels --- */

/* y[row][c] = act(y[row][c] + bias[c]), in place. */
int bias_act(cuda_stream, dtype, void *y, const float *bias, int64_t m, int c, activation);
/* dv = dy * act'(v), where y = act(v). */
int act_backward(cuda_stream, dtype, const void *y, const void *dy, void *dv, int64_t count, activation);
/* The gradient of a bias: out[c] = sum over rows of x[row][c]. scratch: column_sums_bytes. */
size_t column_sums_bytes(dtype, int64_t m, int c, int multiprocessors);
int column_sums(cuda_stream, dtype, const void *x, int64_t m, int c, float *out, void *scratch,
                int multiprocessors);

/* --- depthwise.cu: 3x3, a filter for each channel, pad 1, stride 1 or 2 --- */

/* X, Y: shapes of input and output; w, dw [C][3][3] of `type`; scratch: depthwise_weights_bytes. */
int depthwise_forward(cuda_stream, dtype, const void *x, const void *w, void *y, shape4 X, shape4 Y,
                      int stride, int multiprocessors);
int depthwise_data(cuda_stream, dtype, const void *dy, const void *w, void *dx, bool add, shape4 X, shape4 Y,
                   int stride, int multiprocessors);
size_t depthwise_weights_bytes(shape4 Y, int stride, int multiprocessors);
int depthwise_weights(cuda_stream, dtype, const void *x, const void *dy, void *dw, void *scratch, shape4 X,
                      shape4 Y, int stride, int multiprocessors);

/* --- narrow.cu: 3x3, at most 32 channels of x and of y, bf16, stride 1, pad 1; for sm_80 and newer --- */

enum { NARROW_CHANNELS = 32 };
/* X: shape of x; k: channels of y; w, dw [k][3][3][X.c]; scratch: narrow_weights_bytes. */
int narrow_forward(cuda_stream, const void *x, const void *w, void *y, shape4 X, int k, int multiprocessors);
int narrow_data(cuda_stream, const void *dy, const void *w, void *dx, bool add, shape4 X, int k,
                int multiprocessors);
size_t narrow_weights_bytes(shape4 X, int multiprocessors);
int narrow_weights(cuda_stream, const void *x, const void *dy, void *dw, void *scratch, shape4 X, int k,
                   int multiprocessors);

/* --- elementwise.cu --- */

/* to = from * factor, or to += from * factor, with the factors of op.h's OP_DROPOUT. p = 0 copies. */
int dropout_apply(cuda_stream, dtype, const void *from, void *to, bool add, shape4, float p, int layer,
                  const cuda_scalars *);
int shortcut_forward(cuda_stream, dtype, const void *x, void *y, shape4 X, shape4 Y, int stride);
int shortcut_backward(cuda_stream, dtype, const void *dy, void *dx, bool add, shape4 X, shape4 Y, int stride);

/* --- pool.cu --- */

/* where [count of y]: r * kernel + s of each maximum, or NOWHERE if the window is all padding. May be NULL in
 * forward. */
enum { NOWHERE = 255 };
int max_forward(cuda_stream, dtype, const void *x, void *y, uint8_t *where, shape4 X, shape4 Y, pool_desc);
int max_backward(cuda_stream, dtype, const void *dy, const uint8_t *where, void *dx, bool add, shape4 X,
                 shape4 Y, pool_desc);
int average_forward(cuda_stream, dtype, const void *x, void *y, shape4 X);
int average_backward(cuda_stream, dtype, const void *dy, void *dx, bool add, shape4 X);

/* --- loss.cu: n rows of c logits; stats is a loss_stats (core/device/backend.h) in device memory --- */

int loss_forward(cuda_stream, dtype, const void *x, const int32_t *label, void *stats, int n, int c,
                 float smoothing);
int loss_backward(cuda_stream, dtype, const void *x, const int32_t *label, void *dx, bool add, int n, int c,
                  float smoothing);

/* --- params.cu --- */

int cuda_set_scalars(cuda_stream, cuda_scalars *to, cuda_scalars value);

/* If count is a multiple of 4, all three are aligned to 16 bytes. */
int sgd(cuda_stream, const cuda_scalars *, float *value, const float *grad, float *velocity, int64_t count);

/* Weights in PyTorch's order ("plain"), f32 [K][C][window], and their copy in the order of the libraries ("packed"),
 * [K][window][C]. The same for gradients. */
typedef struct weight_copy {
    float *plain;
    void *packed;
    dtype type; /* of packed */
    int filters, channels, window;
} weight_copy;
int weight_pack(cuda_stream, weight_copy, int multiprocessors);   /* plain -> packed */
int weight_unpack(cuda_stream, weight_copy, int multiprocessors); /* packed -> plain */
/* weight_pack of many in one launch; `table` and the pointers in it are device memory. */
int weights_pack(cuda_stream, const weight_copy *table, int n, int multiprocessors);

/* SGD that reads packed gradients and renews the packed copies, in one launch for all parameters. They are cut into
 * pieces: the weights [filters][channels][window] of one layer, which have a packed gradient, a packed copy or both;
 * or the parameters between two of those, as [1][count][1]. */
typedef struct sgd_piece {
    float *value, *velocity;
    const float *grad;    /* plain; not read if there is a packed one */
    weight_copy from, to; /* packed gradient and packed copy; .packed is NULL if there is none */
    int filters, channels, window;
} sgd_piece;
/* What one block works on: sgd_chunk_pairs(window) pairs of filter and channel, fewer at the end of a piece. */
typedef struct sgd_chunk {
    int32_t piece, first; /* index of the piece, first pair */
} sgd_chunk;
int sgd_chunk_pairs(int window);
/* Both tables are device memory. n = 0: nothing happens. */
int sgd_pieces(cuda_stream, const cuda_scalars *, const sgd_piece *, const sgd_chunk *, int n);

/* --- tiles.cu: core/device/backend.h says what they do --- */

/* Divides rows x [n, dim] by their norms, and stores them as `to_type` in `to`, which may be x. norm [n]: the norms,
 * NaN for a row with a value that is not finite. */
int rows_normalise(cuda_stream, dtype to_type, const float *x, void *to, int n, int64_t dim, double *norm);

typedef struct tile_bins {
    float begin[TILE_BINS]; /* infinity from n on */
    int n;
} tile_bins;
int tile_count(cuda_stream, device_tile, tile_bins, int64_t *count);

/* row_count [rows] is scratch. */
int tile_pick(cuda_stream, device_tile, const int32_t *wanted, float least, int32_t *row_count,
              device_pair *list, int64_t *n);

/* --- values.cu --- */

/* Between NCHW f32 and a value; both in device memory. */
int value_from_nchw(cuda_stream, dtype, const float *nchw, void *value, shape4);
int value_to_nchw(cuda_stream, dtype, const void *value, float *nchw, shape4);
/* Images [.][c][h][w] uint8 of a data set on the device -> value [n, c, h, w]: image i as draws[i] says, computed
 * by core/device/image.h. */
int value_from_images(cuda_stream, dtype, const uint8_t *images, const image_draw *draws, image_norm, int n,
                      image_shape, void *to);

#ifdef __cplusplus
}
#endif

#endif
