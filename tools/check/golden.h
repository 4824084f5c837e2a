/* tools/check/golden.h -- whole nets against PyTorch in float64: evaluation, the gradients of one step, three steps of SGD
 * on three batches, and evaluation afterwards.
 *
 * tests/golden/make_golden.py writes the stored files. Inputs and initial values are not stored: both sides draw them
 * from the formulas of tests/peer/oracle.py. Of each tensor a file keeps a record: its Euclidean norm, eight projections
 * on random signs, and entries at random places (64; of deep nets 16). */
#ifndef CLEAVE_CHECK_GOLDEN_H
#define CLEAVE_CHECK_GOLDEN_H

#include "../../core/device/backend.h"

enum { GOLDEN_SIGNS = 8, GOLDEN_MAX_SAMPLES = 64, GOLDEN_MAX_RECORD = 1 + GOLDEN_SIGNS + GOLDEN_MAX_SAMPLES };

/* Relative to the norm of a tensor. PyTorch in float32 is within half of it (make_golden.py). */
#define GOLDEN_TOLERANCE 5e-5

typedef enum golden_phase {
    GOLDEN_FORWARD,  /* logits and loss */
    GOLDEN_BACKWARD, /* gradients of every parameter */
    GOLDEN_TRAINING, /* three steps: what they changed, the losses, the logits afterwards */
    GOLDEN_PHASES
} golden_phase;

typedef struct golden_result {
    char arch[32];
    double error[GOLDEN_PHASES]; /* the largest of each phase, scaled so that GOLDEN_TOLERANCE is the limit */
    char worst[128];             /* the tensor with the largest error of all */
    int mismatches;              /* tensors beyond the tolerance */
} golden_result;

/* Runs the net of the file. `tell`, if not NULL, gets a line for each tensor beyond the tolerance. */
status golden_check(const char *path, backend *, void (*tell)(const char *line), golden_result *out);

/* The parts, for the test of the comparison itself. golden_record computes the record, n_record doubles, of a tensor of
 * `count` values; `name` decides signs and places. golden_compare compares it with a stored one. Errors are relative to
 * `scale`, the norm of the whole tensor; `rounding` is allowed in addition, spread evenly over the entries. */
void golden_record(const char *name, const double *t, int64_t count, double *out, int n_record);
void golden_compare(golden_result *, golden_phase, void (*tell)(const char *line), const char *name,
                    const double *golden, int n_record, const double *t, int64_t count, double scale,
                    double rounding);

#endif
