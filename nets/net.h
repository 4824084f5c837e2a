/* nets/net.h -- a net: a graph of named nodes, compiled for a device, then run.
 *
 *     net_create("resnet20", 10, remove, n_remove, &n);       the graph; nodes carry PyTorch's names
 *     net_tap(n, "layer3.2", fn, ctx);                        who wants to see activations
 *     net_compile(n, backend, F32, cases, n_cases);           plans, arenas: all memory, once
 *     net_init(n, seed) or checkpoint_load(...)               parameter values
 *     net_input(n, case, x, labels, rows);
 *     net_step(n, case, &scalars) or net_forward(n, case)
 *
 * A case is a batch size in training or evaluation mode; all cases share parameters and arenas.
 */
#ifndef CLEAVE_NET_H
#define CLEAVE_NET_H

#include "../core/device/backend.h"
#include "../core/device/image.h"
#include "../core/config/config.h"
#include "../layers/layer.h"

typedef struct net net;

/* ---- the graph ---- */

/* Builds `arch` for 32x32x3 images without the units in `remove`. ERR_USAGE: unknown arch (lists the known
 * ones), unknown unit, a unit that cannot go (says why). The caller frees. */
status net_create(const char *arch, int classes, char *const *remove, unsigned n_remove, net **out);
void net_free(net *);

const char *net_arch(const net *);
int net_classes(const net *);
const char *const *net_archs(int *n); /* all known names */

/* A removable thing: a block, or a VGG convolution; in order of depth. Every hook of HOOKS_BLOCK is one. */
typedef struct net_unit {
    char name[64];
    bool removable;
    const char *reason; /* why not; NULL if removable */
    int stage;          /* stage of the architecture, from 0 (the stem) */
    int64_t params;     /* trainable parameters that go with it */
    int64_t macs;
    int layer, n_layers; /* its layers: net_layer_at(layer .. layer + n_layers - 1) */
} net_unit;
const net_unit *net_units(const net *, int *count); /* of the units that are there */
/* Names of the units that were left out, as given. */
char *const *net_removed(const net *, unsigned *count);

/* Points where activations can be seen, in order of depth. Names: conv1, layer2.0, features.7,
 * conv1.raw (before BN). */
typedef struct net_hook {
    char name[64];
    int64_t dim;   /* values per image */
    int64_t macs;  /* multiply-accumulates of an image's forward pass up to here */
    unsigned sets; /* bit 1 << hook_set for each set it belongs to */
} net_hook;
const net_hook *net_hooks(const net *, int *count);

/* A parameter or buffer, by its full PyTorch name. */
typedef struct net_param {
    char name[80];
    param_spec spec;
    int64_t count;
    float *value,
        *grad;       /* backend memory, after net_compile; grad NULL for buffers, and in a net that no case
                            trains */
    float *velocity; /* momentum of SGD; NULL where grad is */
} net_param;
const net_param *net_params(const net *, int *count);

int64_t net_param_count(const net *); /* trainable values */
int64_t net_macs(const net *);        /* multiply-accumulates per image, forward */

/* What the net computes, in this order; without the loss. Values are numbered, 0 is the image. */
typedef struct net_layer {
    const char *name; /* PyTorch's module; "" where it has none */
    const char *kind; /* "conv", "bnact", ...: layers/layer.h */
    const op *op;     /* what it computes, for one image */
    int x, z, y;      /* values it reads, adds (-1: none) and makes */
    int64_t params, macs;
} net_layer;
int net_layer_count(const net *);
net_layer net_layer_at(const net *, int i); /* points into the net */

/* ---- taps ---- */

typedef struct tap_view {
    const char *name;
    shape4 shape; /* of the whole batch */
    int rows;     /* images that are not padding */
    dtype type;
    const void *value; /* in the backend's layout */
    backend *device;
} tap_view;
typedef status (*tap_fn)(void *ctx, const tap_view *);

/* Calls fn(ctx, view) after that point in every evaluation forward pass. Before net_compile. One tap a name. */
status net_tap(net *, const char *hook_name, tap_fn fn, void *ctx);
status tap_read(const tap_view *, float *nchw); /* rows images, [rows, C, H, W] */

/* Smoothing of the labels in training cases (evaluation never smooths). Before net_compile. */
void net_set_label_smoothing(net *, float);

/* ---- compiled ---- */

typedef struct net_case {
    int batch;
    bool training;
    bool frozen; /* training only: computes what evaluation computes (BN by running statistics, no dropout, no
                    smoothing); backward gives the gradient of the image and none of the parameters */
} net_case;

/* May be called once per net. `b` must outlive the net. */
status net_compile(net *, backend *b, dtype activations, const net_case *cases, int n_cases);
int net_batch(const net *, int net_case);

/* Operation `index`, in the order of the forward pass, as that case runs it; false past the last. */
bool net_op(const net *, int index, net_case which, dtype activations, op *out);

typedef struct net_memory {
    size_t param, act, saved, packed;
} net_memory; /* bytes */
net_memory net_memory_used(const net *);

/* The initialisation of this architecture (docs/nets.md), from `seed`; running statistics 0 and 1. */
status net_init(net *, uint64_t seed);
status net_param_read(const net *, const net_param *, float *host);
status net_param_write(net *, const net_param *, const float *host);
status net_velocity_read(const net *, const net_param *, float *host);
status net_velocity_write(net *, const net_param *, const float *host);

/* Puts `rows` <= batch images (normalised, NCHW) and labels in; further rows become padding that does
 * not count. A training case that is not frozen wants rows == batch (BN sees every row). labels may be NULL
 * (all -1). */
status net_input(net *, int net_case, const float *nchw, const int32_t *labels, int rows);

/* Images that stay on the device as long as the net: [count][3][32][32] bytes. *set is what net_input_kept calls them;
 * NET_NOT_KEPT: the device cannot, or has no room for them, and net_input is the way. After net_compile; at most
 * NET_IMAGE_SETS times, e.g. for training and for test images. */
enum { NET_NOT_KEPT = -1, NET_IMAGE_SETS = 2 };
status net_keep_images(net *, const uint8_t *images, int count, const image_norm *, int *set);
/* net_input of images of a kept set, which are shown as `draw` [rows] says. The batch is put together where the next step
 * or pass begins, as part of what the device records. */
status net_input_kept(net *, int net_case, int set, const image_draw *draw, const int32_t *labels, int rows);

status net_forward(net *, int net_case); /* adds to the statistics; calls the taps in evaluation cases */
/* net_forward as far as this hook: all that lies before it, and taps, but nothing behind. Evaluation cases. */
status net_forward_until(net *, int net_case, const char *hook_name);
/* The same without taps, waiting for the device after each layer: seconds[net_layer_count] of each. A BN that was
 * computed along with the convolution before it costs nothing; its time is the convolution's. */
status net_forward_timed(net *, int net_case, double *seconds);
status net_backward(net *, int net_case); /* after net_forward of the same training case */
/* After net_backward of a frozen case: d loss / d image, [rows, 3, 32, 32] of the images as they were put in
 * (normalised), where loss is the mean over the rows that count. */
status net_image_gradient(net *, int net_case, int rows, float *out);
status net_step(net *, int net_case, const step_scalars *); /* forward, backward, SGD */

status net_stats(net *, loss_stats *out);                     /* since the last clear; waits for the device */
status net_stats_set(net *, const loss_stats *value);         /* zeroed to clear, or restored by a resume */
status net_logits(net *, int net_case, int rows, float *out); /* [rows, classes], after net_forward */

/* Training steps this net has seen (PyTorch's num_batches_tracked). */
int64_t net_steps(const net *);
void net_set_steps(net *, int64_t);

#endif
