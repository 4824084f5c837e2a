/* tools/check/opcheck.h -- runs one problem on one backend, from NCHW arrays to NCHW arrays.
 *
 * The data depend only on the problem and on options.seed, so two backends see the same. Before an operation runs, all
 * that it must write is NaN, and so is all that it does not need according to its op_needs. If a plan says that it can
 * recompute y, this is tried too: a y with other bits becomes NaN.
 *
 * Typical use:
 *     TRY(problem_parse("conv n2c3h5w5_o4k3s1p1", &p));
 *     TRY(opcheck_run(ref, &p, &options, &a));
 *     TRY(opcheck_run(cpu, &p, &options, &b));
 *     error = opcheck_error(b.y, a.y, a.n_y);
 *     opcheck_free(&a), opcheck_free(&b);
 */
#ifndef CLEAVE_CHECK_OPCHECK_H
#define CLEAVE_CHECK_OPCHECK_H

#include "problem.h"

/* All zero is a valid choice: forward only, full f32 data. */
typedef struct opcheck_options {
    uint64_t seed;
    bool backward;       /* run backward too, in training */
    bool dx_add, dz_add; /* backward adds dx, dz to what is there (result.dx0, dz0) */
    bool no_dx;          /* dx and dz are NULL: not computed */
    bool no_grad;        /* parameter gradients are NULL: not computed */
    bool bf16_data;      /* x, z, dy, dx0, dz0 and weights hold bf16 values: exact on either precision */
    bool ties;           /* max pooling: few distinct values, so that windows tie */
    int ignored;         /* loss: every ignored-th row has label -1; 0 = none */
    float margin;        /* no pre-activation closer than this to a kink of ReLU or ReLU6; 0 = 1e-3 */
} opcheck_options;

/* Inputs and outputs. An array that the problem does not have, or that the options leave out, is NULL. */
typedef struct opcheck_result {
    int64_t n_x, n_y, n_param[PLAN_MAX_PARAMS]; /* floats in the arrays; n_y = 0 for the loss */
    int n_grads;                                /* the first n_grads parameters have gradients */

    float *x, *z, *dy, *dx0, *dz0; /* inputs; dx0, dz0 also if not added to */
    float *param[PLAN_MAX_PARAMS]; /* values before the run */
    int32_t *label;

    float *y, *dx, *dz;
    float *grad[PLAN_MAX_PARAMS];
    float *running_mean, *running_var; /* of bnact, after forward */
    loss_stats stats;                  /* of loss: 1000, 100, 10, plus what forward added */
} opcheck_result;

/* Fills the inputs of *out. ERR_RUNTIME if it finds none that keep the margin. */
status opcheck_prepare(const op_problem *p, const opcheck_options *options, opcheck_result *out);

/* Runs the problem on the inputs of *r as they are now, and replaces the outputs. ERR_RUNTIME, with the reason, if the
 * device does not support it. */
status opcheck_execute(backend *b, const op_problem *p, const opcheck_options *options, opcheck_result *r);

/* Both. On failure there is nothing to free. opcheck_free is harmless then. */
status opcheck_run(backend *b, const op_problem *p, const opcheck_options *options, opcheck_result *out);

void opcheck_free(opcheck_result *r);

/* Compares the gradients of a run with central differences of its forward pass: *error is the largest error of all,
 * relative to the largest derivative of the same input. Every value of every input is moved. The scalar that is
 * differentiated is L = sum of dy[i] * y[i] with the random dy of the run: for a plain sum the input gradient of batch
 * normalisation would be zero, and the check would test nothing. For the loss, L is the loss.
 *
 * y is stored in f32, so L is good to about 1e-7 of its terms, and the quotient to about 1e-5 with steps h of 1/128.
 * Richardson's extrapolation from h and 2h removes the error of order h^2. options.margin 0.3 keeps pre-activations
 * further from a kink than a step moves them. */
status opcheck_gradients(backend *b, const op_problem *p, const opcheck_options *options,
                         const opcheck_result *gradients, double *error);

/* max |a - ref| / max |ref|; infinite if a value of either is NaN or infinite, or if one is missing. */
double opcheck_error(const float *a, const float *ref, int64_t n);

/* One output of two runs, a and ref, of a problem. */
typedef struct opcheck_output {
    const char *name; /* "y", "running mean", "running var", "dx", "dz", "grad 0", "grad 1", ... */
    bool backward;    /* computed by backward */
    bool value;       /* stored in the type of the operation; all others are f32 */
    double error;     /* opcheck_error */
} opcheck_output;
enum { OPCHECK_OUTPUTS = 5 + OP_MAX_PARAMS };

/* Lists the outputs that either run has, and returns how many these are. The loss's statistics are not among them. */
int opcheck_compare(const opcheck_result *a, const opcheck_result *ref, opcheck_output out[OPCHECK_OUTPUTS]);

#endif
