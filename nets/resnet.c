/* nets/resnet.c -- residual nets [He16] with basic blocks.
 *
 *   x --- conv1 - bn1 - relu --- conv2 - bn2 --(+)-- relu ---> y
 *     \------------- shortcut ------------------/
 *
 * resnet20 ... 110 (depth = 6n + 2): widths 16-32-64, parameter-free shortcut (option A).
 * resnet18, 34: widths 64-512, 1x1 convolution + BN where the shape changes (option B); 3x3 stem for 32x32. */
#include "builder.h"

typedef struct resnet {
    int stages, counts[4], widths[4];
    bool option_a;
} resnet;


static ref shortcut(net_builder *b, const char *block, ref x, int width, int stride, bool option_a)
{
    if (stride == 1 && shape_of(b, x).c == width) return x;
    if (option_a) return shortcut_pad(b, x, width, stride);
    ref y = conv(b, name_format("%s.shortcut.0", block).text, x, (conv_cfg){ .out = width, .kernel = 1, .stride = stride });
    return bn(b, name_format("%s.shortcut.1", block).text, y, ACT_NONE);
}

static ref basic_block(net_builder *b, const char *block, ref x, int width, int stride, bool option_a)
{
    name conv1 = name_format("%s.conv1", block), bn1 = name_format("%s.bn1", block);
    name conv2 = name_format("%s.conv2", block), bn2 = name_format("%s.bn2", block);
    ref y = conv(b, conv1.text, x, (conv_cfg){ .out = width, .kernel = 3, .stride = stride });
    hook_raw(b, conv1.text, y, 0);
    y = bn(b, bn1.text, y, ACT_RELU);
    hook(b, conv1.text, y, SET_CONV);
    y = conv(b, conv2.text, y, (conv_cfg){ .out = width, .kernel = 3 });
    hook_raw(b, block, y, 0);
    return bn_add(b, bn2.text, y, shortcut(b, block, x, width, stride, option_a), ACT_RELU); /* [He16] eq. 1 */
}

static ref stem(net_builder *b, ref image, int width)
{
    unit_begin(b, "conv1", 0, "it is the stem");
    ref y = conv(b, "conv1", image, (conv_cfg){ .out = width, .kernel = 3 });
    hook_raw(b, "conv1", y, SET_LU);
    y = bn(b, "bn1", y, ACT_RELU);
    hook(b, "conv1", y, SET_BLOCK | SET_CONV);
    unit_end(b);
    return y;
}

static ref build_stages(net_builder *b, ref x, const resnet *r)
{
    for (int s = 0; s < r->stages; s++)
        for (int i = 0; i < r->counts[s]; i++) {
            int stride = s > 0 && i == 0 ? 2 : 1;
            bool changes = stride != 1 || shape_of(b, x).c != r->widths[s];
            name block = name_format("layer%d.%d", s + 1, i);
            if (!unit_begin(b, block.text, s + 1, changes ? "its shortcut is not the identity" : NULL)) continue;
            x = basic_block(b, block.text, x, r->widths[s], stride, r->option_a);
            hook(b, block.text, x, SET_BLOCK | SET_CONV | SET_LU);
            unit_end(b);
        }
    return x;
}

void build_resnet_cifar(net_builder *b, ref image, int depth)
{
    int n = (depth - 2) / 6;
    resnet r = { 3, { n, n, n }, { 16, 32, 64 }, .option_a = true };
    b->conv_init = b->linear_init = PARAM_NORMAL_IN;
    ref x = build_stages(b, stem(b, image, 16), &r);
    linear(b, "linear", global_average_pool(b, x), b->net->classes, ACT_NONE);
}

void build_resnet_imagenet(net_builder *b, ref image, int depth)
{
    resnet r = { 4, { 2, 2, 2, 2 }, { 64, 128, 256, 512 }, .option_a = false };
    if (depth == 34) r = (resnet){ 4, { 3, 4, 6, 3 }, { 64, 128, 256, 512 }, .option_a = false };
    ref x = build_stages(b, stem(b, image, 64), &r);
    linear_as_conv(b, "fc", global_average_pool(b, x), b->net->classes);
}
