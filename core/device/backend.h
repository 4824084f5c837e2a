/* core/device/backend.h -- how a device plugs in: describe -> plan -> run.
 *
 * A net describes each operation (core/device/op.h). The backend plans it once (algorithm, layout, bytes) and
 * runs the plan many times. The net allocates all memory from the answers of the plans; a plan allocates
 * nothing when it runs.
 *
 * Memory. Pointers in op_args are the backend's memory (`alloc`), host memory for ref and cpu.
 *   - Activations and their gradients are in the backend's own physical layout: value_bytes says how
 *     large, write_value / read_value convert from and to NCHW f32 in host memory.
 *   - Parameters, their gradients and momenta are plain f32 in PyTorch's order, on every backend: one
 *     block for the optimiser, for checkpoints and for an all-reduce. A plan that wants them otherwise
 *     keeps a packed copy (`needs.packed`, `needs.cached`), renewed when args.version differs from the last
 *     one seen.
 */
#ifndef CLEAVE_BACKEND_H
#define CLEAVE_BACKEND_H

#include "image.h"
#include "op.h"
#include "../base/status.h"
#include "tile.h"

typedef struct backend backend;
typedef struct plan plan; /* one op, planned for one shape; each backend has its own struct */

typedef struct op_needs {
    size_t scratch; /* dead after each call; forward and backward may find it in different places */
    size_t saved;   /* written by forward, read by backward of the same step */
    size_t packed;  /* lives as long as the plan: parameters in the plan's own layout */
    size_t cached;  /* the same, but other cases of a net may use the memory in between: they
                                    change args.version */
    bool backward_x, backward_y; /* backward reads x, y again: they must still be there */
    bool y_over_z;               /* forward may be given y = z, and is then spared a copy */
    bool dx_over_dy;             /* backward may be given dx = dy, unless it adds to dx */
    bool again;                  /* y need not be kept for backward: see `again` */
} op_needs;

typedef struct loss_stats {
    double loss;           /* sum over rows, not mean */
    int64_t correct, rows; /* top-1: the first greatest logit */
} loss_stats;

typedef struct op_args {
    const void *x, *z;
    void *y;
    const float *param[OP_MAX_PARAMS]; /* values; BN in training also writes 2 and 3 */
    float *grad[OP_MAX_PARAMS];        /* NULL: not wanted */
    uint64_t version;                  /* changes whenever parameter values change */
    const void *dy;
    void *dx, *dz;       /* NULL: not wanted */
    bool dx_add, dz_add; /* add to what is there instead of overwriting */
    void *saved, *scratch, *packed, *cached;
    const float *shift;   /* BN only, and only where the backend is bias_free; may be NULL */
    const int32_t *label; /* loss only: [N], -1 = ignore this row */
    loss_stats *stats;    /* loss only: forward adds to it */
} op_args;

/* Kinds of work that tools/bench.c tells apart. */
typedef enum work_kind {
    WORK_OTHER,
    WORK_CONV, /* convolutions and linear layers */
    WORK_BN,   /* BN with its addition and activation */
    WORK_ELEMENTWISE,
    WORK_REORDER, /* between layouts */
    WORK_OPTIMIZER,
    WORK_KINDS
} work_kind;

typedef struct ceiling ceiling; /* the fastest convolutions that the backend's library has; its own struct */

/* What changes from step to step. A backend keeps it where its operations read it. */
typedef struct step_scalars {
    float lr, momentum, weight_decay;
    bool nesterov;
    uint64_t seed, step; /* of dropout: counted over the whole training, from 0 */
} step_scalars;

struct backend {
    const char *name;      /* "ref", "cpu", "cuda" */
    char description[128]; /* device and library versions, for logs and env.json */
    int threads;
    bool bias_free;   /* BN knows op_args.shift: in training, a bias before it is left out */
    size_t alignment; /* of values and scratch in a net's memory; 0: that of core/device/arena.h */
    bool host_memory; /* what alloc returns can be read here: download would copy for nothing */
    bool tf32;        /* set by the caller before planning: f32 products may round to tf32; cuda only */

    void (*close)(backend *);

    /* NULL if this op can be planned here, else one line that says why not. */
    const char *(*unsupported)(backend *, const op *);

    /* Plans `o`. The caller frees the plan. */
    status (*plan)(backend *, const op *o, plan **out, op_needs *needs);
    void (*plan_free)(plan *);
    status (*forward)(plan *, const op_args *);
    status (*backward)(plan *, const op_args *); /* only for ops planned with training = true */
    /* y once more, the same bits, from x, z and `saved` of the forward pass of this step; only for plans whose needs
     * say so, and NULL where none does. Cheaper than keeping what only backward reads. */
    status (*again)(plan *, const op_args *);

    /* Called before and after the operations of one training step. `key` names the compiled case, and no
     * other as long as the backend is open. A device that recorded this case before may replay the whole step
     * and set *replayed. */
    status (*step_begin)(backend *, int key, const step_scalars *, bool *replayed);
    status (*step_end)(backend *);

    /* The same around the forward pass of an evaluation case that nobody taps; may be NULL. */
    status (*eval_begin)(backend *, int key, bool *replayed);
    status (*eval_end)(backend *);

    /* One pass over the whole parameter arena, [PyTorch SGD]: g = grad + weight_decay * value;
     * v = momentum * v + g; value -= lr * (nesterov ? g + momentum * v : v). Scalars of step_begin. In a step that is
     * recorded or replayed, `grad` need not have held anything. */
    status (*sgd)(backend *, float *value, const float *grad, float *velocity, int64_t count);

    /* Memory: zeroed, aligned to 64 bytes at least; released by the number of bytes it was asked for with. What is never
     * touched need not take room. download waits for the device. */
    status (*alloc)(backend *, size_t bytes, void **out);
    void (*release)(backend *, void *, size_t bytes);
    status (*upload)(backend *, void *dst, const void *host, size_t bytes);
    status (*download)(backend *, void *host, const void *src, size_t bytes);

    size_t (*value_bytes)(backend *, shape4, dtype);
    status (*write_value)(backend *, void *dst, shape4, dtype, const float *nchw);
    /* Reads images [0, n) of the value; n <= shape.n. */
    status (*read_value)(backend *, const void *src, shape4, dtype, int n, float *nchw);

    /* A tile of the similarity matrix [Yang23 eq. 6]: c[i*ldc + j] = sum_k a[i*lda + k] * b[j*ldb + k], i < m,
     * j < n, all in the backend's memory; rows of f32 or bf16 values (then k, lda and ldb are even), summed in f32.
     * With `upper`, only elements j > i need be computed. The rounding of an element depends on k and on the values
     * of its two rows alone, not on where they lie: equal pairs are ties. With gram_one_shape that holds only among
     * products of the same m and n. */
    bool gram_one_shape;
    status (*gram_nt)(backend *, dtype, int m, int n, int64_t k, const void *a, int64_t lda, const void *b,
                      int64_t ldb, bool upper, float *c, int64_t ldc);

    /* The same of rows rounded to int8: c[i*ldc + j] = a.scale[i] * b.scale[j] * sum_k a[i,k] * b[j,k]. k and both
     * strides are multiples of 4. The sums are whole numbers and exact, |sum| < 2^31 (graph/similarity.c rounds rows so):
     * every device computes the same bits. NULL: the device has no such product. */
    status (*gram_i8)(backend *, int m, int n, int64_t k, i8_rows a, i8_rows b, bool upper, float *c,
                      int64_t ldc);

    /* ---- similarities that stay on the device; a backend whose memory is the host's leaves all of it NULL ---- */

    /* Images [0, n) of a value as rows of C*H*W values, in the order of NCHW, each divided by max(|row|, 1e-8), the
     * norm summed in double: to [n, C*H*W] of to_type in the backend's memory. norm [n] and *bad in the host's: |row|,
     * and the first row with a value that is not finite, else -1. Waits for the device. */
    status (*rows_normalise)(backend *, const void *value, shape4, dtype, int n, dtype to_type, void *to,
                             double *norm, int *bad);
    /* count[b] += entries that are >= begins[b], b < bins <= TILE_BINS; count[bins] += all entries. begins is host
     * memory; count [bins + 1] and what follows is the backend's. */
    status (*tile_count)(backend *, const device_tile *, const float *begins, int bins, int64_t *count);
    /* Appends the entries that are >= least and whose row and column are wanted (wanted[position] >= 0), by row and
     * then column, to list[*n ...], and counts them in *n. The caller sees to the room. */
    status (*tile_pick)(backend *, const device_tile *, const int32_t *wanted, float least, device_pair *list,
                        int64_t *n);

    /* Images that stay in the backend's memory as uint8, [.][3][32][32], become a value of shape s = [n, 3, 32, 32]: row
     * i shows image draw[i].index as draw[i] says, normalised, with the bits of data/augment.c (core/device/image.h). images
     * and draw [n] are the backend's memory. May be part of a step. NULL: there is no such thing. */
    status (*show_images)(backend *, const uint8_t *images, const image_draw *draw, const image_norm *,
                          shape4 s, dtype, void *to);

    /* Algorithms that were chosen by timing, in a file: what a run used is loaded before its resumption plans
     * anything, so that it ends with the same bits. A file that is missing or of another device chooses nothing.
     * NULL: this backend's results do not depend on timing. */
    status (*choices_load)(backend *, const char *path);
    status (*choices_save)(const backend *, const char *path);

    /* ---- measuring; a backend may leave all of it NULL ---- */

    double *work; /* set by the caller: [WORK_KINDS] seconds, which the backend adds to while it works */

    /* Times every algorithm and layout of the library for each direction of each convolution and keeps the
     * fastest. Equal ones are timed once; the first reads images, so nobody wants its dx. No BN, no reorder:
     * with these kernels no training step can be faster. */
    status (*ceiling_open)(backend *, const op *convs, int n, ceiling **out);
    /* Runs them once: seconds of all forward, backward-data and backward-weights convolutions, and the rate
     * of the library's best product of large matrices of the convolutions' type, f32 out. */
    status (*ceiling_run)(ceiling *, double seconds[3], double *gemm_gflops);
    void (*ceiling_close)(ceiling *); /* NULL is harmless */
};

static inline void backend_close(backend *b)
{
    if (b) b->close(b);
}

/* The devices that are part of the program: the table in nets/device.c. */
status ref_open(int threads, backend **out);
status cpu_open(int threads, backend **out);

#endif
