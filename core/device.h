/* core/device.h -- the device that a configuration asks for, set up for its precision. */
#ifndef CLEAVE_DEVICE_H
#define CLEAVE_DEVICE_H

#include "backend.h"
#include "config.h"

/* backend_open with the device and threads of `cfg`. ERR_USAGE: a precision that this device does not have. */
status device_open(const config *cfg, backend **out, char *why, size_t why_bytes);

/* What activations and the copies of weights are stored as. */
dtype config_type(const config *cfg);

/* "f32", "bf16", "tf32" */
const char *config_precision(const config *cfg);

#endif
