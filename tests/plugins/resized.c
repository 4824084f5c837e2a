/* A backend compiled when struct op had another size, and nobody raised PLUGIN_ABI. */
#include "../../core/device/plugin.h"

extern const plugin cleave_plugin;
const plugin cleave_plugin = { .abi = PLUGIN_ABI,
                               .backend_bytes = sizeof(backend),
                               .op_bytes = sizeof(op) - 8,
                               .args_bytes = sizeof(op_args) };
