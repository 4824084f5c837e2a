/* tests/cuda/emulate.cpp -- the functions of emulate.h, and the CUDA run-time functions that the backend calls. The
 * device's memory is host memory; it is filled with NaN when it is allocated, and has guards on both sides. */
#include <deque>
#include <vector>

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#include "emulate.h"
#include <cuda_runtime_api.h>

static void die(const char *what)
{
    fprintf(stderr, "emulated device: %s\n", what);
    abort();
}

/* --- a block of threads --- */

dim3 threadIdx, blockIdx, blockDim, gridDim;

/* Each thread has a stack of its own, which is made once. _setjmp and _longjmp switch between them without a system
 * call. */
enum { STACK = 256 << 10 };
struct fibre {
    ucontext_t context;
    jmp_buf place;
    bool entered, done;
};
static std::vector<fibre *> fibres;
static jmp_buf scheduler;
static size_t running;
static const std::function<void()> *body;

void __syncthreads(void)
{
    if (_setjmp(fibres[running]->place) == 0) _longjmp(scheduler, 1);
}

static void enter(void)
{
    for (;;) { /* as thread `running` of one block, then of the next */
        (*body)();
        fibres[running]->done = true;
        __syncthreads();
    }
}

static void resume(size_t i)
{
    running = i;
    threadIdx = dim3((unsigned)i);
    if (_setjmp(scheduler)) return;
    if (fibres[i]->entered) _longjmp(fibres[i]->place, 1);
    fibres[i]->entered = true;
    setcontext(&fibres[i]->context);
}

static fibre *make_fibre(void)
{
    fibre *f = (fibre *)calloc(1, sizeof *f);
    char *stack = (char *)calloc(1, STACK);
    if (!f || !stack) die("no room for a thread");
    if (getcontext(&f->context)) die("no context for a thread");
    f->context.uc_stack.ss_sp = stack;
    f->context.uc_stack.ss_size = STACK;
    f->context.uc_link = nullptr;
    makecontext(&f->context, enter, 0);
    return f;
}

/* Runs all threads from barrier to barrier. They must all reach the same barriers. */
static void run_block_with_barriers(size_t threads)
{
    while (fibres.size() < threads) fibres.push_back(make_fibre());
    for (size_t i = 0; i < threads; i++) fibres[i]->done = false;
    for (int round = 0;; round++) {
        size_t done = 0;
        for (size_t i = 0; i < threads; i++) {
            const size_t t = round % 2 ? threads - 1 - i : i;
            resume(t);
            done += fibres[t]->done;
        }
        if (done == threads) return;
        if (done) die("some threads of a block wait at a barrier that others never reach");
    }
}

void emulate_kernel(dim3 grid, dim3 block, bool barriers, const std::function<void()> &thread)
{
    body = &thread;
    blockDim = block;
    gridDim = grid;
    for (unsigned y = 0; y < grid.y; y++)
        for (unsigned x = 0; x < grid.x; x++) {
            blockIdx = dim3(x, y);
            if (barriers) {
                run_block_with_barriers(block.x);
                continue;
            }
            for (unsigned t = 0; t < block.x; t++) {
                threadIdx = dim3(t);
                thread();
            }
        }
}

/* --- the stream --- */

typedef std::vector<std::function<void()>> recording;
static std::deque<std::function<void()>> queue;
static recording *capture;

void emulate_do(const std::function<void()> &work)
{
    if (capture)
        capture->push_back(work);
    else
        queue.push_back(work);
}

static bool work_one(void)
{
    if (queue.empty()) return false;
    const std::function<void()> work = queue.front();
    queue.pop_front();
    work();
    return true;
}

static void must_not_record(const char *what)
{
    if (capture) die(what);
}

/* --- the run-time functions --- */

enum { GUARD = 256, NAN_BYTE = 0xff, GUARD_BYTE = 0xa5 };

struct header {
    size_t bytes;
    char guard[GUARD - sizeof(size_t)];
};

static void check_guard(const char *at, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        if ((unsigned char)at[i] != GUARD_BYTE) die("memory outside of an allocation was written");
}

struct emulated_event {
    int recorded, reached;
};

extern "C" {

cudaError_t cudaMalloc(void **out, size_t bytes)
{
    header *h = (header *)aligned_alloc(GUARD, (sizeof(header) + bytes + GUARD + GUARD - 1) / GUARD * GUARD);
    must_not_record("cudaMalloc in a recorded step");
    if (!h) return cudaErrorMemoryAllocation;
    h->bytes = bytes;
    memset(h->guard, GUARD_BYTE, sizeof h->guard);
    memset(h + 1, NAN_BYTE, bytes);
    memset((char *)(h + 1) + bytes, GUARD_BYTE, GUARD);
    *out = h + 1;
    return cudaSuccess;
}

cudaError_t cudaFree(void *memory)
{
    must_not_record("cudaFree in a recorded step");
    while (work_one()) continue;
    if (!memory) return cudaSuccess;
    header *h = (header *)memory - 1;
    check_guard(h->guard, sizeof h->guard);
    check_guard((char *)memory + h->bytes, GUARD);
    free(h);
    return cudaSuccess;
}

cudaError_t cudaHostAlloc(void **out, size_t bytes, unsigned)
{
    return (*out = malloc(bytes)) ? cudaSuccess : cudaErrorMemoryAllocation;
}

cudaError_t cudaFreeHost(void *memory)
{
    free(memory);
    return cudaSuccess;
}

cudaError_t cudaMemsetAsync(void *to, int value, size_t bytes, cudaStream_t)
{
    emulate_do([=] { memset(to, value, bytes); });
    return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, cudaMemcpyKind, cudaStream_t)
{
    must_not_record("a copy between host and device in a recorded step");
    emulate_do([=] { memcpy(to, from, bytes); });
    return cudaSuccess;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *out, unsigned)
{
    *out = (cudaStream_t)malloc(1);
    return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t stream)
{
    free(stream);
    return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t)
{
    must_not_record("waiting in a recorded step");
    while (work_one()) continue;
    return cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *out, unsigned)
{
    *out = (cudaEvent_t)calloc(1, sizeof(emulated_event));
    return cudaSuccess;
}

cudaError_t cudaEventDestroy(cudaEvent_t event)
{
    while (work_one()) continue;
    free(event);
    return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t)
{
    emulated_event *e = (emulated_event *)event;
    const int number = ++e->recorded;
    must_not_record("an event in a recorded step");
    emulate_do([=] { e->reached = number; });
    return cudaSuccess;
}

/* Does no more work than needed. */
cudaError_t cudaEventSynchronize(cudaEvent_t event)
{
    const emulated_event *e = (const emulated_event *)event;
    must_not_record("waiting in a recorded step");
    while (e->reached < e->recorded && work_one()) continue;
    return cudaSuccess;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t, cudaStreamCaptureMode)
{
    must_not_record("a recording in a recording");
    capture = new recording;
    return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t, cudaGraph_t *out)
{
    *out = (cudaGraph_t)capture;
    capture = nullptr;
    return *out ? cudaSuccess : cudaErrorStreamCaptureInvalidated;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t *out, cudaGraph_t graph, unsigned long long)
{
    *out = (cudaGraphExec_t) new recording(*(recording *)graph);
    return cudaSuccess;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t graph, cudaStream_t)
{
    must_not_record("a launch of a recording in a recording");
    for (const std::function<void()> &work : *(recording *)graph) queue.push_back(work);
    return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph)
{
    delete (recording *)graph;
    return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t graph)
{
    delete (recording *)graph;
    return cudaSuccess;
}

cudaError_t cudaGetDeviceCount(int *count)
{
    *count = 1;
    return cudaSuccess;
}

int emulated_multiprocessors = 132;

cudaError_t cudaGetDeviceProperties(cudaDeviceProp *out, int)
{
    memset(out, 0, sizeof *out);
    strcpy(out->name, "emulated device");
    out->major = 9;
    out->multiProcessorCount = emulated_multiprocessors;
    return cudaSuccess;
}

cudaError_t cudaSetDevice(int)
{
    return cudaSuccess;
}

cudaError_t cudaGetLastError(void)
{
    return cudaSuccess;
}

cudaError_t cudaDriverGetVersion(int *version)
{
    *version = CUDART_VERSION;
    return cudaSuccess;
}

const char *cudaGetErrorString(cudaError_t)
{
    return "an emulated error";
}
}
