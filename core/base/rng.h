/* core/base/rng.h -- counter-based random numbers: Philox4x32-10, [Salmon11] "Parallel random numbers: as easy as
 * 1, 2, 3". A number is a pure function of (seed, stream, a, b), so every device and any number of threads draw the
 * same numbers, and a resumed run needs no saved state. */
#ifndef CLEAVE_RNG_H
#define CLEAVE_RNG_H

#include "philox.h"

#include <stdint.h>

/* A stream for each purpose: equal counters in two streams give independent numbers. */
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

/* 32 random bits: word (b & 3) of the Philox block with counter (b >> 2, a, stream, 0). a is, for example, the step,
 * and b < 2^34 the element. */
uint32_t rng_u32(uint64_t seed, uint32_t stream, uint32_t a, uint64_t b);

/* Uniform in [0, 1), a multiple of 2^-24. */
float rng_uniform(uint64_t seed, uint32_t stream, uint32_t a, uint64_t b);
/* Normal, mean 0 and variance 1 (Box-Muller). */
float rng_normal(uint64_t seed, uint32_t stream, uint32_t a, uint64_t b);
/* Uniform in 0 .. n-1, n > 0. */
uint32_t rng_below(uint64_t seed, uint32_t stream, uint32_t a, uint64_t b, uint32_t n);

/* A random permutation of 0 .. n-1 (Fisher-Yates). */
void rng_permutation(uint64_t seed, uint32_t stream, uint32_t a, int n, int *out);

#endif
