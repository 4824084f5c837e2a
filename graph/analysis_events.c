/* graph/analysis_events.c -- see analysis_events.h. */
#include "analysis_events.h"

#include "../core/base/file.h"

#include <math.h>
#include <stdlib.h>

static status add_scalar(events *out, const char *kind, const char *layer, int64_t step, double value)
{
    status st = OK;
    char tag[128];
    if (!isfinite(value)) goto out;
    TRY(text_format(tag, sizeof tag, "%s/%s", kind, layer));
    TRY(events_scalar(out, tag, step, value));
out:
    return st;
}

/* DIR/PREFIX LAYER.png, if it is there. */
static status add_picture(events *out, const char *dir, const char *prefix, const char *layer,
                          const char *tag, int64_t step)
{
    status st = OK;
    char path[4096], *png = NULL;
    size_t bytes;
    TRY(text_format(path, sizeof path, "%s/%s%s.png", dir, prefix, layer));
    if (!file_exists(path)) goto out;
    TRY(file_read(path, &png, &bytes));
    TRY(events_image(out, tag, step, png, bytes));
out:
    free(png);
    return st;
}

status analysis_events(const analysis *a, const char *dir, int64_t step, events *out)
{
    status st = OK;
    TRY(add_picture(out, dir, "rings", "", "rings", step));
    for (int l = 0; l < a->n_layers; l++) {
        const layer_analysis *x = &a->layer[l];
        char tag[128];
        TRY(text_format(tag, sizeof tag, "ring/%s", x->name));
        TRY(add_scalar(out, "M", x->name, step, x->yang.M));
        TRY(add_scalar(out, "Q", x->name, step, x->lu.mean));
        TRY(add_picture(out, dir, "ring-", x->name, tag, step));
    }
out:
    return st;
}
