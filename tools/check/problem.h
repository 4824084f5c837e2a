/* tools/check/problem.h -- one operation in one line, in the spirit of oneDNN's benchdnn:
 *
 *   conv n2c3h5w5_o4k3s1p1        then optional, in this order: g2 (groups), b (bias)
 *   bnact n2c17h5w5_relu_add      activation: none, relu, relu6;  _add: with z;  then _frozen
 *   conv_bnact n2c3h5w5_o4k3s1p1b_relu_add_eval
 *   pool n2c3h6w6_max_k2s2p0      pool n2c3h6w6_avg
 *   bnact_pool n2c16h6w6_max_k2s2p0_relu
 *   linear n3c24h1w1_o10_relu     activation as above
 *   dropout n2c24h1w1_p0.5
 *   shortcut n2c16h6w6_o32s2
 *   loss n5c10_s0.1               s: label smoothing
 *
 * Any line may end in _eval (inference: training = false) and then in _bf16. eps is 1e-5, momentum 0.1.
 */
#ifndef CLEAVE_CHECK_PROBLEM_H
#define CLEAVE_CHECK_PROBLEM_H

#include "../../core/device/op.h"
#include "../../core/base/status.h"

enum { PROBLEM_BYTES = 128 }; /* enough for any printed problem */

/* Reads `text`, fills every field of *o, y's shape included. ERR_USAGE with the place if it is not a
 * problem to the last character, or not one that op.h gives a meaning. */
status problem_parse(const char *text, op *o);

/* Writes the line that problem_parse reads back as the same operation. */
void problem_print(const op *o, char out[PROBLEM_BYTES]);

#endif
