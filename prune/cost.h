/* prune/cost.h -- what a net costs: parameters, multiply-accumulates, and latency as measured. */
#ifndef CLEAVE_COST_H
#define CLEAVE_COST_H

#include "../core/config/config.h"

typedef struct cost {
    int64_t params, macs;
    double latency_ms;   /* median time of a forward pass of one image */
    double images_per_s; /* of evaluation in batches of train.batch: from the median pass, too */
} cost;

/* Builds cfg->net without cfg->net.remove and times it on cfg->device, with random weights and images, on which the time
 * does not depend. After a warm-up, single images are repeated at least 20 times and half a second, whole batches at least
 * 3 times and half a second. */
status cost_measure(const config *, cost *out);

#endif
