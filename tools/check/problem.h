/* tools/check/problem.h -- one operation in one line, as in oneDNN's benchdnn:
 *
 *   conv n2c3h5w5_o4k3s1p1        then g2 (groups) and b (bias), if any
 *   bnact n2c17h5w5_relu_add      activation: none, relu, relu6; then _add (with z) and _frozen, if any
 *   pool n2c3h6w6_max_k2s2p0      pool n2c3h6w6_avg
 *   linear n3c24h1w1_o10_relu     activation as above
 *   dropout n2c24h1w1_p0.5
 *   shortcut n2c16h6w6_o32s2
 *   loss n5c10_s0.1               s: label smoothing
 *
 * The name of the layer, the shape of x (h and w only where there are images), then the layer's own fields: each layer
 * lists them in its file (layers/layer.h: `fields`). Two neighbours that a device plans as one
 * (core/device/fusion.h) have both names, then the fields of both:
 *
 *   conv_bnact n2c3h5w5_o4k3s1p1b_relu_add_eval
 *   bnact_pool n2c16h6w6_relu_max_k2s2p0
 *
 * Any line may end in _eval (training = false) and then in _bf16. BN's eps is 1e-5 and its momentum 0.1.
 */
#ifndef CLEAVE_CHECK_PROBLEM_H
#define CLEAVE_CHECK_PROBLEM_H

#include "../../core/device/backend.h"

/* y = op(x), or y = then(op(x)) if fused. */
typedef struct op_problem {
    op op, then;
    bool fused;
} op_problem;

/* The operation whose y is the result. */
static inline const op *problem_last(const op_problem *p)
{
    return p->fused ? &p->then : &p->op;
}

enum { PROBLEM_BYTES = 128 }; /* enough for any printed problem */

/* Reads `text` and fills *p, y's shape included. ERR_USAGE, with the place, if the text is not a problem to its last
 * character or no layer has such a shape; then *p stays as it was. */
status problem_parse(const char *text, op_problem *p);

/* Writes the line that problem_parse reads back as the same problem. */
void problem_print(const op_problem *p, char out[PROBLEM_BYTES]);

/* The functions of core/device/backend.h, for one operation or a fused pair. */
const char *problem_unsupported(backend *, const op_problem *);
status problem_plan(backend *, const op_problem *, plan **out, op_needs *needs);

#endif
