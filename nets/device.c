/* nets/device.c -- see device.h. */
#include "device.h"

#include "../core/base/file.h"
#include "../core/base/log.h"
#include "../core/base/threads.h"
#include "../core/device/plugin.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The devices that are linked into the program. A new one is a line here. */
static const struct {
    const char *name;
    status (*open)(int threads, backend **out);
} devices[] = {
    { "cpu", cpu_open },
    { "ref", ref_open },
};

/* "cuda" or "cuda:N"; *number is N, or 0. */
static bool is_cuda(const char *device, int *number)
{
    char *end;
    *number = 0;
    if (strncmp(device, "cuda", 4) != 0) return false;
    if (device[4] == '\0') return true;
    if (device[4] != ':' || device[5] < '0' || device[5] > '9') return false;
    const long n = strtol(device + 5, &end, 10);
    *number = n < INT_MAX ? (int)n : INT_MAX;
    return *end == '\0';
}

/* Writes the reason, cut off if it does not fit. */
static void say(char *why, size_t why_bytes, const char *line)
{
    if (why && why_bytes > 0) snprintf(why, why_bytes, "%s", line);
}

/* The fastest device that works. */
static status open_auto(int threads, backend **out, char *why, size_t why_bytes)
{
    status st = OK;
    char line[1200];
    if (plugin_open("cuda", 0, threads, out) == OK) {
        say(why, why_bytes, "cuda (auto: the fastest there is)");
        goto out;
    }
    snprintf(line, sizeof line, "cpu (auto: no cuda: %s)", status_message());
    TRY(cpu_open(threads, out));
    say(why, why_bytes, line);
out:
    return st;
}

status backend_open(const char *device, int threads, backend **out, char *why, size_t why_bytes)
{
    status st = OK;
    int number;

    if (threads >= 0)
        threads = threads_choose(threads); /* a plugin cannot: it is not linked with core/base */
    if (strcmp(device, "auto") == 0) return open_auto(threads, out, why, why_bytes);
    if (is_cuda(device, &number)) {
        if (plugin_open("cuda", number, threads, out) != OK) {
            st = status_prefix(ERR_RUNTIME, "device %s", device);
            goto out;
        }
        say(why, why_bytes, "as asked");
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

/* Is there an NVIDIA GPU that a user would expect `auto` to take? Its driver makes the first file, that of Windows for
 * Linux programs the second. */
static bool gpu_is_here(void)
{
    return file_exists("/dev/nvidiactl") || file_exists("/dev/dxg");
}

status device_open(const config *cfg, backend **out, char *why, size_t why_bytes)
{
    status st = OK;
    backend *b = NULL;
    char reason[1200] = "";
    TRY(backend_open(cfg->device, cfg->threads, &b, reason, sizeof reason));
    if (cfg->precision == PRECISION_TF32) {
        if (strcmp(b->name, "cuda") != 0)
            FAIL(ERR_USAGE, "precision tf32 is for device cuda, this is %s: precision=f32 runs everywhere",
                 strcmp(cfg->device, "auto") == 0 ? reason : b->name);
        b->tf32 = true;
    }
    bool plain = strcmp(cfg->device, "auto") == 0 && strcmp(b->name, "cpu") == 0 && !gpu_is_here();
    if (plain) log_debug("device %s", reason);
    say(why, why_bytes, plain || strcmp(cfg->device, "auto") != 0 ? b->name : reason);
    *out = b;
    b = NULL;
out:
    backend_close(b);
    return st;
}

dtype config_type(const config *cfg)
{
    return cfg->precision == PRECISION_BF16 ? BF16 : F32;
}

const char *config_precision(const config *cfg)
{
    return config_choice("precision", (int)cfg->precision);
}
