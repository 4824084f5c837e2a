/* prune/curve.h -- the analysis that the criterion reads: the one on disk if it fits, else a new one. */
#ifndef CLEAVE_CURVE_H
#define CLEAVE_CURVE_H

#include "../core/config/config.h"
#include "../data/dataset.h"

struct cJSON;

/* The content of DIR/analysis.json if that file is newer than the checkpoint, names it, was made of these
 * images with the settings that `cfg` asks for, has a layer for each unit of cfg->net and, if prune.metric
 * wants it, CKA; else the checkpoint is analysed on cfg->device and the result written to
 * DIR, without pictures. The caller deletes *out. */
status curve_analysis(const config *cfg, const char *checkpoint, const char *dir, const dataset *test,
                      struct cJSON **out);

/* The content of DIR/analysis.json, whatever settings and checkpoint it was made with: ERR_DATA if it is not
 * of cfg->net or lacks the curve that cfg->prune.metric asks for. The caller deletes *out. */
status curve_read(const config *cfg, const char *dir, struct cJSON **out);

#endif
