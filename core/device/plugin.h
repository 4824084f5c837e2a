/* core/device/plugin.h -- a backend in a file of its own, opened while the program runs: one that is linked to a
 * vendor's libraries must not keep the program from starting where these are missing.
 *
 * The file exports one symbol, `cleave_plugin`. It uses from the program only core/base/status.h.
 */
#ifndef CLEAVE_PLUGIN_H
#define CLEAVE_PLUGIN_H

#include "backend.h"

/* Raised whenever a struct of backend.h or op.h, or the meaning of a function there, changes. The sizes say
 * so too if that was forgotten. */
enum { PLUGIN_ABI = 9 };

typedef struct plugin {
    int abi;
    size_t backend_bytes, op_bytes, args_bytes; /* sizeof of the structs the plugin was compiled with */
    /* `note` prints a line for the user. ERR_RUNTIME says why the device cannot be used. */
    status (*open)(int device, int threads, void (*note)(const char *line), backend **out);
} plugin;

#define PLUGIN(open_function)                                                                                \
    {                                                                                                        \
        .abi = PLUGIN_ABI, .backend_bytes = sizeof(backend), .op_bytes = sizeof(op),                         \
        .args_bytes = sizeof(op_args), .open = open_function                                                 \
    }

/* Opens a device of FOLDER/libcleave_NAME.so; FOLDER is $CLEAVE_PLUGINS, else the program's own, else
 * ../lib/cleave beside that (make install). A $CLEAVE_PLUGINS that everyone may write to is refused. The file stays open with the device. ERR_RUNTIME: one line without the
 * device's name: what is missing. */
status plugin_open(const char *name, int device, int threads, backend **out);

#endif
