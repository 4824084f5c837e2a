/* nets/device.h -- devices by name, and the one that a configuration asks for. */
#ifndef CLEAVE_DEVICE_H
#define CLEAVE_DEVICE_H

#include "../core/config/config.h"
#include "../core/device/backend.h"

/* Opens "ref", "cpu", "cuda" or "cuda:N" (core/device/plugin.h), "auto" (the fastest device that works; *why says
 * which and why). ERR_RUNTIME: the device cannot be used here, and why; ERR_USAGE: there is no such name.
 * threads 0 = threads_available(). `why` may be NULL; else it receives one line of at most `why_bytes`. */
status backend_open(const char *device, int threads, backend **out, char *why, size_t why_bytes);

/* backend_open with the device and threads of `cfg`; *why is the device's name, and with `auto` why this one; on a
 * machine without a GPU that is clear. ERR_USAGE: a precision that this device does not have. */
status device_open(const config *cfg, backend **out, char *why, size_t why_bytes);

/* The type in which activations and the copies of weights are stored. */
dtype config_type(const config *cfg);

/* "f32", "bf16", "tf32" */
const char *config_precision(const config *cfg);

#endif
