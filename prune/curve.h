/* prune/curve.h -- the analysis that the metric reads: the one on disk if it fits, else a new one. */
#ifndef CLEAVE_CURVE_H
#define CLEAVE_CURVE_H

#include "../core/config/config.h"
#include "../data/dataset.h"

struct cJSON;

/* The content of DIR/analysis.json, if the file is newer than the checkpoint, names it, was made of these images with the
 * settings of `cfg`, and holds what prune.metric needs. Otherwise the checkpoint is analysed on cfg->device and the result
 * written to DIR, without pictures. The caller deletes *out. */
status curve_analysis(const config *cfg, const char *checkpoint, const char *dir, const dataset *test,
                      struct cJSON **out);

/* The content of DIR/analysis.json, whatever its settings and checkpoint. ERR_DATA: it is not of cfg->net, or lacks what
 * prune.metric needs. The caller deletes *out. */
status curve_read(const config *cfg, const char *dir, struct cJSON **out);

#endif
