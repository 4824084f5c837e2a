/* layers/layer.h -- what defines a kind of layer.
 *
 * One layer, one file. The file is the definition: the equation and its source, the shapes, the parameters, the cost,
 * and forward and backward as plain loops. The fast devices are judged by these loops: all layers together are the
 * device `ref` (layers/ref.c). What libraries define differently is fixed in core/device/op.h.
 *
 * A new layer is a value of op_kind and a description in core/device/op.h, a file in this folder, and its line in the
 * table of layers/layer.c. A device that has no fast version says so when a net asks for it. tests/new_layer adds one.
 */
#ifndef CLEAVE_LAYER_H
#define CLEAVE_LAYER_H

#include "../core/base/status.h"
#include "../core/device/backend.h"

/* ---- parameters ---- */

typedef enum param_init {
    PARAM_ZERO,
    PARAM_ONE,
    PARAM_UNIFORM,    /* U(-1/sqrt(fan_in), 1/sqrt(fan_in)): PyTorch's default */
    PARAM_NORMAL_IN,  /* N(0, sqrt(2/fan_in)), [He15] */
    PARAM_NORMAL_OUT, /* N(0, sqrt(2/fan_out)): torchvision's VGG and MobileNetV2 */
    PARAM_NORMAL_001, /* N(0, 0.01): the last layer of torchvision's MobileNetV2 */
} param_init;

typedef struct param_spec {
    const char *suffix; /* "weight": the parameter of node NODE is called NODE.weight */
    int rank;           /* above 1: a weight that multiplies values, rounded first in a bf16 net */
    int64_t shape[4];
    bool trainable; /* false: a buffer (running statistics), saved but not optimised */
    param_init init;
    int64_t fan_in, fan_out;
} param_spec;

/* Values in a parameter: the product of its dimensions. */
int64_t param_count(const param_spec *);

/* ---- how a problem string spells a description: "conv n2c3h5w5_o4k3s1p1" (tools/check/problem.h) ---- */

typedef enum field_type {
    FIELD_INT,      /* the letters, then a number: "_o4" */
    FIELD_OPTIONAL, /* the same, left out where the number is the usual one: "g2" */
    FIELD_FRACTION, /* the letters, then a fraction in [0, 1): "_p0.5" */
    FIELD_FLAG,     /* the letters, or nothing: "_add" */
    FIELD_CHOICE,   /* one of `words`: "_relu" */
} field_type;

typedef struct layer_field {
    field_type type;
    size_t offset; /* in op: of an int, a float, a bool, an enum */
    const char *letters;
    const char *const *words;    /* of a choice, in the order of its enum; NULL at the end */
    bool (*applies)(const op *); /* is it there, after the fields before it? NULL: always */
} layer_field;

extern const char *const activation_words[];

/* ---- the layer ---- */

/* Members marked (optional) may be NULL or 0. */
typedef struct layer_type {
    op_kind kind;
    const char *name; /* "conv" */

    /* Sets o->y from o->x and checks the description. ERR_USAGE, with the numbers, if there is no such layer. */
    status (*infer)(op *o);

    /* (optional) Fills spec[] and returns how many there are, at most OP_MAX_PARAMS. The position is the index of
     * op_args.param; what is trainable comes first. */
    int (*params)(const op *o, param_spec spec[OP_MAX_PARAMS]);

    /* (optional) Multiply-accumulates of one forward pass of one image: convolutions and linear layers only. */
    int64_t (*macs)(const op *o);

    /* (optional) NULL, or one line that says why this operation has no result. */
    const char *(*unsupported)(const op *o);

    /* (optional) What backward reads besides dy and the parameters: x, y, and bytes of `saved`. For training only. */
    op_needs (*needs)(const op *o);

    /* Plain loops on NCHW f32 in host memory: layers/loops.h. backward runs in training only. It overwrites the gradients
     * of parameters, overwrites dx and dz or adds to them as the arguments say, and leaves out what is NULL. */
    void (*forward)(const op *o, const op_args *a);
    void (*backward)(const op *o, const op_args *a);

    /* Computes the y of this step's forward pass once more, from x, z and `saved`. Required if needs.recompute. */
    void (*recompute)(const op *o, const op_args *a);

    /* How far a device that sums in f32, in any order, may be from the loops: relative to the greatest value of y, or
     * of a gradient. */
    double tolerance;

    /* (optional) How problem strings spell the description, up to an entry without letters and words. What the string
     * leaves out is as in `usual`. */
    const layer_field *fields;
    op usual;
} layer_type;

/* NULL: there is no such layer. */
const layer_type *layer_of(op_kind);

/* The members above; 0 for layers without them. */
int layer_params(const op *o, param_spec spec[OP_MAX_PARAMS]);
int64_t layer_macs(const op *o);

#endif
