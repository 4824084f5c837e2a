#!/usr/bin/python3
"""The numbers of `analyze` for a ResNet, computed as one would in PyTorch. make bench-analyze compares both.

  analyze_torch.py CKPT.safetensors IMAGES.bin SAMPLES.csv OUT.json [--arch resnet18] [--images 10000] [--edges 40000]
                   [--k 3] [--batch 250] [--threads N] [--layout auto|channels_last|contiguous] [--memory GIGABYTES]

Forward hooks keep every block's output for all images. Then, for each layer: rows of unit length, the similarity matrix
by one product, the histogram of its upper triangle, the top edges among the images of SAMPLES.csv (as analyze writes it)
by torch.topk, Yang's modularity and Lu's. IMAGES.bin is in CIFAR-10's binary format. Each pass over the images serves as
many layers as fit into --memory. OUT.json receives the numbers, the seconds of each part (without importing torch),
PyTorch's version and the BLAS library that it uses.
"""
import argparse
import csv
import json
import os
import sys
import time

import numpy as np
import torch

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import nets_torch
import stfile

MEAN, STD = (.4914, .4822, .4465), (.2023, .1994, .2010)


LAYOUTS = {'channels_last': torch.channels_last, 'contiguous': torch.contiguous_format}


class Clock:
    def __init__(self):
        self.seconds, self.since = {}, time.perf_counter()

    def leave_out(self):
        self.since = time.perf_counter()

    def count(self, part):
        now = time.perf_counter()
        self.seconds[part] = self.seconds.get(part, 0) + now - self.since
        self.since = now


def load_net(path, arch):
    net = nets_torch.make(arch)
    tensors, _ = stfile.read(path)
    state = {name: torch.from_numpy(np.frombuffer(data, '<f4').copy()).reshape(tuple(shape))
             for name, (dtype, shape, data) in tensors.items() if dtype == 'F32'}
    wanted = nets_torch.state(net)
    net.load_state_dict({name: state[name] for name in wanted}, strict=False)
    return net.eval()


def load_images(path, n):
    records = np.fromfile(path, np.uint8, n * 3073).reshape(-1, 3073)
    x = torch.from_numpy(records[:, 1:].reshape(-1, 3, 32, 32)).float().div_(255)
    x = (x - torch.tensor(MEAN).view(1, 3, 1, 1)) / torch.tensor(STD).view(1, 3, 1, 1)
    return x, torch.from_numpy(records[:, 0].astype(np.int64))


def find_layers(net):
    """The stem after its ReLU, and every block: name -> module."""
    blocks = {f'{stage}.{i}': block for stage in net.stages for i, block in getattr(net, stage).named_children()}
    return {'conv1': net.relu1, **blocks}


def output_sizes(net, layers, image):
    sizes = {}
    hooks = [module.register_forward_hook(lambda m, args, out, name=name: sizes.__setitem__(name, out[0].numel()))
             for name, module in layers.items()]
    net(image)
    for hook in hooks:
        hook.remove()
    return sizes


def group_layers(sizes, n, gigabytes):
    """Groups of as many layers as fit; a layer that does not fit is a group of its own."""
    groups, room = [], 0
    for name, size in sizes.items():
        need = 4 * n * size
        if not groups or need > room:
            groups.append([])
            room = gigabytes * 1e9
        groups[-1].append(name)
        room -= need
    return groups


def choose_layout(net, x):
    """The faster of PyTorch's memory formats for a batch; each is timed after a first run."""
    seconds = {}
    for name, layout in LAYOUTS.items():
        net.to(memory_format=layout)
        for _ in range(2):
            start = time.perf_counter()
            net(x.contiguous(memory_format=layout))
            seconds[name] = time.perf_counter() - start
    return min(seconds, key=seconds.get)


def features(net, layers, sizes, names, x, batch, layout):
    kept = {name: torch.empty(len(x), sizes[name]) for name in names}
    at = 0

    def keep(name):
        def hook(module, args, out):
            kept[name][at:at + len(out)] = out.flatten(1)
        return hook

    hooks = [layers[name].register_forward_hook(keep(name)) for name in names]
    for at in range(0, len(x), batch):
        net(x[at:at + batch].contiguous(memory_format=layout))
    for hook in hooks:
        hook.remove()
    return kept


def yang(weight, i, j, label, n):
    """[Yang23] eq. 3-5; 2S = sum_i s_i, each edge in both directions."""
    w = weight.double()
    strength = torch.zeros(n, dtype=torch.float64).index_add_(0, i, w).index_add_(0, j, w)
    two_s = strength.sum()
    term = 2 * (w - strength[i] * strength[j] / two_s) / two_s
    within = label[i] == label[j]
    r, aq, eq = within.double().mean(), term[within].sum(), term[~within].sum()
    return {'r': r.item(), 'AQ': aq.item(), 'EQ': eq.item(), 'M': (r * aq * (1 - eq)).item()}


def lu(s, label, k):
    """[Lu22]: the k greatest entries of each row, with the diagonal set to 0; classes as communities."""
    s = s.clone().fill_diagonal_(0)
    value, column = s.topk(min(k, len(s)), dim=1)
    a = torch.zeros_like(s, dtype=torch.float64).scatter_(1, column, value.double())
    w = (a + a.T) / 2
    same = label[:, None] == label[None, :]
    degree, two_m = w.sum(1), w.sum()
    return ((w - degree[:, None] * degree[None, :] / two_m)[same].sum() / two_m).item()


def measure(x, label, sample, edges, k, batches, batch, clock):
    x.div_(x.norm(dim=1, keepdim=True).clamp_min_(1e-8))
    clock.count('normalise')
    s = x @ x.T
    clock.count('similarity')
    n = len(s)
    pairs = s[torch.ones(n, n, dtype=torch.bool).triu_(1)]
    negative = (pairs < 0).sum().item()
    # histc counts in f32, which is exact only up to 2^24.
    histogram = sum(torch.histc(part, 10, 0, 1).double() for part in pairs.clamp_(0, 1).split(1 << 24))
    clock.count('histogram')
    m = len(sample)
    i, j = torch.triu_indices(m, m, 1)
    top = s[sample[i], sample[j]].topk(min(edges, len(i)))
    clock.count('edges')
    out = {'histogram': [int(v) for v in histogram], 'negative': negative,
           'yang': yang(top.values, i[top.indices], j[top.indices], label[sample], m)}
    out['lu'] = [lu(s[b:b + batch, b:b + batch], label[b:b + batch], k)
                 for b in range(0, batches * batch, batch)]
    clock.count('modularity')
    return out


def used_blas():
    with open('/proc/self/maps', encoding='utf-8') as f:
        files = {os.path.basename(os.path.realpath(line.split()[-1])) for line in f if 'blas' in line or 'mkl' in line}
    return ', '.join(sorted(files)) or 'unknown'


def main():
    p = argparse.ArgumentParser()
    for name in ('checkpoint', 'images_file', 'samples_file', 'out'):
        p.add_argument(name)
    p.add_argument('--arch', default='resnet18')
    p.add_argument('--layout', default='auto', choices=('auto', *LAYOUTS))
    for name, preset in (('images', 10000), ('edges', 40000), ('k', 3), ('lu-batch', 500), ('lu-batches', 5),
                         ('batch', 250), ('threads', 0), ('memory', 14)):
        p.add_argument(f'--{name}', type=int, default=preset)
    a = p.parse_args()
    if a.threads:
        torch.set_num_threads(a.threads)
    clock, result = Clock(), []
    with torch.no_grad():
        net = load_net(a.checkpoint, a.arch)
        x, label = load_images(a.images_file, a.images)
        with open(a.samples_file, encoding='utf-8') as f:
            sample = torch.tensor([int(row['image']) for row in csv.DictReader(f)])
        layers = find_layers(net)
        sizes = output_sizes(net, layers, x[:1])
        clock.count('reading')
        name = choose_layout(net, x[:a.batch]) if a.layout == 'auto' else a.layout
        layout = LAYOUTS[name]
        net.to(memory_format=layout)
        clock.leave_out()
        for group in group_layers(sizes, len(x), a.memory):
            kept = features(net, layers, sizes, group, x, a.batch, layout)
            clock.count('forward')
            for layer in group:
                size = min(a.lu_batch, len(x))
                numbers = measure(kept.pop(layer), label, sample, a.edges, a.k, min(a.lu_batches, len(x) // size), size,
                                  clock)
                result.append({'name': layer, **numbers})
    with open(a.out, 'w', encoding='utf-8') as f:
        json.dump({'layers': result, 'seconds': clock.seconds, 'torch': torch.__version__, 'blas': used_blas(),
                   'layout': name, 'threads': torch.get_num_threads()}, f, indent=1)


if __name__ == '__main__':
    main()
