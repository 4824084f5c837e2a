#!/usr/bin/python3
"""The PyTorch side of tests/e2e/convert.bats.

  convert_torch.py write DIR           DIR/NAME.pth for each of CASES, its logits as NAME.npy, and 12 images as
                                       DIR/data_batch_*.bin, test_batch.bin (CIFAR-10's format)
  convert_torch.py list                the cases: NAME ARCH CLASSES [UNIT,UNIT]
  convert_torch.py equal DIR OTHER     NAME.npy of every case agrees in both folders
  convert_torch.py load NET.safetensors NET.pt LOGITS.npy DIR
                                       load_state_dict(NET.pt, strict=True) into the net that the metadata of
                                       NET.safetensors describes; its logits for the images in DIR equal LOGITS
  convert_torch.py errors DIR          checks how convert.py rejects bad files and arguments

Exit code 0 if all is as it should be.
"""
import contextlib
import io
import json
import os
import pickle
import sys

import numpy as np
import torch

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, '..', '..', 'tools')]
import convert
import nets_torch
import oracle
import stfile

IMAGES = 6
MEAN, STD = (.4914, .4822, .4465), (.2023, .1994, .2010)
# name: arch, classes, units left out, what torch.save gets
CASES = {
    'plain': ('resnet20', 10, (), lambda s: s),
    'parallel': ('resnet56', 100, (), lambda s: {'state_dict': {f'module.{k}': v for k, v in s.items()},
                                                 'best_prec1': 91.5}),
    'kuangliu': ('mobilenetv2', 10, (), lambda s: {'net': s, 'acc': 94.4, 'epoch': 199}),
    'torchvision': ('mobilenetv2_tv', 100, (), lambda s: {'model': s, 'top1': np.float64(91.5)}),
    'nested': ('vgg11_bn', 10, ('features.11', 'features.25'), lambda s: {'model': {'state_dict': s}, 'epoch': 3}),
    'bottleneck': ('resnet50', 10, ('layer3.4', 'layer3.5', 'layer4.1', 'layer4.2'), lambda s: s),
    'pruned': ('mobilenetv2', 10, ('layers.4', 'layers.15'), lambda s: {'net': s}),
    'pruned_tv': ('mobilenetv2_tv', 10, ('features.3', 'features.16'), lambda s: s),
}


def pixels():
    return np.random.default_rng(5).integers(0, 256, (IMAGES, 3, 32, 32), dtype=np.uint8)


def logits(net):
    mean, std = (np.array(v, np.float64).reshape(1, 3, 1, 1) for v in (MEAN, STD))
    with torch.no_grad():
        return net.double().eval()(torch.from_numpy((pixels() / 255. - mean) / std)).numpy()


def write_images(folder):
    labels = np.arange(IMAGES, dtype=np.uint8).reshape(-1, 1) % 10
    records = np.concatenate([labels, pixels().reshape(IMAGES, -1)], 1).tobytes()
    for file in [f'data_batch_{i}.bin' for i in range(1, 6)] + ['test_batch.bin']:
        with open(os.path.join(folder, file), 'wb') as f:
            f.write(records)
    # in CIFAR-100 a coarse label comes before the fine one
    coarse = np.concatenate([0 * labels, labels, pixels().reshape(IMAGES, -1)], 1).tobytes()
    for file in ('train.bin', 'test.bin'):
        with open(os.path.join(folder, file), 'wb') as f:
            f.write(coarse)


def write(folder):
    write_images(folder)
    for name, (arch, classes, removed, wrap) in CASES.items():
        net = nets_torch.make(arch, classes, removed)
        oracle.set_initial(net)
        torch.save(wrap(net.state_dict()), os.path.join(folder, f'{name}.pth'))
        np.save(os.path.join(folder, f'{name}.npy'), logits(net))


def all_equal(folder, other):
    for name in CASES:
        equal(np.load(os.path.join(folder, f'{name}.npy')), np.load(os.path.join(other, f'{name}.npy')))


def equal(a, b):
    assert a.shape == b.shape and np.isfinite(b).all(), (a.shape, b.shape)
    error = np.abs(a - b).max() / np.abs(a).max()
    assert error < 1e-4, f'logits are off by {error:.2g}'


def load(source, converted, expected, folder):
    meta = json.loads(stfile.read(source)[1]['arch'])
    net = nets_torch.make(meta['arch'], meta['classes'], meta['removed'])
    net.load_state_dict(torch.load(converted, weights_only=True), strict=True)
    equal(logits(net), np.load(expected))
    counters = {v.item() for k, v in net.state_dict().items() if k.endswith('num_batches_tracked')}
    assert len(counters) == 1 and counters != {0}, counters  # steps of the training


class Bomb:
    """Creates a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (self.path, 'w')


def answer(arguments):
    """-> exit code, standard error"""
    with contextlib.redirect_stderr(io.StringIO()) as err, contextlib.redirect_stdout(io.StringIO()):
        try:
            code = convert.main(arguments)
        except SystemExit as e:  # usage, --help
            code = e.code
    return code, err.getvalue()


def errors(folder):
    def path(name):
        return os.path.join(folder, name)

    def saved(name, what):
        torch.save(what, path(name))
        return path(name)

    net, good = nets_torch.make('resnet20'), path('good.pt')
    torch.save(net.state_dict(), good)
    out, bomb = path('out.safetensors'), path('bomb-went-off')
    assert answer([good, out]) == (0, '')
    with open(good, 'rb') as f, open(path('half.pth'), 'wb') as half:
        half.write(f.read(60000))
    with open(out, 'rb') as f, open(path('half.safetensors'), 'wb') as half:
        half.write(f.read(60000))
    with open(path('text.pth'), 'w') as f:
        f.write('not a checkpoint\n')
    with open(path('pickle.pth'), 'wb') as f:
        pickle.dump({'a': 1}, f)
    stfile.write(path('empty.safetensors'), {})
    w = torch.zeros(2)
    os.remove(out)
    for code, word, arguments in (
            (2, 'usage', []), (2, 'usage', [good]), (2, 'usage', ['--fast', good, out]), (2, 'usage', [good, out, out]),
            (2, 'ends in', [good, path('b.pt')]), (2, 'ends in', [path('half.safetensors'), out]),
            (3, 'no such file', [path('none.pth'), out]), (3, 'no such file', [folder, out]),
            (3, 'half.pth', [path('half.pth'), out]), (3, 'text.pth', [path('text.pth'), out]),
            (3, 'pickle.pth', [path('pickle.pth'), out]), (3, 'half.safetensors', [path('half.safetensors'), path('x.pt')]),
            (3, 'no tensors', [path('empty.safetensors'), path('x.pt')]),
            (3, '--trust', [saved('bomb.pth', {'state_dict': net.state_dict(), 'args': Bomb(bomb)}), out]),
            (3, '--trust', [saved('module.pth', net), out]),
            (3, 'no tensors', [saved('nothing.pth', {}), out]), (3, 'list', [saved('list.pth', [w]), out]),
            (3, 'epoch is a int', [saved('other.pth', {'epoch': 3, 'weights': {'w': w}}), out]),
            (3, 'sparse', [saved('sparse.pth', {'w': w.to_sparse()}), out]),
            (3, 'complex', [saved('complex.pth', {'w': w.to(torch.complex64)}), out]),
            (3, 'twice', [saved('twice.pth', {'w': w, 'module.w': w}), out]),
            (1, 'no/such', [good, path('no/such/folder.safetensors')])):
        got, said = answer(arguments)
        assert got == code and word in said and said.count('\n') == 1, (arguments, code, word, got, said)
        assert not os.path.exists(out) and not os.path.exists(bomb), arguments
    assert answer(['--trust', path('module.pth'), out]) == (0, '')
    assert answer(['--trust', path('bomb.pth'), out])[0] == 0 and os.path.exists(bomb)
    assert answer(['--help']) == (0, '')
    assert not [f for f in os.listdir(folder) if f.endswith('.tmp')]
    several_types(path)
    old_format(net, path)


def several_types(path):
    """Every type comes back with the same bits, also with unusual shapes."""
    given = {'f64': torch.randn(3, dtype=torch.float64), 'f16': torch.randn(3, 1).half(), 'bf16': torch.randn(5).bfloat16(),
             'i64': torch.tensor(7), 'u8': torch.arange(3, dtype=torch.uint8), 'bool': torch.tensor([True, False]),
             'none': torch.zeros(0, 4), 'view': torch.arange(6.).reshape(2, 3).t(), 'b.running_mean': torch.zeros(2)}
    torch.save(given, path('types.pt'))
    assert answer([path('types.pt'), path('types.safetensors')]) == (0, '')
    assert answer([path('types.safetensors'), path('back.pt')]) == (0, '')
    back = torch.load(path('back.pt'), weights_only=True)
    assert back.pop('b.num_batches_tracked').item() == 0 and back.keys() == given.keys()
    for name, t in given.items():
        assert back[name].dtype == t.dtype and torch.equal(back[name], t), name


def old_format(net, path):
    """Before PyTorch 1.6 files were not zip archives; some published weights are that old."""
    torch.save({'state_dict': net.state_dict(), 'best_prec1': 91.5}, path('old.th'), _use_new_zipfile_serialization=False)
    torch.save({'state_dict': net.state_dict()}, path('new.th'))
    for name in ('old', 'new'):
        assert answer([path(f'{name}.th'), path(f'{name}.safetensors')]) == (0, '')
    assert not stfile.diff(path('old.safetensors'), path('new.safetensors'))


if __name__ == '__main__':
    torch.set_num_threads(1)
    command, arguments = sys.argv[1] if len(sys.argv) > 1 else '', sys.argv[2:]
    if command == 'list':
        for case, (case_arch, n, units, _) in CASES.items():
            print(case, case_arch, n, ','.join(units))
    elif command in ('write', 'equal', 'load', 'errors'):
        {'write': write, 'equal': all_equal, 'load': load, 'errors': errors}[command](*arguments)
    else:
        sys.exit(__doc__)
