/* nets/builder.h -- small functions that describe a net. The builder keeps the first error and ignores what
 * follows; net_create checks once. Names are PyTorch's module names. */
#ifndef CLEAVE_BUILDER_H
#define CLEAVE_BUILDER_H

#include "../core/config/config.h"
#include "net_private.h"

typedef int ref; /* a value */

typedef struct net_builder {
    net *net;
    status st;
    param_init conv_init, linear_init; /* of weights; biases of linear layers follow PyTorch's default */
    bool zero_conv_bias, zero_linear_bias;
    int n_dropouts;
    int unit; /* the one being described; NONE between units */
    char *const *remove;
    unsigned n_remove;
    bool *remove_seen;
} net_builder;

typedef struct conv_cfg {
    int out, kernel;
    int stride, groups; /* 0 = 1 */
    bool bias;          /* padding is kernel / 2 */
} conv_cfg;

/* ---- names: "layer1.0" + "conv1" ---- */
typedef struct name {
    char text[NAME_BYTES];
} name;
name name_format(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* ---- operations ---- */
ref conv(net_builder *, const char *name, ref x, conv_cfg);
ref bn(net_builder *, const char *name, ref x, activation);            /* act(BN(x)) */
ref bn_add(net_builder *, const char *name, ref x, ref z, activation); /* act(BN(x) + z), [He16] eq. 1 */
ref max_pool(net_builder *, ref x, int kernel);
ref global_average_pool(net_builder *, ref x);
ref linear(net_builder *, const char *name, ref x, int out, activation);
ref linear_as_conv(net_builder *, const char *name, ref x, int out); /* weight kept as [out, in, 1, 1] */
ref dropout(net_builder *, ref x, float p);
ref shortcut_pad(net_builder *, ref x, int out, int stride); /* option A of [He16] */
/* option B: BLOCK.shortcut.{0,1} */
ref shortcut_conv(net_builder *, const char *block, ref x, int out, int stride);
shape4 shape_of(const net_builder *, ref);

/* ---- hooks, and units that can be removed ---- */

enum { SET_BLOCK = 1 << HOOKS_BLOCK, SET_CONV = 1 << HOOKS_CONV, SET_LU = 1 << HOOKS_LU2022 };
void hook(net_builder *, const char *name, ref value, unsigned sets);
void hook_raw(net_builder *, const char *name, ref value, unsigned sets); /* "NAME.raw" */

/* act(BN(conv(x))), which the papers count as one layer, with the hooks CONV_NAME in `sets` and CONV_NAME.raw (before BN) in
 * `raw_sets`. */
ref conv_bn(net_builder *, const char *conv_name, const char *bn_name, ref x, conv_cfg, activation,
            unsigned sets, unsigned raw_sets);

/* Begins a unit. false: the unit is left out; describe nothing. `fixed`: why it cannot be removed, or NULL. */
bool unit_begin(net_builder *, const char *name, int stage, const char *fixed);
void unit_end(net_builder *);

/* ---- the families; zoo.c lists the names ---- */
void build_resnet_cifar(net_builder *, ref image, int depth);      /* resnet20 ... 110: [He16] sec. 4.2 */
void build_resnet_imagenet(net_builder *, ref image, int depth);   /* resnet18 ... 152 with a 3x3 stem */
void build_vgg(net_builder *, ref image, int depth);               /* vgg11_bn ... 19_bn: [Simonyan15] */
void build_mobilenetv2(net_builder *, ref image, int torchvision); /* [Sandler18], names of either code */

#endif
