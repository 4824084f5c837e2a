/* core/base/philox.h -- Philox4x32-10, [Salmon11] sec. 3.3 and table 2. The host (core/base/rng.c) and CUDA devices
 * (core/cuda/) compile the same code, so that they draw the same numbers. */
#ifndef CLEAVE_PHILOX_H
#define CLEAVE_PHILOX_H

#include "host_device.h"

#include <stdint.h>

typedef struct rng4 {
    uint32_t v[4];
} rng4;

/* One round: two products of 32 x 32 -> 64 bits; their high halves are mixed with the key and the other words. */
HOST_DEVICE rng4 philox_round(rng4 c, uint32_t k0, uint32_t k1)
{
    const uint64_t p0 = (uint64_t)0xD2511F53u * c.v[0];
    const uint64_t p1 = (uint64_t)0xCD9E8D57u * c.v[2];
    const rng4 next = { { (uint32_t)(p1 >> 32) ^ c.v[1] ^ k0, (uint32_t)p1,
                          (uint32_t)(p0 >> 32) ^ c.v[3] ^ k1, (uint32_t)p0 } };
    return next;
}

/* key = (seed low, seed high), counter = (c0, c1, c2, c3). */
HOST_DEVICE rng4 philox(uint64_t seed, uint32_t c0, uint32_t c1, uint32_t c2, uint32_t c3)
{
    rng4 c = { { c0, c1, c2, c3 } };
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
    for (int round = 0; round < 10; round++) {
        c = philox_round(c, k0, k1);
        k0 += 0x9E3779B9u; /* golden ratio */
        k1 += 0xBB67AE85u; /* sqrt(3) - 1 */
    }
    return c;
}

/* rng_uniform (core/base/rng.h): the upper 24 bits of word (b & 3) of the block with counter (b >> 2, a, stream, 0). */
HOST_DEVICE float philox_uniform(uint64_t seed, uint32_t stream, uint32_t a, uint64_t b)
{
    return (float)(philox(seed, (uint32_t)(b >> 2), a, stream, 0).v[b & 3] >> 8) * 0x1p-24f;
}

#endif
