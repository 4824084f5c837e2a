/* nets/resnet.c -- residual nets [He16] with a 3x3 stem for 32x32 images.
 *
 *   basic:       x --- conv1 3x3 - bn1 - relu --- conv2 3x3 - bn2 --(+)-- relu ---> y
 *                  \------------------ shortcut ------------------/
 *
 *   bottleneck:  x --- conv1 1x1 - bn1 - relu --- conv2 3x3 - bn2 - relu --- conv3 1x1 - bn3 --(+)-- relu ---> y
 *                  \------------------------------- shortcut -------------------------------------/
 *
 * resnet20 ... 110 (depth = 6n + 2): widths 16-32-64, basic blocks, parameter-free shortcut (option A).
 * resnet18 ... 152: widths 64-512, 1x1 convolution + BN where the shape changes (option B). From 50 on
 * bottleneck blocks: conv3 has four times the width, the stride is on the 3x3 convolution. */
#include "builder.h"

enum { EXPANSION = 4 };

typedef struct resnet {
    int counts[4], widths[4]; /* of each stage; 0 = there is none */
    bool option_a, bottleneck;
} resnet;

static ref shortcut(net_builder *b, const resnet *r, const char *block, ref x, int out, int stride)
{
    if (stride == 1 && shape_of(b, x).c == out) return x;
    return r->option_a ? shortcut_pad(b, x, out, stride) : shortcut_conv(b, block, x, out, stride);
}

/* Conv-BN-ReLU number i of a block. */
static ref inner(net_builder *b, const char *block, int i, ref x, conv_cfg c)
{
    return conv_bn(b, name_format("%s.conv%d", block, i).text, name_format("%s.bn%d", block, i).text, x, c,
                   ACT_RELU, SET_CONV, 0);
}

/* A block to `out` channels, [He16] fig. 2 and 5. */
static ref residual_block(net_builder *b, const resnet *r, const char *block, ref x, int out, int stride)
{
    ref y;
    int last = r->bottleneck ? 3 : 2;
    if (r->bottleneck) {
        y = inner(b, block, 1, x, (conv_cfg){ .out = out / EXPANSION, .kernel = 1 });
        y = inner(b, block, 2, y, (conv_cfg){ .out = out / EXPANSION, .kernel = 3, .stride = stride });
    } else {
        y = inner(b, block, 1, x, (conv_cfg){ .out = out, .kernel = 3, .stride = stride });
    }
    y = conv(b, name_format("%s.conv%d", block, last).text, y,
             (conv_cfg){ .out = out, .kernel = r->bottleneck ? 1 : 3 });
    hook_raw(b, block, y, 0);
    ref z = shortcut(b, r, block, x, out, stride);
    return bn_add(b, name_format("%s.bn%d", block, last).text, y, z, ACT_RELU); /* [He16] eq. 1 */
}

static ref stem(net_builder *b, ref image, int width)
{
    unit_begin(b, "conv1", 0, "it is the stem");
    ref y = conv_bn(b, "conv1", "bn1", image, (conv_cfg){ .out = width, .kernel = 3 }, ACT_RELU,
                    SET_BLOCK | SET_CONV, SET_LU);
    unit_end(b);
    return y;
}

static ref build_stages(net_builder *b, ref image, const resnet *r)
{
    ref x = stem(b, image, r->widths[0]);
    for (int s = 0; s < 4; s++)
        for (int i = 0; i < r->counts[s]; i++) {
            int stride = s > 0 && i == 0 ? 2 : 1, out = r->widths[s] * (r->bottleneck ? EXPANSION : 1);
            bool changes = stride != 1 || shape_of(b, x).c != out;
            name block = name_format("layer%d.%d", s + 1, i);
            if (!unit_begin(b, block.text, s + 1, changes ? "its shortcut is not the identity" : NULL))
                continue;
            x = residual_block(b, r, block.text, x, out, stride);
            hook(b, block.text, x, SET_BLOCK | SET_CONV | SET_LU);
            unit_end(b);
        }
    return global_average_pool(b, x);
}

void build_resnet_cifar(net_builder *b, ref image, int depth)
{
    int n = (depth - 2) / 6;
    resnet r = { { n, n, n }, { 16, 32, 64 }, .option_a = true };
    b->conv_init = b->linear_init = PARAM_NORMAL_IN;
    linear(b, "linear", build_stages(b, image, &r), b->net->classes, ACT_NONE);
}

static resnet imagenet_resnet(int depth)
{
    switch (depth) {
    case 18: return (resnet){ { 2, 2, 2, 2 }, { 64, 128, 256, 512 } };
    case 34: return (resnet){ { 3, 4, 6, 3 }, { 64, 128, 256, 512 } };
    case 50: return (resnet){ { 3, 4, 6, 3 }, { 64, 128, 256, 512 }, .bottleneck = true };
    case 101: return (resnet){ { 3, 4, 23, 3 }, { 64, 128, 256, 512 }, .bottleneck = true };
    default: return (resnet){ { 3, 8, 36, 3 }, { 64, 128, 256, 512 }, .bottleneck = true }; /* 152 */
    }
}

void build_resnet_imagenet(net_builder *b, ref image, int depth)
{
    resnet r = imagenet_resnet(depth);
    linear_as_conv(b, "fc", build_stages(b, image, &r), b->net->classes);
}
