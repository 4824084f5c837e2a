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

/* max |a - ref| / max |ref|; infinite if a value of either is NaN or infinite, or if one is missing. */
double opcheck_error(const float *a, const float *ref, int64_t n);

#endif
