/* nets/tap.h -- taps show the activations of a net in evaluation, at its hooks (net_hooks). */
#ifndef CLEAVE_TAP_H
#define CLEAVE_TAP_H

#include "../core/device/backend.h"
#include "net.h"

typedef struct tap_view {
    const char *name;
    shape4 shape; /* of the whole batch */
    int rows;     /* images that are not padding */
    dtype type;
    const void *value; /* in the backend's layout */
    backend *device;
} tap_view;
typedef status (*tap_fn)(void *ctx, const tap_view *);

/* Calls fn(ctx, view) at that hook in every evaluation forward pass. Before net_compile; at most one tap per hook.
 * ERR_USAGE: no such hook. */
status net_tap(net *, const char *hook_name, tap_fn fn, void *ctx);

status tap_read(const tap_view *, float *nchw); /* the images that are not padding: [rows, C, H, W] */

#endif
