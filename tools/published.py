"""The published results that the ledger compares: [Yang23] Table 1, with the cut that yields each saving exactly; [Lu22]'s
curves for k = 3 and N = 500, read from the authors' poster to +-.005."""

# arch: accuracy before; by metric: accuracy after, percent of the parameters saved, units cut by kind (layerS, or
# the width of a VGG convolution; None: not known).
TABLE_1 = {
    'resnet18': (94.57, {'yang': (95.03, 42.25, {'layer4': 1}), 'lu': (None, 0.0, {})}),
    'resnet34': (94.89, {'yang': (95.09, 55.46, {'layer3': 2, 'layer4': 2}), 'lu': (95.10, 22.18, {'layer4': 1})}),
    'resnet50': (95.29, {'yang': (95.30, 47.45, {'layer3': 2, 'layer4': 2}),
                         'lu': (95.31, 23.72, {'layer3': 1, 'layer4': 1})}),
    'vgg11_bn': (92.05, {'yang': (92.59, 48.40, {'512': 2}), 'lu': (None, 0.0, {})}),
    'vgg16_bn': (93.50, {'yang': (94.15, 50.30, {'512': 3, '256': 1}), 'lu': (93.80, 30.96, {'512': 2})}),
    'vgg19_bn': (93.64, {'yang': (93.83, 57.40, {'512': 5}), 'lu': (93.81, 22.96, {'512': 2})}),
    'resnet56': (93.27, {'yang': (93.26, 60.76, {'layer1': 4, 'layer2': 3, 'layer3': 6}),
                         'lu': (93.30, 41.24, {'layer1': 4, 'layer2': 2, 'layer3': 4})}),
    'mobilenetv2': (88.11, {'yang': (88.43, 70.10, None), 'lu': (88.08, 47.47, None)}),
}

# Q at the points of hooks: lu2022.
CURVES = {
    'vgg16_bn': [.118, .019, .235, .115, .393, .374, .523, .746, .814, .828, .815, .820, .823],
    'resnet18': [.119, .025, .077, .274, .335, .517, .807, .844, .849],
}

# The protocol that the published accuracies and curves come from, in the order in which differences are noted.
PROTOCOL = {'data.format': 'cifar10', 'data.train_limit': '0', 'data.test_limit': '0', 'data.flip': 'true',
            'data.crop_pad': '4', 'train.epochs': '150', 'train.batch': '256', 'train.lr': '0.01',
            'train.momentum': '0.9', 'train.nesterov': 'false', 'train.weight_decay': '0.005',
            'train.schedule': 'step', 'train.milestones': '[49, 99]', 'train.gamma': '0.1', 'train.warmup': '0',
            'train.label_smoothing': '0', 'precision': 'f32', 'analysis.samples': '4000', 'analysis.edges': '40000',
            'analysis.precision': 'f32'}
