#!/usr/bin/python3
"""Runs `analyze` and the same analysis in PyTorch (analyze_torch.py) in turn; compares times and numbers.

  bench_analyze.py [--arch resnet18] [--images 10000] [--rounds 1] [--threads 0] [--precisions f32,bf16,int8,int8/bf16]
                   [--checkpoint CKPT.safetensors --data CIFAR_FOLDER]

A precision is that of the similarities; int8/bf16 also sets that of the net, to bf16. Without a checkpoint the net has
PyTorch's initial values and the BN statistics of its images, which are blurred noise in ten classes. Seconds are those of
the whole process of `analyze` (which writes files, but no pictures), and for PyTorch from reading the first file to the
last number (without starting Python and importing torch). Exit code 1 if the numbers disagree. BIN names the folder of
the tools. make bench-analyze runs this script.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import stfile

SAMPLES, EDGES, LU_BATCHES, LU_BATCH = 4000, 40000, 5, 500
# Rounding moves pairs across the border of a bin or out of the graph; bf16 and int8 round to 8 bits.
F32_TOLERANCE, ROUNDED_TOLERANCE = 1e-3, 2e-2


def invent_images(path, n):
    """Each class has an image of its own; an image of the class is a mixture of it and of blurred noise."""
    rng = np.random.default_rng(0)

    def blurred(count):
        x = rng.normal(size=(count, 3, 32, 32)).astype(np.float32)
        for axis in (2, 3):
            x = sum(np.roll(x, shift, axis) for shift in range(-2, 3))
        return x / x.std()
    label = np.arange(n) % 10
    x = 110 + 45 * (0.4 * blurred(10)[label] + 0.9 * blurred(n))
    records = np.concatenate([label[:, None], x.clip(0, 255).reshape(n, -1)], 1).astype(np.uint8)
    os.makedirs(path)
    records.tofile(os.path.join(path, 'test_batch.bin'))
    with open(os.path.join(path, 'batches.meta.txt'), 'w', encoding='utf-8') as f:
        f.writelines(f'class{c}\n' for c in range(10))


def invent_net(path, arch, images):
    import torch
    import analyze_torch
    import nets_torch
    torch.manual_seed(0)
    net = nets_torch.make(arch).train()
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1  # so that the statistics are those of these images
    x, _ = analyze_torch.load_images(images, 200)
    with torch.no_grad():
        net(x)
    stfile.write(path, {k: ('F32', v.shape, v.numpy().astype('<f4').tobytes()) for k, v in nets_torch.state(net).items()})


def run(argv):
    start = time.perf_counter()
    done = subprocess.run(argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False,
                          env=dict(os.environ, OMP_WAIT_POLICY='passive'))
    if done.returncode:
        sys.exit(f'{argv[0]}: exit code {done.returncode}\n{done.stderr}')
    return time.perf_counter() - start


def read(path):
    with open(path, encoding='utf-8') as f:
        return json.load(f)


def differences(mine, theirs):
    """The largest difference of each number; for the histogram, as a share of all pairs."""
    worst = {}

    def see(key, value):
        worst[key] = max(worst.get(key, 0), abs(value))
    for a, b in zip(mine['layers'], theirs['layers'], strict=True):
        assert a['name'] == b['name'], (a['name'], b['name'])
        for x, y in zip(a['histogram'], b['histogram'], strict=True):
            see('histogram', (x - y) / sum(a['histogram']))
        for key in ('r', 'M'):
            see(key, a['yang'][key] - b['yang'][key])
        for x, y in zip(a['lu']['Q'], b['lu'], strict=True):
            see('Q', x - y)
    return worst


def folder(work, precision):
    return f'{work}/{precision.replace("/", "-")}'


def measure(a, work):
    images, net = a.data or f'{work}/images', a.checkpoint or f'{work}/net.safetensors'
    binary = os.path.join(images, 'test_batch.bin')
    if not a.data:
        invent_images(images, a.images)
    if not a.checkpoint:
        invent_net(net, a.arch, binary)
    seconds, worst, peer = {p: [] for p in (*a.precisions, 'PyTorch')}, {}, None
    for _ in range(a.rounds):
        for precision in a.precisions:
            similarities, _, of_net = precision.partition('/')
            seconds[precision].append(run([
                f'{os.environ.get("BIN", "bin")}/analyze', net, f'net.arch={a.arch}', f'data.path={images}',
                f'data.test_limit={a.images}', f'threads={a.threads}', 'device=cpu', f'analysis.samples={SAMPLES}',
                f'analysis.edges={EDGES}', f'analysis.histogram_samples={a.images}', f'analysis.lu_batch={LU_BATCH}',
                f'analysis.lu_batches={LU_BATCHES}', f'analysis.precision={similarities}',
                f'precision={of_net or "f32"}', f'analysis.memory={a.memory}G',
                '--into', folder(work, precision), '--no-pictures', '--quiet']))
        run([sys.executable, f'{HERE}/analyze_torch.py', net, binary, f'{folder(work, a.precisions[0])}/samples.csv',
             f'{work}/torch.json', '--arch', a.arch, '--images', str(a.images), '--edges', str(EDGES), '--threads',
             str(a.threads or os.cpu_count()), '--memory', str(a.memory)])
        peer = read(f'{work}/torch.json')
        seconds['PyTorch'].append(sum(peer['seconds'].values()))
    for precision in a.precisions:
        worst[precision] = differences(read(f'{folder(work, precision)}/analysis.json'), peer)
    return seconds, worst, peer


def main():
    p = argparse.ArgumentParser()
    p.add_argument('--arch', default='resnet18')
    p.add_argument('--precisions', default='f32,bf16,int8,int8/bf16', type=lambda s: s.split(','))
    p.add_argument('--checkpoint')
    p.add_argument('--data')
    for name, preset in (('images', 10000), ('rounds', 1), ('threads', 0), ('memory', 14)):
        p.add_argument(f'--{name}', type=int, default=preset)
    a = p.parse_args()
    with tempfile.TemporaryDirectory() as work:
        seconds, worst, peer = measure(a, work)
    print(f'analyze of {a.arch}, {a.images} images, {peer["threads"]} threads; medians of {a.rounds} rounds')
    print(f'PyTorch {peer["torch"]}, {peer["layout"]}, {peer["blas"]}: {statistics.median(seconds["PyTorch"]):.1f} s: '
          + ', '.join(f'{k} {v:.1f}' for k, v in peer['seconds'].items()))
    if 'openblas' not in peer['blas'] and 'mkl' not in peer['blas']:
        print('PyTorch multiplies with the reference BLAS here, which is slow; libopenblas0-pthread (tools/deps.sh peer) '
              'is the fair opponent')
    failed = False
    for precision in a.precisions:
        ratio = statistics.median(t / s for s, t in zip(seconds[precision], seconds['PyTorch'], strict=True))
        print(f'similarities in {precision}: {statistics.median(seconds[precision]):.1f} s, {ratio:.2f} times as fast; '
              'largest differences: ' + ', '.join(f'{k} {v:.1e}' for k, v in worst[precision].items()))
        failed |= max(worst[precision].values()) > (F32_TOLERANCE if precision == 'f32' else ROUNDED_TOLERANCE)
    sys.exit('the numbers disagree' if failed else 0)


if __name__ == '__main__':
    main()
