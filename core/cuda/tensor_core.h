/* core/cuda/tensor_core.h -- a warp's product by tensor cores, d [16][8] += a [16][16] b [16][8]. The factors are
 * bf16, the sums f32. mma is PTX's mma.sync.m16n8k16; load_squares is PTX's ldmatrix, which fetches the factors from
 * shared memory.
 *
 * The 32 threads (lanes) of a warp hold the matrices together, in registers; a register of a or b holds two bf16
 * values. Lane 4 g + t holds
 *
 *   of a   a[0]        row g,     columns 2t, 2t + 1        of b   b[0]   column g, rows 2t, 2t + 1
 *          a[1]        row g + 8, columns 2t, 2t + 1               b[1]   column g, rows 2t + 8, 2t + 9
 *          a[2], a[3]  like a[0], a[1], columns + 8
 *   of d   d[0], d[1]  row g,     columns 2t, 2t + 1
 *          d[2], d[3]  row g + 8, columns 2t, 2t + 1
 *
 * All threads of the warp must call both functions; on the emulated device, all threads of the block. */
#ifndef CLEAVE_TENSOR_CORE_H
#define CLEAVE_TENSOR_CORE_H

#include "launch.h"

#include <assert.h>

#ifdef __CUDACC__
__device__ static inline void mma(float d[4], const uint32_t a[4], const uint32_t b[2])
{
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
        "{%0, %1, %2, %3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

/* Loads four squares of 8 x 8 values from shared memory. Lane 8 m + i passes the address of row i of square m,
 * aligned to 16 bytes. In v[m], lane 4 g + t gets row g, columns 2t and 2t + 1 of square m; if TRANSPOSED, column g,
 * rows 2t and 2t + 1. */
template <bool TRANSPOSED> __device__ static inline void load_squares(const bf16 *row, uint32_t v[4])
{
    const unsigned at = (unsigned)__cvta_generic_to_shared(row);
    if (TRANSPOSED)
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
/* The lower (i = 0) or upper (i = 1) value of a register. */
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

template <bool TRANSPOSED> static inline void load_squares(const bf16 *row, uint32_t v[4])
{
    static const bf16 *rows[1024];
    const int thread = (int)threadIdx.x, warp = thread / 32 * 32, g = thread % 32 / 4, t = thread % 4;
    assert((uintptr_t)row % 16 == 0);
    rows[thread] = row;
    __syncthreads();
    for (int m = 0; m < 4; m++) {
        const bf16 *const *square = &rows[warp + 8 * m];
        const bf16 low = TRANSPOSED ? square[2 * t][g] : square[g][2 * t];
        const bf16 high = TRANSPOSED ? square[2 * t + 1][g] : square[g][2 * t + 1];
        v[m] = low.bits | (uint32_t)high.bits << 16;
    }
    __syncthreads();
}
#endif

#endif
