/* nets/mobilenetv2.c -- MobileNetV2 [Sandler18] for 32x32 images: inverted residuals, linear at their ends.
 *
 *   x --- 1x1 to t*C - bn - act --- 3x3 depthwise, stride s - bn - act --- 1x1 to out - bn --(+)--> y
 *     \------------------------------- shortcut ----------------------------------------/
 *
 * There are weights for two ways to write it:
 *                   mobilenetv2 (kuangliu's CIFAR code)           mobilenetv2_tv (torchvision)
 *   names           conv1 bn1 layers.I.convJ conv2 bn2 linear     features.I.conv.J... classifier.1
 *   activation      ReLU                                          ReLU6
 *   shortcut        stride 1: the identity, or a 1x1              stride 1 and in = out: the identity;
 *                   convolution + BN where in != out              else none
 *   expansion t=1   a 1x1 convolution all the same                none
 *   head            linear, PyTorch's default initialisation      dropout .2 before it; convolutions
 *                                                                 N(0, 2 / (R R K)), linear N(0, .01), bias 0
 * torchvision's strides are for 224x224: of a 32x32 image they would leave one pixel after the last stage. Here both have
 * the strides of the CIFAR code, 1 instead of 2 in the stem and in the second stage. The parameters do not depend on them. */
#include "builder.h"

typedef struct mobilenet {
    bool torchvision;
    activation act;
} mobilenet;

/* [Sandler18] table 2 with strides for 32x32 images. */
static const struct stage {
    int expansion, out, count, stride;
} stages[] = { { 1, 16, 1, 1 }, { 6, 24, 2, 1 },  { 6, 32, 3, 2 }, { 6, 64, 4, 2 },
               { 6, 96, 3, 1 }, { 6, 160, 3, 2 }, { 6, 320, 1, 1 } };
enum { STAGES = sizeof stages / sizeof stages[0], STEM = 32, LAST = 1280 };

/* Conv-BN-activation number i (from 0) of a block. */
static ref inner(net_builder *b, const mobilenet *m, const char *block, int i, ref x, conv_cfg c)
{
    name conv_name =
        m->torchvision ? name_format("%s.conv.%d.0", block, i) : name_format("%s.conv%d", block, i + 1);
    name bn_name =
        m->torchvision ? name_format("%s.conv.%d.1", block, i) : name_format("%s.bn%d", block, i + 1);
    return conv_bn(b, conv_name.text, bn_name.text, x, c, m->act, SET_CONV, 0);
}

static ref shortcut(net_builder *b, const mobilenet *m, const char *block, ref x, int out, int stride)
{
    if (stride == 1 && shape_of(b, x).c == out) return x;
    return stride == 1 && !m->torchvision ? shortcut_conv(b, block, x, out, 1) : NONE;
}

static ref inverted_residual(net_builder *b, const mobilenet *m, const char *block, ref x,
                             const struct stage *s, int stride)
{
    int i = 0, wide = shape_of(b, x).c * s->expansion;
    ref y = x;
    if (s->expansion > 1 || !m->torchvision)
        y = inner(b, m, block, i++, y, (conv_cfg){ .out = wide, .kernel = 1 });
    y = inner(b, m, block, i++, y, (conv_cfg){ .out = wide, .kernel = 3, .stride = stride, .groups = wide });
    name conv_name = m->torchvision ? name_format("%s.conv.%d", block, i) : name_format("%s.conv3", block);
    name bn_name = m->torchvision ? name_format("%s.conv.%d", block, i + 1) : name_format("%s.bn3", block);
    y = conv(b, conv_name.text, y, (conv_cfg){ .out = s->out, .kernel = 1 });
    hook_raw(b, block, y, 0);
    ref z = shortcut(b, m, block, x, s->out, stride);
    return bn_add(b, bn_name.text, y, z, ACT_NONE);
}

static ref build_blocks(net_builder *b, const mobilenet *m, ref x)
{
    int index = m->torchvision ? 1 : 0; /* features.0 is the stem */
    for (int s = 0; s < STAGES; s++)
        for (int i = 0; i < stages[s].count; i++, index++) {
            int stride = i == 0 ? stages[s].stride : 1;
            bool changes = stride != 1 || shape_of(b, x).c != stages[s].out;
            name block = name_format(m->torchvision ? "features.%d" : "layers.%d", index);
            if (!unit_begin(b, block.text, s + 1, changes ? "its shortcut is not the identity" : NULL))
                continue;
            x = inverted_residual(b, m, block.text, x, &stages[s], stride);
            hook(b, block.text, x, SET_BLOCK | SET_CONV);
            unit_end(b);
        }
    return x;
}

/* The first and the last convolution. */
static ref end_conv(net_builder *b, const mobilenet *m, const char *conv_name, const char *bn_name, ref x,
                    conv_cfg c, int stage, const char *fixed)
{
    unit_begin(b, conv_name, stage, fixed);
    ref y = conv_bn(b, conv_name, bn_name, x, c, m->act, SET_BLOCK | SET_CONV, 0);
    unit_end(b);
    return y;
}

void build_mobilenetv2(net_builder *b, ref image, int torchvision)
{
    mobilenet m = { torchvision, torchvision ? ACT_RELU6 : ACT_RELU };
    if (torchvision) {
        b->conv_init = PARAM_NORMAL_OUT;
        b->linear_init = PARAM_NORMAL_001;
        b->zero_linear_bias = true;
    }
    ref x = end_conv(b, &m, torchvision ? "features.0.0" : "conv1", torchvision ? "features.0.1" : "bn1",
                     image, (conv_cfg){ .out = STEM, .kernel = 3 }, 0, "it is the stem");
    x = build_blocks(b, &m, x);
    x = end_conv(b, &m, torchvision ? "features.18.0" : "conv2", torchvision ? "features.18.1" : "bn2", x,
                 (conv_cfg){ .out = LAST, .kernel = 1 }, STAGES + 1, "it is the last convolution");
    x = global_average_pool(b, x);
    if (torchvision) x = dropout(b, x, 0.2f);
    linear(b, torchvision ? "classifier.1" : "linear", x, b->net->classes, ACT_NONE);
}
