/* tools/check/golden.h -- whole nets against PyTorch in float64: evaluation, the gradients of one step, three steps
 * of SGD on three batches, evaluation again.
 *
 * tests/golden/make_golden.py made the stored files, tests/peer/oracle.py says from which values; both sides
 * draw these from the same formula. Of each tensor a file keeps its Euclidean norm, eight projections on
 * random signs, and entries at random places: 64, of deep nets 16. */
#ifndef CLEAVE_CHECK_GOLDEN_H
#define CLEAVE_CHECK_GOLDEN_H

#include "../../core/device/backend.h"

enum { GOLDEN_SIGNS = 8, GOLDEN_MAX_SAMPLES = 64, GOLDEN_MAX_RECORD = 1 + GOLDEN_SIGNS + GOLDEN_MAX_SAMPLES };

/* Relative: of the norm of a tensor. float32 PyTorch is within half of it: make_golden.py. */
#define GOLDEN_TOLERANCE 5e-5

typedef enum golden_phase {
    GOLDEN_FORWARD,  /* logits and loss */
    GOLDEN_BACKWARD, /* gradients of every parameter */
    GOLDEN_TRAINING, /* three steps: what they changed, the losses, the logits afterwards */
    GOLDEN_PHASES
} golden_phase;

typedef struct golden_result {
    char arch[32];
    double error[GOLDEN_PHASES]; /* the greatest, to be compared with GOLDEN_TOLERANCE */
    char worst[128];             /* the tensor with the greatest of all */
    int mismatches;              /* tensors beyond the tolerance */
} golden_result;

/* Runs the net that the file is of. `tell`, if not NULL, gets a line for each tensor beyond the tolerance. */
status golden_check(const char *path, backend *, void (*tell)(const char *line), golden_result *out);

/* The pieces, for the test of the comparison itself. A record of n_record doubles is what is kept of a tensor
 * of `count` values; `name` decides signs and places. Errors count against `scale`, the norm of the whole
 * tensor, plus `rounding` for the tensor, spread evenly over its entries. */
void golden_record(const char *name, const double *t, int64_t count, double *out, int n_record);
void golden_compare(golden_result *, golden_phase, void (*tell)(const char *line), const char *name,
                    const double *golden, int n_record, const double *t, int64_t count, double scale,
                    double rounding);

#endif
