/* layers/layer.h -- what a kind of layer is, apart from how a device computes it: its output shape, its
 * parameters, its cost. One layer, one file; layers/layer.c is the registry (one line each).
 * The arithmetic: core/device/op.h says what, core/ref/ shows how, core/cpu/ and core/cuda/ do it fast. */
#ifndef CLEAVE_LAYER_H
#define CLEAVE_LAYER_H

#include "../core/device/op.h"
#include "../core/base/status.h"

typedef enum param_init {
    PARAM_ZERO,
    PARAM_ONE,
    PARAM_UNIFORM,    /* U(-1/sqrt(fan), 1/sqrt(fan)), fan = fan_in: PyTorch's default */
    PARAM_NORMAL_IN,  /* N(0, sqrt(2/fan_in)), [He15] */
    PARAM_NORMAL_OUT, /* N(0, sqrt(2/(R*R*K))), torchvision's VGG and MobileNetV2 */
    PARAM_NORMAL_001, /* N(0, 0.01), the head of torchvision's MobileNetV2 */
} param_init;

typedef struct param_spec {
    const char *suffix; /* "weight": the parameter is called NODE.weight */
    int rank;
    int64_t shape[4];
    bool trainable; /* false: a buffer (running statistics), saved but not optimised */
    param_init init;
    int64_t fan_in, fan_out;
} param_spec;

typedef struct layer_type {
    op_kind kind;
    const char *name; /* "conv" */
    /* Sets o->y from o->x and checks the description; ERR_USAGE with the numbers if it cannot be. */
    status (*infer)(op *o);
    /* Fills spec[] and returns how many, at most OP_MAX_PARAMS; position = index of op_args.param. */
    int (*params)(const op *o, param_spec spec[OP_MAX_PARAMS]);
    /* Multiply-accumulates of one forward pass of one image: convolutions and linear layers only. */
    int64_t (*macs)(const op *o);
} layer_type;

const layer_type *layer_of(op_kind);

/* Values in a shape of `rank` dimensions. */
int64_t param_count(const param_spec *);

/* For layers without parameters, without multiplications. */
int layer_no_params(const op *o, param_spec spec[OP_MAX_PARAMS]);
int64_t layer_no_macs(const op *o);

extern const layer_type layer_conv, layer_bnact, layer_pool, layer_linear, layer_dropout, layer_shortcut,
    layer_loss;

#endif
