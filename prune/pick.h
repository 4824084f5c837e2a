/* prune/pick.h -- exactly so many units, for the series and the comparisons of the papers: those that gain
 * least or most, and what Criterion I has to be better than: chance, depth, least change of CKA. */
#ifndef CLEAVE_PICK_H
#define CLEAVE_PICK_H

#include "../core/config/config.h"
#include "criterion.h"

/* All take n points in order of depth and decide for `count` removable ones. ERR_USAGE if there are fewer. */

/* One after the other, the unit with the smallest gain over the last point that stays before it (PICK_MOST:
 * the largest); of equals the deeper one. So a series is nested: n + 1 cuts are n cuts and one more. Points
 * without a value stay. */
status pick_by_gain(const criterion_point *, int n, int count, pick_kind, criterion_decision *out);
/* The units with the smallest value; of equals the deeper one. Points without a value stay. */
status pick_smallest(const criterion_point *, int n, int count, criterion_decision *out);
/* Each seed (of the run) has its draws 0, 1, ... (prune.seed), independent of each other. */
status pick_random(const criterion_point *, int n, int count, uint64_t seed, uint64_t draw,
                   criterion_decision *out);
status pick_last(const criterion_point *, int n, int count, criterion_decision *out);

#endif
