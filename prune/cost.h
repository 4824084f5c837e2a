/* prune/cost.h -- what a net costs: parameters, multiply-accumulates, and latency as measured. */
#ifndef CLEAVE_COST_H
#define CLEAVE_COST_H

#include "../core/base/status.h"
#include "../core/device/tensor.h"

typedef struct cost {
    int64_t params, macs;
    double latency_ms;   /* median time of a forward pass of one image */
    double images_per_s; /* throughput of evaluation at the given batch: the median pass, too */
} cost;

/* Builds, compiles and times the net on its own backend, values stored in `type`, with random weights and images:
 * the time does not depend on them. After a warm-up, single images are repeated at least 20 times and half a
 * second, whole batches at least 3 times and half a second. */
status cost_measure(const char *arch, int classes, char *const *remove, unsigned n_remove, const char *device,
                    int threads, dtype type, int batch, cost *out);

#endif
