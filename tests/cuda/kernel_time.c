/* tests/cuda/kernel_time.c -- CUPTI hands out records of kernels in buffers, from a thread of its own. */
#include "kernel_time.h"

#ifdef CLEAVE_CUPTI
#include <cupti.h>

#include <stdatomic.h>
#include <stdlib.h>

enum { BUFFER_BYTES = 4 << 20 };

static _Atomic int64_t nanoseconds, count, lost;

static void CUPTIAPI give_buffer(uint8_t **buffer, size_t *bytes, size_t *most)
{
    *buffer = aligned_alloc(8, BUFFER_BYTES);
    *bytes = *buffer ? BUFFER_BYTES : 0;
    *most = 0; /* as many as fit */
}

static void CUPTIAPI take_buffer(CUcontext context, uint32_t stream, uint8_t *buffer, size_t bytes,
                                 size_t valid)
{
    CUpti_Activity *record = NULL;
    size_t dropped = 0;
    (void)bytes;
    while (cuptiActivityGetNextRecord(buffer, valid, &record) == CUPTI_SUCCESS) {
        if (record->kind != CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL) continue;
        /* Newer versions of the record only have more members behind. */
        const CUpti_ActivityKernel4 *kernel = (const CUpti_ActivityKernel4 *)record;
        nanoseconds += (int64_t)(kernel->end - kernel->start);
        count++;
    }
    if (cuptiActivityGetNumDroppedRecords(context, stream, &dropped) == CUPTI_SUCCESS)
        lost += (int64_t)dropped;
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

status kernel_time_read(double *seconds, int64_t *kernels)
{
    status st = OK;
    TRY_CUPTI(cuptiActivityFlushAll(CUPTI_ACTIVITY_FLAG_FLUSH_FORCED));
    *seconds = 1e-9 * (double)atomic_exchange(&nanoseconds, 0);
    *kernels = atomic_exchange(&count, 0);
    if (atomic_exchange(&lost, 0)) FAIL(ERR_RUNTIME, "CUPTI lost records of kernels");
out:
    return st;
}
#else
status kernel_time_start(void)
{
    return status_set(ERR_RUNTIME, __FILE__, __LINE__, "built without CUPTI (cupti.h, libcupti)");
}

status kernel_time_read(double *seconds, int64_t *kernels)
{
    *seconds = 0;
    *kernels = 0;
    return kernel_time_start();
}
#endif
