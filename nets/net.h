/* nets/net.h -- a net as it is described: a graph of named nodes. nets/run.h compiles it for a device and runs it;
 * nets/tap.h shows its activations.
 *
 *     net_create(&(net_spec){ .arch = "resnet20", .classes = 10 }, &n);   the graph; nodes carry PyTorch's names
 *     net_tap(n, "layer3.2", fn, ctx);                        tap.h: optional
 *     net_compile(n, backend, F32, cases, n_cases);           run.h: plans and all memory, once
 *     net_init(n, seed) or checkpoint_read(n, path);          values of the parameters
 *     net_input(n, case, x, labels, rows);
 *     net_step(n, case, &scalars) or net_forward(n, case);
 */
#ifndef CLEAVE_NET_H
#define CLEAVE_NET_H

#include "../core/config/config.h"
#include "../core/device/image.h"
#include "../layers/layer.h"

typedef struct net net;

/* What a net is made of. */
typedef struct net_spec {
    const char *arch;
    int classes;
    image_shape image; /* what it sees; zeros: 3 x 32 x 32 */
    char *const *remove;
    unsigned n_remove; /* units to leave out */
} net_spec;

/* ERR_USAGE: unknown arch (lists the known ones), unknown unit, a unit that cannot be removed (with the reason), images
 * too small for the net (names the layer). The caller frees. */
status net_create(const net_spec *, net **out);
/* The net of a configuration: net.arch, net.classes and net.remove, for images of data.channels and data.size. */
status net_from_config(const config *, net **out);
/* The architecture of a net, for the same classes and images, without exactly these units. */
status net_without(const net *, char *const *remove, unsigned n_remove, net **out);
void net_free(net *); /* NULL is harmless */

const char *net_arch(const net *);
int net_classes(const net *);
image_shape net_image(const net *);                     /* what it sees */
const char *const *net_archs(int *n);                   /* all known names */
char *const *net_removed(const net *, unsigned *count); /* names of the units that were left out, as given */

int64_t net_param_count(const net *); /* trainable values */
int64_t net_macs(const net *);        /* multiply-accumulates per image, forward */

/* What can be removed: a block, or a convolution of VGG. Every hook of HOOKS_BLOCK is a unit. */
typedef struct net_unit {
    char name[64];
    bool removable;
    const char *reason; /* why it is not removable; NULL if it is */
    int stage;          /* stage of the architecture, from 0 (the stem) */
    int64_t params;     /* its trainable parameters */
    int64_t macs;
    int layer, n_layers; /* its layers: net_layer_at(layer .. layer + n_layers - 1) */
} net_unit;
const net_unit *net_units(const net *, int *count); /* of the units that are there, in order of depth */

/* Points where activations can be seen. Names: conv1, layer2.0, features.7, conv1.raw (before BN). */
typedef struct net_hook {
    char name[64];
    int64_t dim;   /* values per image */
    int64_t macs;  /* multiply-accumulates of one image's forward pass up to here */
    unsigned sets; /* bit 1 << hook_set for each set it belongs to */
} net_hook;
const net_hook *net_hooks(const net *, int *count); /* in order of depth */

/* What the net computes, in this order; without the loss. Values are numbered, 0 is the image. */
typedef struct net_layer {
    const char *name; /* PyTorch's module; "" where it has none */
    const char *kind; /* "conv", "bnact", ...: layers/layer.h */
    const op *op;     /* what it computes, for one image */
    int x, z, y;      /* the values it reads, adds (-1: none) and computes */
    int64_t params, macs;
} net_layer;
int net_layer_count(const net *);
net_layer net_layer_at(const net *, int i); /* points into the net */

/* A parameter or buffer, by its full PyTorch name. */
typedef struct net_param {
    char name[80];
    param_spec spec;
    int64_t count;
    /* Memory of the backend, from net_compile on. grad and velocity (SGD's momentum) are NULL for buffers, and in a net
     * that no case trains. */
    float *value, *grad, *velocity;
} net_param;
const net_param *net_params(const net *, int *count);
const net_param *net_param_find(const net *, const char *name); /* NULL: the net has none of this name */
int64_t net_param_largest(const net *);                         /* count of the largest */

#endif
