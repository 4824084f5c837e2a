/* layers/layer.c -- the table of layers. A new one is a file of its own and two lines here. */
#include "layer.h"

extern const layer_type layer_conv, layer_bnact, layer_pool, layer_linear, layer_dropout, layer_shortcut;
extern const layer_type layer_loss;

static const layer_type *const layers[OP_KINDS] = {
    [OP_CONV] = &layer_conv,     [OP_BNACT] = &layer_bnact,     [OP_POOL] = &layer_pool,
    [OP_LINEAR] = &layer_linear, [OP_DROPOUT] = &layer_dropout, [OP_SHORTCUT] = &layer_shortcut,
    [OP_LOSS] = &layer_loss,
};

const char *const activation_words[] = {
    [ACT_NONE] = "_none", [ACT_RELU] = "_relu", [ACT_RELU6] = "_relu6", NULL
};

const layer_type *layer_of(op_kind kind)
{
    return kind < OP_KINDS ? layers[kind] : NULL;
}

int layer_params(const op *o, param_spec spec[OP_MAX_PARAMS])
{
    const layer_type *t = layer_of(o->kind);
    return t->params ? t->params(o, spec) : 0;
}

int64_t layer_macs(const op *o)
{
    const layer_type *t = layer_of(o->kind);
    return t->macs ? t->macs(o) : 0;
}

int64_t param_count(const param_spec *p)
{
    int64_t n = 1;
    for (int i = 0; i < p->rank; i++) n *= p->shape[i];
    return n;
}
