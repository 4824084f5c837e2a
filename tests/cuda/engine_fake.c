/* tests/cuda/engine_fake.c -- core/cuda/engine.h without cuDNN, for the emulated device: our own kernels where they
 * fit, else plain loops. */
#include "../../core/cuda/engine.h"
#include "libraries.h"

#include <stdlib.h>

struct engine {
    conv_problem problem;
};

conv_problem conv_problem_of(const op *o, conv_direction direction, bool add, bool tf32)
{
    return (conv_problem){ direction, add, tf32, o->type, o->x, o->y, o->conv };
}

status engine_open(cuda *c, const conv_problem *p, engine **out, size_t *workspace)
{
    status st = OK;
    TRY_ALLOC(*out, calloc(1, sizeof **out));
    (*out)->problem = *p;
    *workspace = own_fits(p) ? own_workspace(c, p) : FAKE_WORKSPACE;
out:
    return st;
}

void engine_close(engine *e)
{
    free(e);
}

void choices_forget(cuda *c)
{
    (void)c;
}

status choices_load(backend *b, const char *path)
{
    (void)b, (void)path;
    return OK;
}

status choices_save(const backend *b, const char *path)
{
    (void)b, (void)path;
    return OK;
}

/* Like the memory in which engines are timed: cudaMalloc aligns to 256 bytes. */
static bool is_aligned(const void *memory)
{
    return (uintptr_t)memory % 256 == 0;
}

status engine_run(engine *e, cuda *c, const void *x, const void *w, const void *y, void *workspace)
{
    const conv_problem *p = &e->problem;
    const fake_conv conv = { p->direction, p->add, p->type, p->x, p->y, p->conv };
    if (!is_aligned(x) || !is_aligned(y) || !is_aligned(workspace))
        return status_set(ERR_RUNTIME, __FILE__, __LINE__, "an engine was given memory that is not aligned");
    if (own_fits(p)) return own_run(c, p, x, w, y, workspace);
    fake_conv_run(&conv, x, w, y, workspace);
    return OK;
}

cudnnStatus_t cudnnCreate(cudnnHandle_t *out)
{
    *out = malloc(1);
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnDestroy(cudnnHandle_t handle)
{
    free(handle);
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnSetStream(cudnnHandle_t handle, cudaStream_t stream)
{
    (void)handle, (void)stream;
    return CUDNN_STATUS_SUCCESS;
}

size_t cudnnGetVersion(void)
{
    return CUDNN_VERSION;
}

const char *cudnnGetErrorString(cudnnStatus_t answer)
{
    (void)answer;
    return "an emulated error";
}
