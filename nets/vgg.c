/* nets/vgg.c -- VGG with batch normalisation [Simonyan15] for 32x32 images: 3x3 convolutions, five 2x2 max pools,
 * and a head of three linear layers with dropout. Names count PyTorch's modules: a convolution is features.N,
 * its BN features.N+1, ReLU features.N+2, a pool is one module. */
#include "builder.h"

/* One character a module group: 1 2 4 8 = convolution to 64, 128, 256, 512 channels, M = max pool. */
static const char *layout_of(int depth)
{
    switch (depth) {
    case 11: return "1M2M44M88M88M";
    case 13: return "11M22M44M88M88M";
    case 16: return "11M22M444M888M888M";
    default: return "11M22M4444M8888M8888M"; /* 19 */
    }
}

static ref conv_unit(net_builder *b, int module, ref x, int width, int stage)
{
    name unit = name_format("features.%d", module);
    bool changes = shape_of(b, x).c != width;
    if (!unit_begin(b, unit.text, stage, changes ? "it changes the number of channels" : NULL)) return x;
    ref y = conv_bn(b, unit.text, name_format("features.%d", module + 1).text, x,
                    (conv_cfg){ .out = width, .kernel = 3, .bias = true }, ACT_RELU, SET_BLOCK | SET_CONV,
                    SET_LU);
    unit_end(b);
    return y;
}

void build_vgg(net_builder *b, ref image, int depth)
{
    ref x = image;
    int module = 0, stage = 1;
    b->conv_init = PARAM_NORMAL_OUT;
    b->zero_conv_bias = true;
    for (const char *c = layout_of(depth); *c; c++) {
        if (*c == 'M') {
            x = max_pool(b, x, 2);
            module += 1;
            stage += 1;
        } else {
            x = conv_unit(b, module, x, (*c - '0') * 64, stage);
            module += 3;
        }
    }
    x = linear(b, "classifier.1", dropout(b, x, 0.5f), 512, ACT_RELU);
    x = linear(b, "classifier.4", dropout(b, x, 0.5f), 512, ACT_RELU);
    linear(b, "classifier.6", x, b->net->classes, ACT_NONE);
}
