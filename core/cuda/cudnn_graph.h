/* core/cuda/cudnn_graph.h -- the part of cuDNN's graph API (its "backend API") that a single convolution needs.
 *
 * All of cuDNN's objects are descriptors: one is created, given attributes, finalised, and then queried. The way to a
 * convolution that runs:
 *
 *   operation graph      what is computed                                  conv_graph
 *   engine configuration how it could be computed, from cuDNN's heuristics engine_configs
 *   execution plan       a configuration made ready for a device           execution_plan_...
 *   variant pack         the pointers for one run                          variant_pack_open */
#ifndef CLEAVE_CUDNN_GRAPH_H
#define CLEAVE_CUDNN_GRAPH_H

#include "engine.h"

enum { MAX_CONFIGS = 64 };

/* One operation as a graph; owns its parts. */
typedef struct conv_graph {
    descriptor x, w, y, conv, operation, graph;
} conv_graph;
/* `cudnn` is the handle of the device that will run it, or NULL to plan for a device that is only described. */
status conv_graph_open(const conv_problem *, cudnnHandle_t cudnn, conv_graph *out);
void conv_graph_close(conv_graph *);

/* Engine configurations, best guess first. */
typedef struct engine_configs {
    int n;
    descriptor config[MAX_CONFIGS];
} engine_configs;
/* `device`: from device_properties_from_json, or NULL for the current device. */
status engine_configs_find(const conv_graph *, descriptor device, engine_configs *out);
void engine_configs_free(engine_configs *);

typedef struct engine_notes {
    int64_t engine; /* cuDNN's number; many configurations share one */
    bool nondeterministic;
    bool rounds_inputs; /* by tensor cores, or by conversion to a narrower type */
    bool rounds_sums;   /* partial sums, to the type of the result */
    bool compiled;      /* at run time: creating it takes about a second */
} engine_notes;
status engine_notes_read(descriptor config, engine_notes *out);

/* A plan is made from a configuration, or from cuDNN's own text for a plan. It is for the device of the handle or, if
 * that is NULL, for `device` (from a configuration: for the device that the configuration was found for). */
status execution_plan_from_config(cudnnHandle_t, descriptor config, descriptor *out);
status execution_plan_from_json(cudnnHandle_t, descriptor device, const char *json, descriptor *out);
status execution_plan_to_json(descriptor plan, char **out); /* the caller frees */
status execution_plan_workspace(descriptor plan, size_t *bytes);

/* The device that cuDNN's text (tests/cuda/devices/) describes. */
status device_properties_from_json(const char *json, descriptor *out);

status variant_pack_open(const void *x, const void *w, const void *y, void *workspace, descriptor *out);

static inline void descriptor_close(descriptor *d)
{
    if (*d) cudnnBackendDestroyDescriptor(*d);
    *d = NULL;
}

#endif
