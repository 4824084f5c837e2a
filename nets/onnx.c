/* nets/onnx.c -- see onnx.h. One operation of ours becomes one to three of ONNX's operators:
 *
 *   conv                Conv
 *   bnact               BatchNormalization, Add (with a shortcut), Relu or Clip
 *   pool                MaxPool, GlobalAveragePool
 *   linear              Flatten, Gemm, Relu or Clip
 *   shortcut (option A) Slice (every second pixel), Pad (zero channels)
 *   dropout, loss       nothing: evaluation does not compute them
 *
 * https://github.com/onnx/onnx/blob/main/docs/Operators.md defines the operators. */
#include "onnx.h"

#include "../core/base/file.h"
#include "core/format/onnx.pb-c.h"
#include "net_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MAX_INPUTS = 5,
    MAX_ATTRIBUTES = 5,
    MAX_INTS = 4,
    TEXT_BYTES = 96,
    STEPS_A_NODE = 3,
    CONSTANTS_A_NODE = 5
};

typedef struct attribute {
    Onnx__AttributeProto proto;
    int64_t ints[MAX_INTS];
} attribute;

/* An operator with memory for all that it points to. */
typedef struct step {
    Onnx__NodeProto proto;
    char text[1 + MAX_INPUTS][TEXT_BYTES]; /* the output, which also names the node; the inputs */
    char *input[MAX_INPUTS], *output[1];
    attribute attribute[MAX_ATTRIBUTES];
    Onnx__AttributeProto *attributes[MAX_ATTRIBUTES];
} step;

typedef struct tensor {
    Onnx__TensorProto proto;
    char name[TEXT_BYTES];
    int64_t dims[4];
    void *data; /* owned */
} tensor;

typedef struct model {
    const net *net;
    step *step;
    tensor *tensor;
    Onnx__NodeProto **nodes;
    Onnx__TensorProto **tensors;
    char (*value)[TEXT_BYTES]; /* [n_values] what the model calls a value */
    size_t n_steps, n_tensors;
    int n_unnamed;
} model;

static void set_name(char *out, const char *text)
{
    snprintf(out, TEXT_BYTES, "%s", text);
}

/* ---- pieces of a model ---- */

/* A new operator whose output is called `output`. */
static step *add_step(model *m, const char *type, const char *output)
{
    step *s = &m->step[m->n_steps];
    onnx__node_proto__init(&s->proto);
    m->nodes[m->n_steps++] = &s->proto;
    set_name(s->text[0], output);
    s->proto.op_type = (char *)type;
    s->proto.name = s->output[0] = s->text[0];
    s->proto.n_output = 1;
    s->proto.output = s->output;
    s->proto.input = s->input;
    s->proto.attribute = s->attributes;
    return s;
}

static void add_input(step *s, const char *name)
{
    char *text = s->text[1 + s->proto.n_input];
    set_name(text, name);
    s->input[s->proto.n_input++] = text;
}

static attribute *add_attribute(step *s, const char *name, Onnx__AttributeProto__AttributeType type)
{
    attribute *a = &s->attribute[s->proto.n_attribute];
    onnx__attribute_proto__init(&a->proto);
    a->proto.name = (char *)name;
    a->proto.type = type;
    s->attributes[s->proto.n_attribute++] = &a->proto;
    return a;
}

static void add_int(step *s, const char *name, int64_t value)
{
    add_attribute(s, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT)->proto.i = value;
}

/* The same number n times: height and width, or all four sides. */
static void add_ints(step *s, const char *name, int n, int64_t value)
{
    attribute *a = add_attribute(s, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS);
    for (int i = 0; i < n; i++) a->ints[i] = value;
    a->proto.ints = a->ints;
    a->proto.n_ints = (size_t)n;
}

/* Takes `data` over: model_free releases it, after a failure too. */
static void add_tensor(model *m, const char *name, int type, const int64_t *dims, int rank, void *data,
                       size_t bytes)
{
    tensor *t = &m->tensor[m->n_tensors];
    onnx__tensor_proto__init(&t->proto);
    m->tensors[m->n_tensors++] = &t->proto;
    set_name(t->name, name);
    for (int i = 0; i < rank; i++) t->dims[i] = dims[i];
    t->data = data;
    t->proto.name = t->name;
    t->proto.data_type = type;
    t->proto.dims = t->dims;
    t->proto.n_dims = (size_t)rank;
    t->proto.raw_data = (ProtobufCBinaryData){ bytes, data };
}

/* A constant input of an operator: int64 [n]. */
static status add_constant(model *m, step *s, const char *suffix, const int64_t *value, int n)
{
    status st = OK;
    char name[TEXT_BYTES];
    const int64_t dims[1] = { n };
    int64_t *copy;
    TRY(text_format(name, sizeof name, "%.80s.%s", s->proto.name, suffix));
    TRY_ALLOC(copy, malloc((size_t)n * sizeof *copy));
    memcpy(copy, value, (size_t)n * sizeof *copy);
    add_tensor(m, name, ONNX__TENSOR_PROTO__DATA_TYPE__INT64, dims, 1, copy, (size_t)n * sizeof *copy);
    add_input(s, name);
out:
    return st;
}

/* The same for one float: Clip takes its limits so. */
static status add_limit(model *m, step *s, const char *suffix, float value)
{
    status st = OK;
    char name[TEXT_BYTES];
    float *copy;
    TRY(text_format(name, sizeof name, "%.80s.%s", s->proto.name, suffix));
    TRY_ALLOC(copy, malloc(sizeof *copy));
    *copy = value;
    add_tensor(m, name, ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT, NULL, 0, copy, sizeof *copy);
    add_input(s, name);
out:
    return st;
}

/* The parameters of a node become inputs under their PyTorch names. */
static status add_params(model *m, step *s, const net_node *node)
{
    status st = OK;
    for (int i = node->param; i < node->param + node->n_params; i++) {
        const net_param *p = &m->net->param[i];
        /* Gemm needs a matrix, even where PyTorch's module is a 1x1 convolution */
        int rank = node->op.kind == OP_LINEAR && p->spec.rank > 2 ? 2 : p->spec.rank;
        float *value;
        TRY_ALLOC(value, malloc((size_t)p->count * sizeof *value));
        add_tensor(m, p->name, ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT, p->spec.shape, rank, value,
                   (size_t)p->count * sizeof *value);
        TRY(net_param_read(m->net, p, value));
        add_input(s, p->name);
    }
out:
    return st;
}

/* ---- operations ---- */

/* An operator after `before`, which has the operation's own name; this one is called NODE.suffix. */
static step *add_after(model *m, const char *type, const char *node, const char *suffix, const step *before)
{
    char name[TEXT_BYTES];
    snprintf(name, sizeof name, "%.80s.%s", node, suffix);
    step *s = add_step(m, type, name);
    add_input(s, before->proto.name);
    return s;
}

static status add_activation(model *m, activation act, const char *node, step **last)
{
    status st = OK;
    if (act == ACT_NONE) goto out;
    *last = add_after(m, act == ACT_RELU ? "Relu" : "Clip", node, act == ACT_RELU ? "relu" : "relu6", *last);
    if (act == ACT_RELU) goto out;
    TRY(add_limit(m, *last, "min", 0));
    TRY(add_limit(m, *last, "max", 6));
out:
    return st;
}

static status add_conv(model *m, const net_node *n, const char *name, step **last)
{
    status st = OK;
    const conv_desc *c = &n->op.conv;
    step *s = *last = add_step(m, "Conv", name);
    add_input(s, m->value[n->x]);
    TRY(add_params(m, s, n));
    add_ints(s, "kernel_shape", 2, c->kernel);
    add_ints(s, "strides", 2, c->stride);
    add_ints(s, "pads", 4, c->pad);
    add_int(s, "group", c->groups);
out:
    return st;
}

static status add_bnact(model *m, const net_node *n, const char *name, step **last)
{
    status st = OK;
    *last = add_step(m, "BatchNormalization", name);
    add_input(*last, m->value[n->x]);
    TRY(add_params(m, *last, n)); /* scale, B, mean, var: the same order */
    add_attribute(*last, "epsilon", ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT)->proto.f = n->op.bnact.eps;
    if (n->op.bnact.add) {
        *last = add_after(m, "Add", name, "add", *last);
        add_input(*last, m->value[n->z]);
    }
    TRY(add_activation(m, n->op.bnact.act, name, last));
out:
    return st;
}

static status add_pool(model *m, const net_node *n, const char *name, step **last)
{
    const pool_desc *p = &n->op.pool;
    *last = add_step(m, p->kind == POOL_MAX ? "MaxPool" : "GlobalAveragePool", name);
    add_input(*last, m->value[n->x]);
    if (p->kind == POOL_MAX) {
        add_ints(*last, "kernel_shape", 2, p->kernel);
        add_ints(*last, "strides", 2, p->stride);
        add_ints(*last, "pads", 4, p->pad);
    }
    return OK;
}

static status add_linear(model *m, const net_node *n, const char *name, step **last)
{
    status st = OK;
    char flat[TEXT_BYTES];
    TRY(text_format(flat, sizeof flat, "%.80s.flat", name));
    step *flatten = add_step(m, "Flatten", flat);
    add_input(flatten, m->value[n->x]);
    add_int(flatten, "axis", 1);
    *last = add_step(m, "Gemm", name);
    add_input(*last, flat);
    TRY(add_params(m, *last, n));
    add_int(*last, "transB", 1);
    TRY(add_activation(m, n->op.linear.act, name, last));
out:
    return st;
}

static status add_shortcut(model *m, const net_node *n, const char *name, step **last)
{
    status st = OK;
    const shortcut_desc *d = &n->op.shortcut;
    const int64_t start[2] = { 0, 0 }, end[2] = { n->op.x.h, n->op.x.w }, axes[2] = { 2, 3 };
    const int64_t stride[2] = { d->stride, d->stride }, before = (d->out - n->op.x.c) / 2;
    const int64_t pads[8] = { 0, before, 0, 0, 0, d->out - n->op.x.c - before, 0, 0 };
    step *slice = add_step(m, "Slice", name);
    add_input(slice, m->value[n->x]);
    TRY(add_constant(m, slice, "starts", start, 2));
    TRY(add_constant(m, slice, "ends", end, 2));
    TRY(add_constant(m, slice, "axes", axes, 2));
    TRY(add_constant(m, slice, "steps", stride, 2));
    *last = add_after(m, "Pad", name, "pad", slice);
    TRY(add_constant(m, *last, "pads", pads, 8));
out:
    return st;
}

static status add_node(model *m, const net_node *n)
{
    static status (*const add[OP_KINDS])(model *, const net_node *, const char *, step **) = {
        [OP_CONV] = add_conv,     [OP_BNACT] = add_bnact,       [OP_POOL] = add_pool,
        [OP_LINEAR] = add_linear, [OP_SHORTCUT] = add_shortcut,
    };
    status st = OK;
    char name[TEXT_BYTES];
    step *last = NULL;
    if (n->op.kind == OP_LOSS) goto out;
    if (n->op.kind == OP_DROPOUT) {
        memcpy(m->value[n->y], m->value[n->x], TEXT_BYTES);
        goto out;
    }
    if (*n->name)
        set_name(name, n->name);
    else
        snprintf(name, sizeof name, "%s.%d", layer_of(n->op.kind)->name, m->n_unnamed++);
    if (!add[n->op.kind]) FAIL(ERR_RUNTIME, "%s has no form in ONNX", layer_of(n->op.kind)->name);
    TRY(add[n->op.kind](m, n, name, &last));
    if (n->y == m->net->logits) set_name(last->text[0], "logits");
    set_name(m->value[n->y], last->text[0]);
out:
    return st;
}

static status build(model *m)
{
    status st = OK;
    const net *n = m->net;
    size_t steps = (size_t)n->n_nodes * STEPS_A_NODE,
           tensors = (size_t)(n->n_params + n->n_nodes * CONSTANTS_A_NODE);
    TRY_ALLOC(m->step, calloc(steps, sizeof *m->step));
    TRY_ALLOC(m->nodes, calloc(steps, sizeof *m->nodes));
    TRY_ALLOC(m->tensor, calloc(tensors, sizeof *m->tensor));
    TRY_ALLOC(m->tensors, calloc(tensors, sizeof *m->tensors));
    TRY_ALLOC(m->value, calloc((size_t)n->n_values, sizeof *m->value));
    set_name(m->value[0], "image");
    for (int i = 0; i < n->n_nodes; i++) TRY(add_node(m, &n->node[i]));
out:
    return st;
}

static void model_free(model *m)
{
    for (size_t i = 0; i < m->n_tensors; i++) free(m->tensor[i].data);
    free(m->step);
    free(m->nodes);
    free(m->tensor);
    free(m->tensors);
    free(m->value);
}

/* ---- the file ---- */

enum { RANK = 4 };
typedef struct value_info {
    Onnx__ValueInfoProto proto;
    Onnx__TypeProto type;
    Onnx__TypeProto__Tensor tensor;
    Onnx__TensorShapeProto shape;
    Onnx__TensorShapeProto__Dimension dim[RANK], *dims[RANK];
} value_info;

/* [N, sizes...], float32 */
static void describe_value(value_info *v, const char *name, const char *doc, const int64_t *size, int rank)
{
    onnx__value_info_proto__init(&v->proto);
    onnx__type_proto__init(&v->type);
    onnx__type_proto__tensor__init(&v->tensor);
    onnx__tensor_shape_proto__init(&v->shape);
    for (int i = 0; i < rank; i++) {
        onnx__tensor_shape_proto__dimension__init(&v->dim[i]);
        v->dims[i] = &v->dim[i];
        v->dim[i].value_case = i == 0 ? ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM
                                      : ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
        if (i == 0)
            v->dim[i].dim_param = "N";
        else
            v->dim[i].dim_value = size[i - 1];
    }
    v->shape.dim = v->dims;
    v->shape.n_dim = (size_t)rank;
    v->tensor.elem_type = ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT;
    v->tensor.shape = &v->shape;
    v->type.value_case = ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE;
    v->type.tensor_type = &v->tensor;
    v->proto.name = (char *)name;
    v->proto.doc_string = (char *)doc;
    v->proto.type = &v->type;
}

/* A protobuf-c buffer that writes to a file as it is filled. */
typedef struct sink {
    ProtobufCBuffer base;
    file_writer *file;
    status st;
} sink;

static void sink_append(ProtobufCBuffer *buffer, size_t bytes, const uint8_t *data)
{
    sink *s = (sink *)buffer;
    if (s->st == OK) s->st = file_put(s->file, data, bytes);
}

static status write_model(const Onnx__ModelProto *proto, const char *path)
{
    status st = OK;
    file_writer w = { 0 };
    sink to = { .base = { .append = sink_append }, .file = &w };
    TRY(file_begin(&w, path));
    onnx__model_proto__pack_to_buffer(proto, &to.base);
    TRY(to.st);
    TRY(file_commit(&w));
out:
    file_abandon(&w);
    return st;
}

/* "layer1.2 layer3.4"; the caller frees. */
static status join_removed(const net *n, char **out)
{
    status st = OK;
    size_t bytes = 1;
    char *end;
    for (unsigned i = 0; i < n->n_removed; i++) bytes += strlen(n->removed[i]) + 1;
    TRY_ALLOC(*out, calloc(bytes, 1));
    end = *out;
    for (unsigned i = 0; i < n->n_removed; i++) {
        if (i) *end++ = ' ';
        end = stpcpy(end, n->removed[i]);
    }
out:
    return st;
}

/* What the reader of the file needs besides the graph. */
enum { N_META = 4 };
typedef struct metadata {
    Onnx__StringStringEntryProto entry[N_META], *entries[N_META];
    char mean[96], std[96], *removed;
} metadata;

static void format_triple(char *out, size_t bytes, const float v[3])
{
    snprintf(out, bytes, "[%.9g, %.9g, %.9g]", (double)v[0], (double)v[1], (double)v[2]);
}

static status describe_net(metadata *m, const net *n, const float mean[3], const float std[3])
{
    status st = OK;
    format_triple(m->mean, sizeof m->mean, mean);
    format_triple(m->std, sizeof m->std, std);
    TRY(join_removed(n, &m->removed));
    const char *const text[N_META][2] = {
        { "arch", n->arch }, { "removed", m->removed }, { "mean", m->mean }, { "std", m->std }
    };
    for (int i = 0; i < N_META; i++) {
        onnx__string_string_entry_proto__init(&m->entry[i]);
        m->entry[i].key = (char *)text[i][0];
        m->entry[i].value = (char *)text[i][1];
        m->entries[i] = &m->entry[i];
    }
out:
    return st;
}

status onnx_write(const net *n, const float mean[3], const float std[3], const char *path)
{
    status st = OK;
    model m = { .net = n };
    metadata meta = { 0 };
    value_info image, logits;
    const int64_t image_size[3] = { n->value[0].shape.c, n->value[0].shape.h, n->value[0].shape.w };
    const int64_t logits_size[1] = { n->classes };
    if (!n->device) FAIL(ERR_RUNTIME, "%s: an ONNX model needs values: the net is not compiled", path);
    TRY(build(&m));
    describe_value(&image, "image", "RGB, normalised: (pixel / 255 - mean) / std", image_size, 4);
    describe_value(&logits, "logits", "before the softmax", logits_size, 2);
    TRY(describe_net(&meta, n, mean, std));

    Onnx__GraphProto graph = ONNX__GRAPH_PROTO__INIT;
    graph.name = (char *)n->arch;
    graph.node = m.nodes;
    graph.n_node = m.n_steps;
    graph.initializer = m.tensors;
    graph.n_initializer = m.n_tensors;
    graph.input = (Onnx__ValueInfoProto *[]){ &image.proto };
    graph.output = (Onnx__ValueInfoProto *[]){ &logits.proto };
    graph.n_input = graph.n_output = 1;

    Onnx__OperatorSetIdProto opset = ONNX__OPERATOR_SET_ID_PROTO__INIT;
    opset.version = ONNX_OPSET;
    Onnx__ModelProto proto = ONNX__MODEL_PROTO__INIT;
    proto.ir_version = ONNX_IR_VERSION;
    proto.producer_name = "cleave";
    proto.graph = &graph;
    proto.opset_import = (Onnx__OperatorSetIdProto *[]){ &opset };
    proto.n_opset_import = 1;
    proto.metadata_props = meta.entries;
    proto.n_metadata_props = N_META;
    TRY(write_model(&proto, path));
out:
    free(meta.removed);
    model_free(&m);
    return st;
}
