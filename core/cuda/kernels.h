/* core/cuda/kernels.h -- the kernels' launchers, callable from C. All work on `stream` and return a
 * cudaError_t of the launch (0 = fine). Values are NHWC of `type`; a row is the C channels of one pixel.
 * No kernel uses float atomics: sums are taken in an order that depends on the shape alone. */
#ifndef CLEAVE_CUDA_KERNELS_H
#define CLEAVE_CUDA_KERNELS_H

#include "../device/image.h"
#include "../device/op.h"
#include "../device/tile.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct CUstream_st *cuda_stream;

/* step_scalars (core/device/backend.h), in device memory: a recorded step reads new ones each time. */
typedef struct cuda_scalars {
    float lr, momentum, weight_decay;
    int nesterov;
    uint64_t seed, step;
} cuda_scalars;
int cuda_set_scalars(cuda_stream, cuda_scalars *to, cuda_scalars value);

/* --- bnact.cu: m rows of c channels --- */

typedef struct bnact_args {
    dtype type;
    int64_t m;
    int c;
    activation act;
    bool training, frozen; /* frozen: in training, but by the running statistics */
    float eps, momentum;
    const float *gamma, *beta;
    float *running_mean, *running_var;
    const float *shift; /* op_args; may be NULL */
    void *saved;        /* bn_saved_bytes: statistics of the batch, and what passed; unused in evaluation */
    void *scratch;      /* bn_scratch_bytes */
    const void *x, *z, *dy; /* z: NULL if absent */
    void *y;                /* forward writes it */
    void *dx, *dz;          /* NULL: not wanted */
    bool dx_add, dz_add;
    float *dgamma, *dbeta; /* NULL: not wanted */
} bnact_args;
size_t bn_saved_bytes(dtype, int64_t m, int c, activation);
size_t bn_scratch_bytes(dtype, int64_t m, int c);
int bn_forward(cuda_stream, const bnact_args *);
int bn_backward(cuda_stream, const bnact_args *);

/* --- bnpool.cu: the same, and of every 2 x 2 places of X the greatest; Y: half as high and as wide --- */

size_t bnpool_saved_bytes(int c, shape4 Y);
/* As of bn_forward; y and dy have the shape of Y, and there is no z. */
int bnpool_forward(cuda_stream, const bnact_args *, shape4 X, shape4 Y);
int bnpool_backward(cuda_stream, const bnact_args *, shape4 X, shape4 Y);

/* --- bnact.cu again --- */

/* out[c] = sum over rows of x[row][c]; scratch: column_sums_bytes. */
size_t column_sums_bytes(dtype, int64_t m, int c);
int column_sums(cuda_stream, dtype, const void *x, int64_t m, int c, float *out, void *scratch);

/* --- depthwise.cu: 3x3, a filter for each channel, pad 1, stride 1 or 2 --- */

/* X, Y: shapes of input and output; w, dw [C][3][3] of `type`; scratch: depthwise_filter_bytes. */
int depthwise_forward(cuda_stream, dtype, const void *x, const void *w, void *y, shape4 X, shape4 Y,
                      int stride);
int depthwise_data(cuda_stream, dtype, const void *dy, const void *w, void *dx, bool add, shape4 X, shape4 Y,
                   int stride);
size_t depthwise_filter_bytes(shape4 Y, int stride);
int depthwise_filter(cuda_stream, dtype, const void *x, const void *dy, void *dw, void *scratch, shape4 X,
                     shape4 Y, int stride);

/* --- narrow.cu: 3x3, at most 32 channels in and out, bf16, stride 1, pad 1; for sm_80 and newer --- */

enum { NARROW_CHANNELS = 32 };
/* X: shape of x; k: channels of y; w [k][3][3][X.c]. */
int narrow_forward(cuda_stream, const void *x, const void *w, void *y, shape4 X, int k);
int narrow_data(cuda_stream, const void *dy, const void *w, void *dx, bool add, shape4 X, int k);
size_t narrow_filter_bytes(shape4 X);
int narrow_filter(cuda_stream, const void *x, const void *dy, void *dw, void *scratch, shape4 X, int k);

/* --- elementwise.cu --- */

/* y[row][c] = act(y[row][c] + bias[c]), in place. */
int bias_act(cuda_stream, dtype, void *y, const float *bias, int64_t m, int c, activation);
/* dv = dy * act'(v), told from y. */
int act_backward(cuda_stream, dtype, const void *y, const void *dy, void *dv, int64_t count, activation);
/* to = from * factor, or to += ...; factor by op.h's OP_DROPOUT. p 0 copies. */
int dropout_apply(cuda_stream, dtype, const void *from, void *to, bool add, shape4, float p, int layer,
                  const cuda_scalars *);
int shortcut_forward(cuda_stream, dtype, const void *x, void *y, shape4 X, shape4 Y, int stride);
int shortcut_backward(cuda_stream, dtype, const void *dy, void *dx, bool add, shape4 X, shape4 Y, int stride);
/* Between NCHW f32 and a value; both in device memory. */
int value_from_nchw(cuda_stream, dtype, const float *nchw, void *value, shape4);
int value_to_nchw(cuda_stream, dtype, const void *value, float *nchw, shape4);

/* --- pool.cu --- */

/* `where` [y's count] uint8: r * kernel + s of each maximum, NOWHERE if the window is all padding; may be NULL. */
enum { NOWHERE = 255 };
int max_forward(cuda_stream, dtype, const void *x, void *y, uint8_t *where, shape4 X, shape4 Y, pool_desc);
int max_backward(cuda_stream, dtype, const void *dy, const uint8_t *where, void *dx, bool add, shape4 X,
                 shape4 Y, pool_desc);
int average_forward(cuda_stream, dtype, const void *x, void *y, shape4 X);
int average_backward(cuda_stream, dtype, const void *dy, void *dx, bool add, shape4 X);

/* --- loss.cu: n rows of c logits; stats: core/device/backend.h's loss_stats --- */

int loss_forward(cuda_stream, dtype, const void *x, const int32_t *label, void *stats, int n, int c,
                 float smoothing);
int loss_backward(cuda_stream, dtype, const void *x, const int32_t *label, void *dx, bool add, int n, int c,
                  float smoothing);

/* --- params.cu --- */

/* All aligned to 16 bytes if count is a multiple of 4. */
int sgd(cuda_stream, const cuda_scalars *, float *value, const float *grad, float *velocity, int64_t count);

/* Weights in PyTorch's order, f32 [K][C][window], and the copy that the libraries read, [K][window][C]. */
typedef struct weight_copy {
    float *plain;
    void *packed;
    dtype type; /* of packed */
    int filters, channels, window;
} weight_copy;
/* plain -> packed, and for gradients packed -> plain. */
int weight_pack(cuda_stream, weight_copy);
int weight_unpack(cuda_stream, weight_copy);
/* weight_pack of many in one launch; `table` and the pointers in it are device memory. */
int weights_pack(cuda_stream, const weight_copy *table, int n);

/* SGD from the libraries' gradients to the libraries' copies in one pass. A piece: parameters side by side, either
 * weights [filters][channels][window] that have one or both of these, or what lies between such ([1][count][1]). */
typedef struct sgd_piece {
    float *value, *velocity;
    const float *grad;    /* PyTorch's order; not read if there is a packed one */
    weight_copy from, to; /* packed gradient, and copy of the weights; .packed NULL: there is none */
    int filters, channels, window;
} sgd_piece;
typedef struct sgd_chunk {
    int32_t piece, first; /* pair of filter and channel */
} sgd_chunk;
int sgd_chunk_pairs(int window); /* of a chunk, or fewer at the end of a piece */
/* A block a chunk; both tables are device memory. n 0: nothing happens. */
int sgd_pieces(cuda_stream, const cuda_scalars *, const sgd_piece *, const sgd_chunk *, int n);

/* --- tiles.cu: core/device/backend.h says what they do --- */

/* Rows x [n, dim] are divided by their norms and stored as `to_type` in `to`, which may be x. Norms go to norm [n];
 * NaN where a value is not finite. */
int rows_normalise(cuda_stream, dtype to_type, const float *x, void *to, int n, int64_t dim, double *norm);

typedef struct tile_bins {
    float begin[TILE_BINS]; /* those that are not used: infinity */
    int n;
} tile_bins;
int tile_count(cuda_stream, device_tile, tile_bins, int64_t *count);

/* row_count [rows] is scratch. */
int tile_pick(cuda_stream, device_tile, const int32_t *wanted, float least, int32_t *row_count,
              device_pair *list, int64_t *n);

/* --- images.cu: augmentation of a data set that lives on the device --- */

/* images [.][3][32][32] uint8 -> to [n], as draws [n] say; the arithmetic is core/device/image.h. */
int images_augment(cuda_stream, dtype, const uint8_t *images, const image_draw *, image_norm, int n,
                   void *to);

#ifdef __cplusplus
}
#endif

#endif
