/* A backend of an interface that has gone. */
#include "../../core/device/plugin.h"

extern const plugin cleave_plugin;
const plugin cleave_plugin = { .abi = PLUGIN_ABI - 1 };
