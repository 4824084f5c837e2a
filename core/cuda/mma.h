/* core/cuda/mma.h -- a product by the tensor cores of a warp, d [16][8] += a [16][16] b [16][8]: bf16, sums in f32;
 * and what brings its factors from shared memory. They are PTX's mma.sync.m16n8k16 and ldmatrix. For the product, lane = 4 g + t of
 * a warp holds, two values beside each other in a register,
 *
 *   a[0]  row g,      columns 2t, 2t + 1     b[0]  rows 2t, 2t + 1 of column g      d[0], d[1]  row g, columns 2t, 2t + 1
 *   a[1]  row g + 8                          b[1]  rows 2t + 8, 2t + 9              d[2], d[3]  row g + 8
 *   a[2], a[3]  the same, columns + 8
 *
 * All threads of the warp must come here; on the emulated device, of the block. */
#ifndef CLEAVE_CUDA_MMA_H
#define CLEAVE_CUDA_MMA_H

#include "device.h"

#include <assert.h>

#ifdef __CUDACC__
__device__ static inline void mma(float d[4], const uint32_t a[4], const uint32_t b[2])
{
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
        "{%0, %1, %2, %3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

/* Four squares of 8 x 8 values in shared memory. Lane 8 m + i says where row i of square m is, aligned to 16 bytes. Lane
 * 4 g + t is given, of each square, row g, columns 2t and 2t + 1; of TURNED ones rows 2t and 2t + 1 of column g. */
template <bool TURNED> __device__ static inline void load_squares(const bf16 *row, uint32_t v[4])
{
    const unsigned at = (unsigned)__cvta_generic_to_shared(row);
    if (TURNED)
        asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                     : "=r"(v[0]), "=r"(v[1]), "=r"(v[2]), "=r"(v[3])
                     : "r"(at)
                     : "memory");
    else
        asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                     : "=r"(v[0]), "=r"(v[1]), "=r"(v[2]), "=r"(v[3])
                     : "r"(at)
                     : "memory");
}
#else
/* Value i of a register: 0 or 1. */
static inline float half_of(uint32_t pair, int i)
{
    const bf16 v = { (uint16_t)(pair >> 16 * i) };
    return bf16_to_float(v);
}

static inline void mma(float d[4], const uint32_t a[4], const uint32_t b[2])
{
    static uint32_t all_a[1024][4], all_b[1024][2];
    const int t = (int)threadIdx.x, warp = t / 32 * 32, lane = t % 32;
    memcpy(all_a[t], a, sizeof all_a[t]);
    memcpy(all_b[t], b, sizeof all_b[t]);
    __syncthreads();
    for (int i = 0; i < 4; i++)
        for (int k = 0; k < 16; k++) {
            const int row = lane / 4 + (i / 2) * 8, col = lane % 4 * 2 + i % 2;
            const uint32_t *left = all_a[warp + row % 8 * 4 + k % 8 / 2];
            const uint32_t *right = all_b[warp + col * 4 + k % 8 / 2];
            d[i] += half_of(left[row / 8 + k / 8 * 2], k % 2) * half_of(right[k / 8], k % 2);
        }
    __syncthreads();
}

template <bool TURNED> static inline void load_squares(const bf16 *row, uint32_t v[4])
{
    static const bf16 *rows[1024];
    const int thread = (int)threadIdx.x, warp = thread / 32 * 32, g = thread % 32 / 4, t = thread % 4;
    assert((uintptr_t)row % 16 == 0);
    rows[thread] = row;
    __syncthreads();
    for (int m = 0; m < 4; m++) {
        const bf16 *const *square = &rows[warp + 8 * m];
        const bf16 low = TURNED ? square[2 * t][g] : square[g][2 * t];
        const bf16 high = TURNED ? square[2 * t + 1][g] : square[g][2 * t + 1];
        v[m] = low.bits | (uint32_t)high.bits << 16;
    }
    __syncthreads();
}
#endif

#endif
