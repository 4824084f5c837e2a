/* tests/cuda/fake_plans.h -- cuDNN for core/cuda/engine.c alone: a plan is its text. One file of a program includes this. */
#ifndef CLEAVE_TESTS_FAKE_PLANS_H
#define CLEAVE_TESTS_FAKE_PLANS_H

#include "../../core/cuda/cudnn_graph.h"

#include <stdlib.h>
#include <string.h>

static int n_open; /* plans */

static descriptor new_plan(const char *text)
{
    n_open++;
    return (descriptor)strdup(text);
}

cudnnStatus_t cudnnBackendDestroyDescriptor(cudnnBackendDescriptor_t d)
{
    n_open--;
    free(d);
    return CUDNN_STATUS_SUCCESS;
}

size_t cudnnGetVersion(void)
{
    return 91900;
}

status execution_plan_to_json(descriptor made, char **out)
{
    *out = strdup((const char *)made);
    return OK;
}

status execution_plan_from_json(cudnnHandle_t cudnn, descriptor device, const char *json, descriptor *out)
{
    (void)cudnn, (void)device;
    if (json[0] != '{') return status_set(ERR_RUNTIME, __FILE__, __LINE__, "cuDNN: not a plan");
    *out = new_plan(json);
    return OK;
}

status execution_plan_workspace(descriptor made, size_t *bytes)
{
    *bytes = strlen((const char *)made);
    return OK;
}

/* What only engines that run need: none does here. */
status variant_pack_open(const void *x, const void *w, const void *y, void *workspace, descriptor *out)
{
    (void)x, (void)w, (void)y, (void)workspace, (void)out;
    abort();
}

cudnnStatus_t cudnnBackendExecute(cudnnHandle_t cudnn, descriptor made, descriptor pack)
{
    (void)cudnn, (void)made, (void)pack;
    abort();
}

const char *cudnnGetErrorString(cudnnStatus_t answer)
{
    (void)answer;
    abort();
}

status own_run(cuda *c, const conv_problem *p, const void *x, const void *w, const void *y, void *workspace)
{
    (void)c, (void)p, (void)x, (void)w, (void)y, (void)workspace;
    abort();
}

#endif
