/* graph/analysis_events.h -- what an analysis writes for TensorBoard. */
#ifndef CLEAVE_ANALYSIS_EVENTS_H
#define CLEAVE_ANALYSIS_EVENTS_H

#include "../core/format/events.h"
#include "analysis.h"

/* Adds M/LAYER, Q/LAYER (those that are defined) and, of the pictures ring-LAYER.png and rings.png, those
 * that are in `dir`, as ring/LAYER and rings. */
status analysis_events(const analysis *, const char *dir, int64_t step, events *out);

#endif
