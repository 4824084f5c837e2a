/* core/base/rng.c -- see rng.h. */
#include "rng.h"

#include <math.h>

/* `attempt` is the last word of the counter: > 0 only after rng_below has rejected a number. */
static rng4 block_of(uint64_t seed, uint32_t stream, uint32_t a, uint64_t b, uint32_t attempt)
{
    return philox(seed, (uint32_t)(b >> 2), a, stream, attempt);
}

uint32_t rng_u32(uint64_t seed, uint32_t stream, uint32_t a, uint64_t b)
{
    return block_of(seed, stream, a, b, 0).v[b & 3];
}

float rng_uniform(uint64_t seed, uint32_t stream, uint32_t a, uint64_t b)
{
    return philox_uniform(seed, stream, a, b);
}

/* Box-Muller: two words give a radius and an angle, and these give two numbers: the even b the cosine, the odd b the
 * sine. u is in (0, 1], so that log(u) is finite. */
float rng_normal(uint64_t seed, uint32_t stream, uint32_t a, uint64_t b)
{
    rng4 block = block_of(seed, stream, a, b, 0);
    const uint32_t *pair = &block.v[b & 2];
    double u = ((double)pair[0] + 1) * 0x1p-32;
    double angle = 2 * M_PI * ((double)pair[1] * 0x1p-32);
    double radius = sqrt(-2 * log(u));
    return (float)(radius * (b & 1 ? sin(angle) : cos(angle)));
}

/* [Lemire19] "Fast random integer generation in an interval": the high half of word * n. Some results would come from
 * one more word than others; words whose low half is below 2^32 mod n are rejected, which makes all equally likely. */
uint32_t rng_below(uint64_t seed, uint32_t stream, uint32_t a, uint64_t b, uint32_t n)
{
    uint32_t unfair = -n % n; /* 2^32 mod n */
    for (uint32_t attempt = 0;; attempt++) {
        uint64_t product = (uint64_t)block_of(seed, stream, a, b, attempt).v[b & 3] * n;
        if ((uint32_t)product >= unfair) return (uint32_t)(product >> 32);
    }
}

void rng_permutation(uint64_t seed, uint32_t stream, uint32_t a, int n, int *out)
{
    for (int i = 0; i < n; i++) out[i] = i;
    for (int i = n - 1; i > 0; i--) {
        int j = (int)rng_below(seed, stream, a, (uint64_t)i, (uint32_t)i + 1);
        int t = out[i];
        out[i] = out[j];
        out[j] = t;
    }
}
