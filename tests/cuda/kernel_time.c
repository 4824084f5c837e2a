/* tests/cuda/kernel_time.c -- CUPTI fills buffers with records of kernels and returns them in a thread of its own. */
#include "kernel_time.h"

#ifdef CLEAVE_CUPTI
#include <cupti.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { BUFFER_BYTES = 4 << 20 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* protects the variables below */
static kernel_times times;
static size_t lost;

static void CUPTIAPI give_buffer(uint8_t **buffer, size_t *bytes, size_t *most)
{
    *buffer = aligned_alloc(8, BUFFER_BYTES);
    *bytes = *buffer ? BUFFER_BYTES : 0;
    *most = 0; /* as many as fit */
}

static void add(const char *name, double seconds)
{
    int i = 0;
    times.seconds += seconds;
    while (i < times.n && strcmp(times.kernel[i].name, name) != 0) i++;
    if (i == KERNEL_NAMES) return;
    if (i == times.n) times.kernel[times.n++] = (kernel_time){ .name = name };
    times.kernel[i].seconds += seconds;
    times.kernel[i].launches++;
}

static void CUPTIAPI take_buffer(CUcontext context, uint32_t stream, uint8_t *buffer, size_t bytes,
                                 size_t valid)
{
    CUpti_Activity *record = NULL;
    size_t dropped = 0;
    (void)bytes;
    pthread_mutex_lock(&lock);
    while (cuptiActivityGetNextRecord(buffer, valid, &record) == CUPTI_SUCCESS) {
        if (record->kind != CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL) continue;
        /* Newer versions of the record only add members at the end. */
        const CUpti_ActivityKernel4 *kernel = (const CUpti_ActivityKernel4 *)record;
        if (kernel->end > kernel->start)
            add(kernel->name ? kernel->name : "?", 1e-9 * (double)(kernel->end - kernel->start));
        else
            lost++;
    }
    if (cuptiActivityGetNumDroppedRecords(context, stream, &dropped) == CUPTI_SUCCESS) lost += dropped;
    pthread_mutex_unlock(&lock);
    free(buffer);
}

#define TRY_CUPTI(call)                                                                                      \
    do {                                                                                                     \
        const CUptiResult cupti_answer = (call);                                                             \
        const char *cupti_text = "an unknown error";                                                         \
        if (cupti_answer != CUPTI_SUCCESS) {                                                                 \
            cuptiGetResultString(cupti_answer, &cupti_text);                                                 \
            FAIL(ERR_RUNTIME, "CUPTI: %s from " #call, cupti_text);                                          \
        }                                                                                                    \
    } while (0)

status kernel_time_start(void)
{
    status st = OK;
    TRY_CUPTI(cuptiActivityRegisterCallbacks(give_buffer, take_buffer));
    TRY_CUPTI(cuptiActivityEnable(CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL));
out:
    return st;
}

static int longest_first(const void *a, const void *b)
{
    const double x = ((const kernel_time *)a)->seconds, y = ((const kernel_time *)b)->seconds;
    return (x < y) - (x > y);
}

status kernel_times_read(kernel_times *out)
{
    status st = OK;
    TRY_CUPTI(cuptiActivityFlushAll(CUPTI_ACTIVITY_FLAG_FLUSH_FORCED));
    pthread_mutex_lock(&lock);
    const size_t missing = lost;
    *out = times;
    times = (kernel_times){ 0 };
    lost = 0;
    pthread_mutex_unlock(&lock);
    if (missing) FAIL(ERR_RUNTIME, "CUPTI lost %zu records of kernels", missing);
    if (out->n == 0) FAIL(ERR_RUNTIME, "CUPTI recorded no kernels");
    qsort(out->kernel, (size_t)out->n, sizeof *out->kernel, longest_first);
out:
    return st;
}
#else
status kernel_time_start(void)
{
    return status_set(ERR_RUNTIME, __FILE__, __LINE__, "built without CUPTI (cupti.h, libcupti)");
}

status kernel_times_read(kernel_times *out)
{
    *out = (kernel_times){ 0 };
    return kernel_time_start();
}
#endif
