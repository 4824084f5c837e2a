/* core/cuda/cudnn_graph.c -- see cudnn_graph.h. */
#include "cudnn_graph.h"

#include <stdlib.h>
#include <string.h>

static status create(cudnnBackendDescriptorType_t type, descriptor *out)
{
    status st = OK;
    TRY_CUDNN(cudnnBackendCreateDescriptor(type, out));
out:
    return st;
}

static status set(descriptor d, cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, int64_t n,
                  const void *value)
{
    status st = OK;
    const cudnnStatus_t answer = cudnnBackendSetAttribute(d, name, type, n, value);
    if (answer) FAIL(ERR_RUNTIME, "cuDNN: %s for attribute %d", cudnnGetErrorString(answer), (int)name);
out:
    return st;
}

static status set_descriptor(descriptor d, cudnnBackendAttributeName_t name, descriptor value)
{
    return set(d, name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &value);
}

static status finalise(descriptor d, const char *what)
{
    status st = OK;
    const cudnnStatus_t answer = cudnnBackendFinalize(d);
    char text[256] = "";
    if (answer) {
        cudnnGetLastErrorString(text, sizeof text);
        text[strcspn(text, "\n")] = '\0';
        FAIL(ERR_RUNTIME, "cuDNN: %s: %s (%s)", what, cudnnGetErrorString(answer), text);
    }
out:
    return st;
}

static cudnnDataType_t library_type(dtype type)
{
    return type == F32 ? CUDNN_DATA_FLOAT : CUDNN_DATA_BFLOAT16;
}

/* --- the operation --- */

/* Names of the tensors, between operation graph and variant pack. */
enum { UID_X = 1, UID_W = 2, UID_Y = 3 };

/* dims in the order N, C, H, W (for weights K, C, R, S). In memory, channels are innermost. */
static status tensor(dtype type, int64_t uid, const int64_t dims[4], descriptor *out)
{
    status st = OK;
    const cudnnDataType_t data = library_type(type);
    const int64_t c = dims[1], h = dims[2], w = dims[3], strides[4] = { c * h * w, 1, w * c, c },
                  alignment = 16;
    TRY(create(CUDNN_BACKEND_TENSOR_DESCRIPTOR, out));
    TRY(set(*out, CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &data));
    TRY(set(*out, CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, 4, dims));
    TRY(set(*out, CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, 4, strides));
    TRY(set(*out, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1, &uid));
    TRY(set(*out, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, 1, &alignment));
    TRY(finalise(*out, "a tensor"));
out:
    return st;
}

static status convolution(const conv_desc *c, descriptor *out)
{
    status st = OK;
    const cudnnDataType_t compute = CUDNN_DATA_FLOAT;
    const cudnnConvolutionMode_t mode = CUDNN_CROSS_CORRELATION;
    const int64_t axes = 2, pads[2] = { c->pad, c->pad }, strides[2] = { c->stride, c->stride },
                  ones[2] = { 1, 1 };
    TRY(create(CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR, out));
    TRY(set(*out, CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &compute));
    TRY(set(*out, CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, 1, &mode));
    TRY(set(*out, CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, CUDNN_TYPE_INT64, 1, &axes));
    TRY(set(*out, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, CUDNN_TYPE_INT64, 2, pads));
    TRY(set(*out, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, CUDNN_TYPE_INT64, 2, pads));
    TRY(set(*out, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, CUDNN_TYPE_INT64, 2, strides));
    TRY(set(*out, CUDNN_ATTR_CONVOLUTION_DILATIONS, CUDNN_TYPE_INT64, 2, ones));
    TRY(finalise(*out, "a convolution"));
out:
    return st;
}

/* The three directions have the same attributes under different names. */
static const struct {
    cudnnBackendDescriptorType_t type;
    cudnnBackendAttributeName_t x, w, y, conv, alpha, beta;
} operations[] = {
    [CONV_FORWARD] = { CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR,
                       CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W,
                       CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y,
                       CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC,
                       CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA,
                       CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA },
    [CONV_DATA] = { CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR,
                    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W,
                    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY,
                    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC,
                    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA,
                    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA },
    [CONV_WEIGHTS] = { CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR,
                       CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X,
                       CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW,
                       CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY,
                       CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC,
                       CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA,
                       CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA },
};

static status operation(const conv_problem *p, conv_graph *g)
{
    status st = OK;
    const float alpha = 1, beta = p->add ? 1 : 0;
    TRY(create(operations[p->direction].type, &g->operation));
    TRY(set_descriptor(g->operation, operations[p->direction].x, g->x));
    TRY(set_descriptor(g->operation, operations[p->direction].w, g->w));
    TRY(set_descriptor(g->operation, operations[p->direction].y, g->y));
    TRY(set_descriptor(g->operation, operations[p->direction].conv, g->conv));
    TRY(set(g->operation, operations[p->direction].alpha, CUDNN_TYPE_FLOAT, 1, &alpha));
    TRY(set(g->operation, operations[p->direction].beta, CUDNN_TYPE_FLOAT, 1, &beta));
    TRY(finalise(g->operation, "an operation"));
out:
    return st;
}

status conv_graph_open(const conv_problem *p, cudnnHandle_t cudnn, conv_graph *out)
{
    status st = OK;
    conv_graph g = { 0 };
    const int64_t x[4] = { p->x.n, p->x.c, p->x.h, p->x.w }, y[4] = { p->y.n, p->y.c, p->y.h, p->y.w };
    const int64_t w[4] = { p->conv.out, p->x.c / p->conv.groups, p->conv.kernel, p->conv.kernel };
    TRY(tensor(p->type, UID_X, x, &g.x));
    TRY(tensor(p->type, UID_W, w, &g.w));
    TRY(tensor(p->type, UID_Y, y, &g.y));
    TRY(convolution(&p->conv, &g.conv));
    TRY(operation(p, &g));
    TRY(create(CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR, &g.graph));
    TRY(set_descriptor(g.graph, CUDNN_ATTR_OPERATIONGRAPH_OPS, g.operation));
    if (cudnn) TRY(set(g.graph, CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, 1, &cudnn));
    TRY(finalise(g.graph, "an operation graph"));
    *out = g;
    g = (conv_graph){ 0 };
out:
    conv_graph_close(&g);
    return st;
}

void conv_graph_close(conv_graph *g)
{
    descriptor *const parts[] = { &g->graph, &g->operation, &g->conv, &g->y, &g->w, &g->x };
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) descriptor_close(parts[i]);
}

/* --- engines --- */

static status find_by(const conv_graph *g, descriptor device, cudnnBackendHeurMode_t mode,
                      engine_configs *out)
{
    status st = OK;
    descriptor heuristics = NULL;
    int64_t count = 0, got = 0;
    TRY(create(CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR, &heuristics));
    TRY(set_descriptor(heuristics, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, g->graph));
    TRY(set(heuristics, CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1, &mode));
    if (device) TRY(set_descriptor(heuristics, CUDNN_ATTR_ENGINEHEUR_DEVICEPROP, device));
    if (finalise(heuristics, "heuristics") != OK)
        goto out; /* this mode finds nothing; if none does, the caller reports the stored reason */
    TRY_CUDNN(cudnnBackendGetAttribute(heuristics, CUDNN_ATTR_ENGINEHEUR_RESULTS,
                                       CUDNN_TYPE_BACKEND_DESCRIPTOR, 0, &count, NULL));
    if (count > MAX_CONFIGS - out->n) count = MAX_CONFIGS - out->n;
    for (int64_t i = 0; i < count; i++)
        TRY(create(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, &out->config[out->n + i]));
    TRY_CUDNN(cudnnBackendGetAttribute(heuristics, CUDNN_ATTR_ENGINEHEUR_RESULTS,
                                       CUDNN_TYPE_BACKEND_DESCRIPTOR, count, &got, out->config + out->n));
    for (int64_t i = got; i < count; i++) descriptor_close(&out->config[out->n + i]);
    out->n += (int)got;
out:
    descriptor_close(&heuristics);
    return st;
}

status engine_configs_find(const conv_graph *g, descriptor device, engine_configs *out)
{
    status st = OK;
    *out = (engine_configs){ 0 };
    TRY(find_by(g, device, CUDNN_HEUR_MODE_A, out));
    TRY(find_by(g, device, CUDNN_HEUR_MODE_FALLBACK, out)); /* always works, but is slow: last */
out:
    if (st != OK) engine_configs_free(out);
    return st;
}

void engine_configs_free(engine_configs *c)
{
    for (int i = 0; i < MAX_CONFIGS; i++) descriptor_close(&c->config[i]);
    c->n = 0;
}

static status read_notes(descriptor chosen, engine_notes *out)
{
    status st = OK;
    cudnnBackendNumericalNote_t numerical[32];
    cudnnBackendBehaviorNote_t behaviour[32];
    int64_t n = 0;
    TRY_CUDNN(cudnnBackendGetAttribute(chosen, CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE,
                                       32, &n, numerical));
    for (int64_t i = 0; i < n; i++) {
        out->nondeterministic |= numerical[i] == CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC;
        out->rounds_sums |= numerical[i] == CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION;
        /* Winograd's largest tiles lose three digits of f32. */
        out->rounds_inputs |= numerical[i] == CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_13x13;
        out->rounds_inputs |= numerical[i] == CUDNN_NUMERICAL_NOTE_TENSOR_CORE ||
                              numerical[i] == CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS;
    }
    n = 0;
    TRY_CUDNN(cudnnBackendGetAttribute(chosen, CUDNN_ATTR_ENGINE_BEHAVIOR_NOTE, CUDNN_TYPE_BEHAVIOR_NOTE, 32,
                                       &n, behaviour));
    for (int64_t i = 0; i < n; i++) out->compiled |= behaviour[i] == CUDNN_BEHAVIOR_NOTE_RUNTIME_COMPILATION;
out:
    return st;
}

status engine_notes_read(descriptor config, engine_notes *out)
{
    status st = OK;
    descriptor chosen = NULL;
    int64_t n = 0;
    *out = (engine_notes){ 0 };
    TRY(create(CUDNN_BACKEND_ENGINE_DESCRIPTOR, &chosen));
    TRY_CUDNN(cudnnBackendGetAttribute(config, CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1,
                                       &n, &chosen));
    TRY_CUDNN(cudnnBackendGetAttribute(chosen, CUDNN_ATTR_ENGINE_GLOBAL_INDEX, CUDNN_TYPE_INT64, 1, &n,
                                       &out->engine));
    TRY(read_notes(chosen, out));
out:
    descriptor_close(&chosen);
    return st;
}

/* --- plans --- */

status execution_plan_from_config(cudnnHandle_t cudnn, descriptor config, descriptor *out)
{
    status st = OK;
    descriptor made = NULL;
    TRY(create(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR, &made));
    if (cudnn) TRY(set(made, CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, 1, &cudnn));
    TRY(set_descriptor(made, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, config));
    TRY(finalise(made, "an execution plan"));
    *out = made;
    made = NULL;
out:
    descriptor_close(&made);
    return st;
}

status execution_plan_from_json(cudnnHandle_t cudnn, descriptor device, const char *json, descriptor *out)
{
    status st = OK;
    descriptor made = NULL;
    TRY(create(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR, &made));
    if (cudnn)
        TRY(set(made, CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, 1, &cudnn));
    else
        TRY(set_descriptor(made, CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP, device));
    TRY(set(made, CUDNN_ATTR_EXECUTION_PLAN_JSON_REPRESENTATION, CUDNN_TYPE_CHAR, (int64_t)strlen(json),
            json));
    TRY(finalise(made, "a stored execution plan"));
    *out = made;
    made = NULL;
out:
    descriptor_close(&made);
    return st;
}

status execution_plan_to_json(descriptor made, char **out)
{
    status st = OK;
    int64_t bytes = 0;
    char *json = NULL;
    TRY_CUDNN(cudnnBackendGetAttribute(made, CUDNN_ATTR_EXECUTION_PLAN_JSON_REPRESENTATION, CUDNN_TYPE_CHAR,
                                       0, &bytes, NULL));
    TRY_ALLOC(json, calloc(1, (size_t)bytes + 1));
    TRY_CUDNN(cudnnBackendGetAttribute(made, CUDNN_ATTR_EXECUTION_PLAN_JSON_REPRESENTATION, CUDNN_TYPE_CHAR,
                                       bytes, &bytes, json));
    *out = json;
    json = NULL;
out:
    free(json);
    return st;
}

status execution_plan_workspace(descriptor made, size_t *bytes)
{
    status st = OK;
    int64_t n = 0, size = 0;
    TRY_CUDNN(cudnnBackendGetAttribute(made, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, CUDNN_TYPE_INT64, 1,
                                       &n, &size));
    *bytes = (size_t)size;
out:
    return st;
}

status device_properties_from_json(const char *json, descriptor *out)
{
    status st = OK;
    TRY(create(CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR, out));
    TRY(set(*out, CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, CUDNN_TYPE_CHAR, (int64_t)strlen(json), json));
    TRY(finalise(*out, "a description of a device"));
out:
    return st;
}

status variant_pack_open(const void *x, const void *w, const void *y, void *workspace, descriptor *out)
{
    status st = OK;
    descriptor pack = NULL;
    const int64_t uids[3] = { UID_X, UID_W, UID_Y };
    const void *const pointers[3] = { x, w, y };
    TRY(create(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR, &pack));
    TRY(set(pack, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, 3, uids));
    TRY(set(pack, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, 3, pointers));
    TRY(set(pack, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 1, &workspace));
    TRY(finalise(pack, "a variant pack"));
    *out = pack;
    pack = NULL;
out:
    descriptor_close(&pack);
    return st;
}
