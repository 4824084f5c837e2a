/* core/base/rng.h -- random numbers by counter (Philox4x32-10, [Salmon11] "Parallel random numbers: as easy
 * as 1, 2, 3"): the value is a pure function of (seed, stream, a, b), so every device and every thread
 * count draws the same, and resuming needs no state. */
#ifndef CLEAVE_RNG_H
#define CLEAVE_RNG_H

#include "philox.h"

#include <stdint.h>

/* Streams keep purposes apart: the same counters in two streams are independent. */
enum {
    RNG_INIT = 1,
    RNG_SHUFFLE,
    RNG_AUGMENT,
    RNG_SAMPLE,
    RNG_SYNTHETIC,
    RNG_TEST,
    RNG_PRUNE,
    RNG_ATTACK,
    RNG_DROPOUT = 1000
};

/* Philox4x32-10: key = (seed low, seed high), counter = (c0, c1, c2, c3). */
rng4 rng_philox(uint64_t seed, uint32_t c0, uint32_t c1, uint32_t c2, uint32_t c3);

/* One 32-bit word: word (b & 3) of block b >> 2, whose counter is (b >> 2, a, stream, 0). a, e.g. the step;
 * b, e.g. the element; b < 2^34. */
uint32_t rng_u32(uint64_t seed, uint32_t stream, uint32_t a, uint64_t b);

float rng_uniform(uint64_t seed, uint32_t stream, uint32_t a, uint64_t b); /* [0, 1), 24 bits */
float rng_normal(uint64_t seed, uint32_t stream, uint32_t a,
                 uint64_t b); /* N(0, 1), Box-Muller on one block */
uint32_t rng_below(uint64_t seed, uint32_t stream, uint32_t a, uint64_t b, uint32_t n); /* [0, n), n > 0 */

/* A permutation of 0..n-1 (Fisher-Yates). */
void rng_permutation(uint64_t seed, uint32_t stream, uint32_t a, int n, int *out);

#endif
