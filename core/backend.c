/* core/backend.c -- the registry of devices: a new one is a line here. */
#include "backend.h"

#include <stdio.h>
#include <string.h>

/* The fastest first: the order in which "auto" would like to have them. */
static const struct {
    const char *name;
    status (*open)(int threads, backend **out);
} devices[] = {
    { "cpu", cpu_open },
    { "ref", ref_open },
};

static bool is_cuda(const char *device)
{
    return strcmp(device, "cuda") == 0 || strncmp(device, "cuda:", 5) == 0;
}

/* Writes one line; what does not fit is cut off. */
static void say(char *why, size_t why_bytes, const char *line)
{
    if (why && why_bytes > 0) snprintf(why, why_bytes, "%s", line);
}

status backend_open(const char *device, int threads, backend **out, char *why, size_t why_bytes)
{
    status st = OK;

    if (is_cuda(device)) FAIL(ERR_RUNTIME, "device %s is not available in this build", device);
    if (strcmp(device, "auto") == 0) {
        TRY(devices[0].open(threads, out));
        say(why, why_bytes, "cpu (auto: this build has no cuda)");
        goto out;
    }
    for (size_t i = 0; i < sizeof devices / sizeof devices[0]; i++) {
        if (strcmp(device, devices[i].name) != 0) continue;
        TRY(devices[i].open(threads, out));
        say(why, why_bytes, "as asked");
        goto out;
    }
    FAIL(ERR_USAGE, "device '%s' is not known: auto, cpu, ref, cuda or cuda:N", device);
out:
    return st;
}
