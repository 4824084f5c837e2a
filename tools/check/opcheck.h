/* tools/check/opcheck.h -- runs one operation on one backend, from NCHW arrays to NCHW arrays.
 *
 * The data are a function of the operation and options.seed alone, so two backends see the same. Before
 * an operation runs, all that it must write, and all that its op_needs allow it not to read, is NaN. So is a y that
 * the backend cannot make again (backend.again) with the same bits.
 *
 * Typical use:
 *     TRY(problem_parse("conv n2c3h5w5_o4k3s1p1", &o));
 *     TRY(opcheck_run(ref, &o, &options, &a));
 *     TRY(opcheck_run(cpu, &o, &options, &b));
 *     error = opcheck_error(b.y, a.y, a.n_y);
 *     opcheck_free(&a), opcheck_free(&b);
 */
#ifndef CLEAVE_CHECK_OPCHECK_H
#define CLEAVE_CHECK_OPCHECK_H

#include "../../core/device/backend.h"

/* All zero is a valid choice: forward only, full f32 data. */
typedef struct opcheck_options {
    uint64_t seed;
    bool backward;       /* run backward too; needs o->training */
    bool dx_add, dz_add; /* backward adds dx, dz to what is there (result.dx0, dz0) */
    bool no_dx;          /* dx (and dz) are not wanted: NULL */
    bool no_grad;        /* parameter gradients are not wanted: NULL */
    bool bf16_data;      /* x, z, dy, dx0, dz0 and weights hold bf16 values: exact on either precision */
    bool ties;           /* max pooling: few distinct values, so that windows tie */
    int ignored;         /* loss: every ignored-th row has label -1; 0 = none */
    float margin;        /* no pre-activation closer than this to a kink of ReLU or ReLU6; 0 = 1e-3 */
} opcheck_options;

/* Inputs and outputs; NULL where the operation has no such thing, or it was not asked for. */
typedef struct opcheck_result {
    int64_t n_x, n_y, n_param[OP_MAX_PARAMS]; /* floats in the arrays; n_y = 0 for the loss */
    int n_grads;                              /* how many parameters have gradients: the first ones */

    float *x, *z, *dy, *dx0, *dz0; /* inputs; dx0, dz0 also if not added to */
    float *param[OP_MAX_PARAMS];   /* values before the run */
    int32_t *label;

    float *y, *dx, *dz;
    float *grad[OP_MAX_PARAMS];
    float *running_mean, *running_var; /* of bnact, after forward */
    loss_stats stats;                  /* of loss: 1000, 100, 10 plus what forward added */
} opcheck_result;

/* Fills the inputs of *out; ERR_RUNTIME if no data keep the margin. */
status opcheck_prepare(const op *o, const opcheck_options *options, opcheck_result *out);

/* Runs the operation on the inputs of *r as they are now, and replaces its outputs. */
status opcheck_execute(backend *b, const op *o, const opcheck_options *options, opcheck_result *r);

/* Both. On failure *out holds nothing that needs opcheck_free, and opcheck_free of it is harmless. */
status opcheck_run(backend *b, const op *o, const opcheck_options *options, opcheck_result *out);

void opcheck_free(opcheck_result *r);

/* max |a - ref| / max |ref|; infinite if a value of either is NaN or infinite, or if one is missing. */
double opcheck_error(const float *a, const float *ref, int64_t n);

#endif
