/* A backend that opens anywhere: what a program does with one is tested without a device. */
#include "../../core/device/plugin.h"

#include <stdio.h>
#include <stdlib.h>

static void close_it(backend *b)
{
    free(b);
}

static status open_it(int device, int threads, void (*note)(const char *line), backend **out)
{
    status st = OK;
    backend *b;
    if (device > 7) FAIL(ERR_RUNTIME, "there is no device %d", device);
    TRY_ALLOC(b, calloc(1, sizeof *b));
    b->name = "cuda";
    b->threads = threads;
    b->close = close_it;
    snprintf(b->description, sizeof b->description, "device %d", device);
    note("a line for the user");
    *out = b;
out:
    return st;
}

extern const plugin cleave_plugin;
const plugin cleave_plugin = PLUGIN(open_it);
