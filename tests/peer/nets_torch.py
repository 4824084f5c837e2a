"""The nets of nets/ in PyTorch, with the same parameter names: what the C code is judged by.

Every ReLU is a module of its own, so that a hook can see the value at its kink.
"""
import torch
from torch import nn


def conv(c_in, c_out, kernel, stride=1, bias=False):
    return nn.Conv2d(c_in, c_out, kernel, stride, kernel // 2, bias=bias)


class PadShortcut(nn.Module):
    """Option A of [He16]: every stride-th pixel, zero channels on both sides."""

    def __init__(self, grow, stride):
        super().__init__()
        self.grow, self.stride = grow, stride

    def forward(self, x):
        x = x[:, :, ::self.stride, ::self.stride]
        return nn.functional.pad(x, (0, 0, 0, 0, self.grow // 2, self.grow // 2))


class BasicBlock(nn.Module):
    def __init__(self, c_in, c_out, stride, option):
        super().__init__()
        self.conv1, self.bn1, self.relu1 = conv(c_in, c_out, 3, stride), nn.BatchNorm2d(c_out), nn.ReLU()
        self.conv2, self.bn2, self.relu2 = conv(c_out, c_out, 3), nn.BatchNorm2d(c_out), nn.ReLU()
        if stride == 1 and c_in == c_out:
            self.shortcut = nn.Sequential()
        elif option == 'A':
            self.shortcut = PadShortcut(c_out - c_in, stride)
        else:
            self.shortcut = nn.Sequential(conv(c_in, c_out, 1, stride), nn.BatchNorm2d(c_out))

    def forward(self, x):
        y = self.relu1(self.bn1(self.conv1(x)))
        return self.relu2(self.bn2(self.conv2(y)) + self.shortcut(x))


class ResNet(nn.Module):
    def __init__(self, widths, counts, option, head, classes):
        super().__init__()
        self.conv1, self.bn1, self.relu1 = conv(3, widths[0], 3), nn.BatchNorm2d(widths[0]), nn.ReLU()
        c, self.stages = widths[0], []
        for stage, (width, count) in enumerate(zip(widths, counts), 1):
            blocks = []
            for i in range(count):
                blocks.append(BasicBlock(c, width, 2 if stage > 1 and i == 0 else 1, option))
                c = width
            self.add_module(f'layer{stage}', nn.Sequential(*blocks))
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
    def __init__(self, plan, classes):
        super().__init__()
        layers, c = [], 3
        for word in plan.split():
            if word == 'M':
                layers.append(nn.MaxPool2d(2))
            else:
                layers += [conv(c, int(word), 3, bias=True), nn.BatchNorm2d(int(word)), nn.ReLU()]
                c = int(word)
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(nn.Dropout(.5), nn.Linear(512, 512), nn.ReLU(),
                                        nn.Dropout(.5), nn.Linear(512, 512), nn.ReLU(),
                                        nn.Linear(512, classes))

    def forward(self, x):
        return self.classifier(self.features(x).flatten(1))


VGG_PLANS = {
    'vgg11_bn': '64 M 128 M 256 256 M 512 512 M 512 512 M',
    'vgg13_bn': '64 64 M 128 128 M 256 256 M 512 512 M 512 512 M',
    'vgg16_bn': '64 64 M 128 128 M 256 256 256 M 512 512 512 M 512 512 512 M',
    'vgg19_bn': '64 64 M 128 128 M 256 256 256 256 M 512 512 512 512 M 512 512 512 512 M',
}
RESNET_COUNTS = {'resnet18': (2, 2, 2, 2), 'resnet34': (3, 4, 6, 3)}
SMALL_RESNET_COUNTS = {'resnet20': 3, 'resnet32': 5, 'resnet44': 7, 'resnet56': 9, 'resnet110': 18}


def make(arch, classes=10):
    """A net by its name; KeyError if it is not known here."""
    if arch in VGG_PLANS:
        return VGG(VGG_PLANS[arch], classes)
    if arch in SMALL_RESNET_COUNTS:
        return ResNet((16, 32, 64), (SMALL_RESNET_COUNTS[arch],) * 3, 'A', 'linear', classes)
    return ResNet((64, 128, 256, 512), RESNET_COUNTS[arch], 'B', 'fc', classes)


def state(net):
    """Parameters and buffers that decide what the net computes: name -> tensor."""
    return {k: v for k, v in net.state_dict().items() if not k.endswith('num_batches_tracked')}
