/* core/cuda/graph.h -- cuDNN's graph API ("backend API") as far as single convolutions need it. Everything is
 * a descriptor that is created, given attributes, finalised, and asked. */
#ifndef CLEAVE_CUDA_GRAPH_H
#define CLEAVE_CUDA_GRAPH_H

#include "engine.h"

typedef cudnnBackendDescriptor_t descriptor;

enum { UID_X = 1, UID_W = 2, UID_Y = 3, MAX_CONFIGS = 64 };

/* One operation as a graph; owns its parts. */
typedef struct conv_graph {
    descriptor x, w, y, conv, operation, graph;
} conv_graph;
/* `cudnn`: of the device that will run it, or NULL to plan for a described one. */
status conv_graph_open(const conv_problem *, cudnnHandle_t cudnn, conv_graph *out);
void conv_graph_close(conv_graph *);

/* Engine configurations, best guess first. */
typedef struct engine_configs {
    int n;
    descriptor config[MAX_CONFIGS];
} engine_configs;
/* `device`: a device-property descriptor, or NULL for the current device. */
status engine_configs_find(const conv_graph *, descriptor device, engine_configs *out);
void engine_configs_free(engine_configs *);

typedef struct engine_notes {
    int64_t engine;                       /* cuDNN's number; many configurations share one */
    bool nondeterministic, rounds_inputs; /* tensor cores or conversion to a narrower type */
    bool rounds_sums;                     /* parts of a sum, to the type of the result */
    bool compiled;                        /* at run time: creating it takes about a second */
} engine_notes;
status engine_notes_read(descriptor config, engine_notes *out);

/* Plans: of a configuration, and as cuDNN describes them itself. For the device of the handle; without one for the
 * described device, that of the configuration. */
status plan_from_config(cudnnHandle_t, descriptor config, descriptor *out);
status plan_from_json(cudnnHandle_t, descriptor device, const char *json, descriptor *out);
status plan_to_json(descriptor plan, char **out); /* the caller frees */
status plan_workspace(descriptor plan, size_t *bytes);

/* A descriptor of the device that the text describes. */
status device_from_json(const char *json, descriptor *out);

status pack_open(const void *x, const void *w, const void *y, void *workspace, descriptor *out);

static inline void descriptor_close(descriptor *d)
{
    if (*d) cudnnBackendDestroyDescriptor(*d);
    *d = NULL;
}

#endif
