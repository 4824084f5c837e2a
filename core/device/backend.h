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

#include "../base/status.h"
#include "op.h"

typedef struct backend backend;
typedef struct plan plan; /* an operation, planned for one shape; each backend has its own struct */

typedef struct op_needs {
    size_t scratch; /* dead after each call; forward and backward may find it in different places */
    size_t saved;   /* written by forward, read by backward of the same step */
    size_t packed;  /* lives as long as the plan: parameters in the plan's own layout */
    size_t cached;  /* like packed, but other cases of the net may overwrite it; args.version has changed then */
    bool backward_x, backward_y; /* backward reads x, y again: they must still be there */
    bool y_over_z;               /* forward may be given y = z, and is then spared a copy */
    bool dx_over_dy;             /* backward may be given dx = dy, unless it adds to dx */
    bool recompute;              /* `recompute` can compute y once more: it need not be kept for backward */
} op_needs;

typedef struct loss_stats {
    double loss;           /* sum over rows, not mean */
    int64_t correct, rows; /* top-1: the first greatest logit */
} loss_stats;

/* What changes from step to step. A backend keeps it where its operations read it. */
typedef struct step_scalars {
    float lr, momentum, weight_decay;
    bool nesterov;
    uint64_t seed, step; /* of dropout: counted over the whole training, from 0 */
} step_scalars;

/* Parameters of a plan, which may be two operations (fusion.h). */
enum { PLAN_MAX_PARAMS = 2 * OP_MAX_PARAMS };

typedef struct op_args {
    const void *x, *z;
    void *y;
    const float *param[PLAN_MAX_PARAMS]; /* values; BN in training also writes 2 and 3 */
    float *grad[PLAN_MAX_PARAMS];        /* NULL: not computed */
    uint64_t version;                    /* changes whenever parameter values change */
    const void *dy;
    void *dx, *dz;       /* NULL: not computed */
    bool dx_add, dz_add; /* add to what is there instead of overwriting */
    void *saved, *scratch, *packed, *cached;
    const float *shift;       /* BN only, and only where the backend is bias_free; may be NULL */
    const int32_t *label;     /* loss only: [N], -1 = ignore this row */
    loss_stats *stats;        /* loss only: forward adds to it */
    const step_scalars *step; /* dropout only; set by a backend that hands it to its operations here */
} op_args;

/* A training step, or an evaluation pass, of one compiled case, which runs many times. A device that can record it
 * keeps the record here. The caller zeroes it before its first use, gives the same handle for the same sequence of
 * operations and for no other, and calls backend_forget_step before the handle or a plan in it goes. */
typedef struct step_handle {
    void *record; /* the device's; NULL: nothing recorded yet */
} step_handle;

/* Optional tables, each for one kind of reader: a device has it, or NULL. */
typedef struct backend_fusion backend_fusion;     /* fusion.h: two operations planned as one */
typedef struct backend_products backend_products; /* products.h: products of rows, for graph/ */
typedef struct backend_images backend_images;     /* image_sets.h: data sets that stay on the device */
typedef struct backend_tuning backend_tuning;     /* tuning.h: algorithms that were chosen by timing */
typedef struct backend_measure backend_measure;   /* measure.h: where the time goes, for tools/bench */

struct backend {
    const char *name;      /* "ref", "cpu", "cuda" */
    char description[128]; /* device and library versions, for logs and env.json */
    int threads;
    bool bias_free;   /* BN understands op_args.shift: in training, a bias in front of BN is left out */
    size_t alignment; /* of values and scratch in a net's memory; 0: that of core/device/arena.h */
    bool host_memory; /* what alloc returns can be read by the host: a download would only copy */
    bool tf32;        /* set by the caller before planning: f32 products may round to tf32; cuda only */

    const backend_fusion *fusion;
    const backend_products *products;
    const backend_images *images;
    const backend_tuning *tuning;
    const backend_measure *measure;

    void (*close)(backend *);

    /* ---- plan ---- */

    /* NULL if this op can be planned here, else one line that says why not. */
    const char *(*unsupported)(backend *, const op *);
    /* Plans `o`. The caller frees the plan. */
    status (*plan)(backend *, const op *o, plan **out, op_needs *needs);
    void (*plan_free)(plan *);

    /* ---- run ---- */

    status (*forward)(plan *, const op_args *);
    status (*backward)(plan *, const op_args *); /* only for ops planned with training = true */
    /* Computes the y of this step's forward pass once more, with the same bits, from x, z and `saved`. Only for plans
     * whose needs say so; NULL if no plan's do. This costs a pass over memory, and saves keeping y for backward. */
    status (*recompute)(plan *, const op_args *);

    /* ---- step ---- */

    /* Called before and after the operations of one training step. A device that has recorded this step may replay all
     * of it and set *replayed: then the caller runs nothing in between. */
    status (*step_begin)(backend *, step_handle *, const step_scalars *, bool *replayed);
    status (*step_end)(backend *);
    /* The same around the forward pass of an evaluation case without taps; may be NULL. */
    status (*eval_begin)(backend *, step_handle *, bool *replayed);
    status (*eval_end)(backend *);
    /* Frees what the device keeps in the handle, which may be zeroed, and zeroes it. NULL: the device records nothing. */
    void (*step_forget)(backend *, step_handle *);

    /* One pass over the whole parameter arena, [PyTorch SGD]: g = grad + weight_decay * value;
     * v = momentum * v + g; value -= lr * (nesterov ? g + momentum * v : v). Scalars of step_begin. In a step that is
     * recorded or replayed, `grad` need not have held anything. */
    status (*sgd)(backend *, float *value, const float *grad, float *velocity, int64_t count);

    /* ---- memory ---- */

    /* Zeroed, aligned to 64 bytes at least; released by the number of bytes that was asked for. Pages that are never
     * touched need not take memory. download waits for the device. */
    status (*alloc)(backend *, size_t bytes, void **out);
    void (*release)(backend *, void *, size_t bytes);
    status (*upload)(backend *, void *dst, const void *host, size_t bytes);
    status (*download)(backend *, void *host, const void *src, size_t bytes);

    size_t (*value_bytes)(backend *, shape4, dtype);
    status (*write_value)(backend *, void *dst, shape4, dtype, const float *nchw);
    /* Reads images [0, n) of the value; n <= shape.n. */
    status (*read_value)(backend *, const void *src, shape4, dtype, int n, float *nchw);
};

static inline void backend_close(backend *b)
{
    if (b) b->close(b);
}

static inline void backend_forget_step(backend *b, step_handle *h)
{
    if (b->step_forget) b->step_forget(b, h);
}

/* The devices that are part of the program: the table in nets/device.c. */
status ref_open(int threads, backend **out);
status cpu_open(int threads, backend **out);

#endif
