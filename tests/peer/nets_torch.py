"""The nets of nets/ in PyTorch, with the same parameter names: the reference for the C code.

A net may lack removable units (`removed`). The others keep their names, so containers are built from names.
Every ReLU is a module of its own, so that a hook can see the value at its kink.
"""
from collections import OrderedDict

import torch
from torch import nn


def conv(c_in, c_out, kernel, stride=1, bias=False, groups=1):
    return nn.Conv2d(c_in, c_out, kernel, stride, kernel // 2, bias=bias, groups=groups)


def conv_shortcut(c_in, c_out, stride):
    return nn.Sequential(conv(c_in, c_out, 1, stride), nn.BatchNorm2d(c_out))


class PadShortcut(nn.Module):
    """Option A of [He16]: every stride-th pixel, zero channels on both sides."""

    def __init__(self, grow, stride):
        super().__init__()
        self.grow, self.stride = grow, stride

    def forward(self, x):
        x = x[:, :, ::self.stride, ::self.stride]
        return nn.functional.pad(x, (0, 0, 0, 0, self.grow // 2, self.grow // 2))


class BasicBlock(nn.Module):
    expansion = 1

    def __init__(self, c_in, width, stride, option):
        super().__init__()
        self.conv1, self.bn1, self.relu1 = conv(c_in, width, 3, stride), nn.BatchNorm2d(width), nn.ReLU()
        self.conv2, self.bn2, self.relu2 = conv(width, width, 3), nn.BatchNorm2d(width), nn.ReLU()
        if stride == 1 and c_in == width:
            self.shortcut = nn.Sequential()
        elif option == 'A':
            self.shortcut = PadShortcut(width - c_in, stride)
        else:
            self.shortcut = conv_shortcut(c_in, width, stride)

    def forward(self, x):
        y = self.relu1(self.bn1(self.conv1(x)))
        return self.relu2(self.bn2(self.conv2(y)) + self.shortcut(x))


class Bottleneck(nn.Module):
    expansion = 4

    def __init__(self, c_in, width, stride, _):
        super().__init__()
        c_out = self.expansion * width
        self.conv1, self.bn1, self.relu1 = conv(c_in, width, 1), nn.BatchNorm2d(width), nn.ReLU()
        self.conv2, self.bn2, self.relu2 = conv(width, width, 3, stride), nn.BatchNorm2d(width), nn.ReLU()
        self.conv3, self.bn3, self.relu3 = conv(width, c_out, 1), nn.BatchNorm2d(c_out), nn.ReLU()
        self.identity = stride == 1 and c_in == c_out
        self.shortcut = nn.Sequential() if self.identity else conv_shortcut(c_in, c_out, stride)

    def forward(self, x):
        y = self.relu1(self.bn1(self.conv1(x)))
        y = self.relu2(self.bn2(self.conv2(y)))
        return self.relu3(self.bn3(self.conv3(y)) + self.shortcut(x))


class ResNet(nn.Module):
    def __init__(self, block, widths, counts, option, head, classes, removed, channels=3):
        super().__init__()
        self.conv1, self.bn1, self.relu1 = conv(channels, widths[0], 3), nn.BatchNorm2d(widths[0]), nn.ReLU()
        c, self.stages = widths[0], []
        for stage, (width, count) in enumerate(zip(widths, counts), 1):
            blocks = OrderedDict()
            for i in range(count):
                if f'layer{stage}.{i}' in removed:
                    continue
                blocks[str(i)] = block(c, width, 2 if stage > 1 and i == 0 else 1, option)
                c = width * block.expansion
            self.add_module(f'layer{stage}', nn.Sequential(blocks))
            self.stages.append(f'layer{stage}')
        self.head = head
        self.add_module(head, nn.Conv2d(c, classes, 1) if head == 'fc' else nn.Linear(c, classes))

    def forward(self, x):
        x = self.relu1(self.bn1(self.conv1(x)))
        for stage in self.stages:
            x = getattr(self, stage)(x)
        x = x.mean((2, 3), keepdim=True)
        return getattr(self, self.head)(x if self.head == 'fc' else x.flatten(1)).flatten(1)


class VGG(nn.Module):
    def __init__(self, plan, classes, removed, channels=3, size=(32, 32)):
        super().__init__()
        layers, c, at = OrderedDict(), channels, 0
        for word in plan.split():
            group = [nn.MaxPool2d(2)] if word == 'M' else \
                [conv(c, int(word), 3, bias=True), nn.BatchNorm2d(int(word)), nn.ReLU()]
            c = c if word == 'M' else int(word)
            if f'features.{at}' not in removed:
                layers.update((str(at + i), m) for i, m in enumerate(group))
            at += len(group)
        self.features = nn.Sequential(layers)
        self.classifier = nn.Sequential(nn.Dropout(.5), nn.Linear(512 * (size[0] // 32) * (size[1] // 32), 512),
                                        nn.ReLU(), nn.Dropout(.5), nn.Linear(512, 512), nn.ReLU(),
                                        nn.Linear(512, classes))

    def forward(self, x):
        return self.classifier(self.features(x).flatten(1))


# expansion, channels, blocks, stride of the first: [Sandler18] table 2 with strides for 32x32 images
INVERTED = ((1, 16, 1, 1), (6, 24, 2, 1), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))


def inverted_blocks(block, first, name, removed):
    """-> the blocks by their number from `first` on"""
    blocks, c, at = OrderedDict(), 32, first
    for expansion, c_out, count, stride in INVERTED:
        for i in range(count):
            if f'{name}.{at}' not in removed:
                blocks[str(at)] = block(c, c_out, expansion, stride if i == 0 else 1)
                c = c_out
            at += 1
    return blocks


class InvertedResidual(nn.Module):
    """kuangliu's"""

    def __init__(self, c_in, c_out, expansion, stride):
        super().__init__()
        wide = c_in * expansion
        self.conv1, self.bn1, self.relu1 = conv(c_in, wide, 1), nn.BatchNorm2d(wide), nn.ReLU()
        self.conv2, self.bn2 = conv(wide, wide, 3, stride, groups=wide), nn.BatchNorm2d(wide)
        self.relu2 = nn.ReLU()
        self.conv3, self.bn3 = conv(wide, c_out, 1), nn.BatchNorm2d(c_out)
        self.stride, self.identity = stride, stride == 1 and c_in == c_out
        self.shortcut = nn.Sequential()
        if stride == 1 and c_in != c_out:
            self.shortcut = conv_shortcut(c_in, c_out, 1)

    def forward(self, x):
        y = self.relu1(self.bn1(self.conv1(x)))
        y = self.bn3(self.conv3(self.relu2(self.bn2(self.conv2(y)))))
        return y + self.shortcut(x) if self.stride == 1 else y


class MobileNetV2(nn.Module):
    def __init__(self, classes, removed, channels=3):
        super().__init__()
        self.conv1, self.bn1, self.relu1 = conv(channels, 32, 3), nn.BatchNorm2d(32), nn.ReLU()
        self.layers = nn.Sequential(inverted_blocks(InvertedResidual, 0, 'layers', removed))
        self.conv2, self.bn2, self.relu2 = conv(320, 1280, 1), nn.BatchNorm2d(1280), nn.ReLU()
        self.linear = nn.Linear(1280, classes)

    def forward(self, x):
        x = self.layers(self.relu1(self.bn1(self.conv1(x))))
        return self.linear(self.relu2(self.bn2(self.conv2(x))).mean((2, 3)))


class TorchvisionInvertedResidual(nn.Module):
    def __init__(self, c_in, c_out, expansion, stride):
        super().__init__()
        wide = c_in * expansion
        layers = [conv_bn_relu6(c_in, wide, 1)] if expansion != 1 else []
        layers += [conv_bn_relu6(wide, wide, 3, stride, wide), conv(wide, c_out, 1), nn.BatchNorm2d(c_out)]
        self.conv = nn.Sequential(*layers)
        self.identity = stride == 1 and c_in == c_out

    def forward(self, x):
        return x + self.conv(x) if self.identity else self.conv(x)


def conv_bn_relu6(c_in, c_out, kernel, stride=1, groups=1):
    return nn.Sequential(conv(c_in, c_out, kernel, stride, groups=groups), nn.BatchNorm2d(c_out), nn.ReLU6())


class TorchvisionMobileNetV2(nn.Module):
    def __init__(self, classes, removed, channels=3):
        super().__init__()
        layers = OrderedDict({'0': conv_bn_relu6(channels, 32, 3)})
        layers.update(inverted_blocks(TorchvisionInvertedResidual, 1, 'features', removed))
        layers['18'] = conv_bn_relu6(320, 1280, 1)
        self.features = nn.Sequential(layers)
        self.classifier = nn.Sequential(nn.Dropout(.2), nn.Linear(1280, classes))

    def forward(self, x):
        return self.classifier(self.features(x).mean((2, 3)))


VGG_PLANS = {
    'vgg11_bn': '64 M 128 M 256 256 M 512 512 M 512 512 M',
    'vgg13_bn': '64 64 M 128 128 M 256 256 M 512 512 M 512 512 M',
    'vgg16_bn': '64 64 M 128 128 M 256 256 256 M 512 512 512 M 512 512 512 M',
    'vgg19_bn': '64 64 M 128 128 M 256 256 256 256 M 512 512 512 512 M 512 512 512 512 M',
}
RESNETS = {'resnet18': (BasicBlock, (2, 2, 2, 2)), 'resnet34': (BasicBlock, (3, 4, 6, 3)),
           'resnet50': (Bottleneck, (3, 4, 6, 3)), 'resnet101': (Bottleneck, (3, 4, 23, 3)),
           'resnet152': (Bottleneck, (3, 8, 36, 3))}
SMALL_RESNET_COUNTS = {'resnet20': 3, 'resnet32': 5, 'resnet44': 7, 'resnet56': 9, 'resnet110': 18}
MOBILENETS = {'mobilenetv2': MobileNetV2, 'mobilenetv2_tv': TorchvisionMobileNetV2}


def make(arch, classes=10, removed=(), channels=3, size=(32, 32)):
    """A net by its name, without the units in `removed`; KeyError for an unknown name."""
    if arch in VGG_PLANS:
        return VGG(VGG_PLANS[arch], classes, removed, channels, size)
    if arch in MOBILENETS:
        return MOBILENETS[arch](classes, removed, channels)
    if arch in SMALL_RESNET_COUNTS:
        counts = (SMALL_RESNET_COUNTS[arch],) * 3
        return ResNet(BasicBlock, (16, 32, 64), counts, 'A', 'linear', classes, removed, channels)
    block, counts = RESNETS[arch]
    return ResNet(block, (64, 128, 256, 512), counts, 'B', 'fc', classes, removed, channels)


def state(net):
    """Parameters and buffers that decide what the net computes: name -> tensor."""
    return {k: v for k, v in net.state_dict().items() if not k.endswith('num_batches_tracked')}


def macs(net):
    """Multiply-accumulates of one image in convolutions and linear layers, counted in a forward pass."""
    total = 0

    def count(module, args, out):
        nonlocal total
        each = module.weight[0].numel()  # products per output value
        total += out[0].numel() * each

    hooks = [m.register_forward_hook(count) for m in net.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
    with torch.no_grad():
        net.eval()(torch.zeros(1, 3, 32, 32))
    for h in hooks:
        h.remove()
    return total
