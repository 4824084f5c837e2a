#include "device.h"

#include <string.h>

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
    if (why && why_bytes > 0) snprintf(why, why_bytes, "%s", reason);
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
    switch (cfg->precision) {
    case PRECISION_BF16: return "bf16";
    case PRECISION_TF32: return "tf32";
    default: return "f32";
    }
}
