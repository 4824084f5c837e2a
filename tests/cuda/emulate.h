/* tests/cuda/emulate.h -- CUDA kernels on the host: the .cu files of core/cuda compile against this instead of nvcc's
 * headers.
 *
 * Work is queued, as in a stream, and done when the host waits for it (emulate.cpp): so a buffer that is reused too
 * early is found. The threads of a block run one after the other, each up to the next barrier. From barrier to
 * barrier their order is reversed: so a missing barrier is found. */
#ifndef CLEAVE_TESTS_EMULATE_H
#define CLEAVE_TESTS_EMULATE_H

#include <functional>

#include <math.h>
#include <stdint.h>
#include <vector_types.h> /* dim3 */

extern dim3 threadIdx, blockIdx, blockDim, gridDim;
void __syncthreads(void);

#undef __global__
#undef __device__
#undef __shared__
#undef __launch_bounds__
#define __global__ static
#define __device__
#define __launch_bounds__(...)
#define UNROLL
#define __shared__ static /* one block runs at a time */

/* What a backend is told when it is opened. 132, the number of an H100, unless a test changes it. */
extern "C" int emulated_multiprocessors;

/* Queues the work, or records it while a recording is going on. */
void emulate_do(const std::function<void()> &work);
void emulate_kernel(dim3 grid, dim3 block, bool barriers, const std::function<void()> &thread);

/* Arguments are copied at the launch, as on a device. */
template <typename... P, typename... A>
static inline int emulate_launch(dim3 grid, dim3 block, bool barriers, void (*kernel)(P...), A... arguments)
{
    if (block.x * block.y * block.z < 1 || block.x > 1024 || grid.y > 65535 || grid.x < 1 || grid.y < 1)
        return 9;
    emulate_do([=] { emulate_kernel(grid, block, barriers, [=] { kernel(arguments...); }); });
    return 0;
}

static inline void add_count(int64_t *to, int64_t count)
{
    *to += count;
}

#define LAUNCH(kernel, grid, block, stream, ...)                                                             \
    ((void)(stream), emulate_launch(grid, block, false, kernel, __VA_ARGS__))
#define LAUNCH_BLOCKS(kernel, grid, block, stream, ...)                                                      \
    ((void)(stream), emulate_launch(grid, block, true, kernel, __VA_ARGS__))

#endif
