#!/usr/bin/python3
"""Makes tests/golden/ARCH.safetensors from PyTorch in float64 (tests/peer/oracle.py says of what).

  tests/golden/make_golden.py [ARCH ...]      takes a minute a net

Whole gradients would fill megabytes. Of each tensor t the file keeps a record of 1 + 8 + 64 doubles:
  - its Euclidean norm;
  - 8 projections sum_i s_i t_i on random signs: for the difference d of two tensors the mean square of the
    projections of d estimates |d|^2, so they see an error anywhere in the tensor;
  - 64 entries at random places: these also say where a tensor is wrong.
Signs and places come from the counter RNG, the C side makes them again.

Before a file is written the same run in float32 has to agree with it to a fraction of the test's tolerance:
then the tolerance is honest, and no ReLU or pooling window stands where rounding would decide.
"""
import os
import sys

import numpy as np
import torch

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, '..', 'peer'))
import oracle
import stfile

ARCHS = ('resnet20', 'resnet18', 'vgg11_bn')
N_SIGNS, N_SAMPLES = 8, 64
SEED = 1
AGREEMENT = 2.5e-5  # of float32 with float64: half of what the C test allows


def record(name, tensor):
    t = tensor.reshape(-1)
    words = oracle.rng_u32(oracle.SEED_PROJECT, oracle.RNG_TEST, oracle.key(name), t.size)
    signs = [((words >> j) & 1) * 2.0 - 1 for j in range(N_SIGNS)]
    places = oracle.rng_u32(oracle.SEED_SAMPLE, oracle.RNG_TEST, oracle.key(name), N_SAMPLES)
    places = places.astype(np.uint64) * np.uint64(t.size) >> np.uint64(32)
    return np.concatenate([[np.linalg.norm(t)], [s @ t for s in signs], t[places.astype(int)]])


def make(arch):
    exact, plan, margins = oracle.train(arch, SEED)
    f32, _, _ = oracle.train(arch, SEED, plan, torch.float32)
    wrong = oracle.disagreements(exact, f32, AGREEMENT)
    assert not wrong, '\n'.join(wrong)

    numbers = np.array([number for number, _ in plan], '<i4')
    tensors = {'batch': ('I32', numbers.shape, numbers.tobytes())}
    for step, (_, shifts) in enumerate(plan):
        for name, k in shifts.items():
            tensors[f'shift{step} {name}'] = ('I32', k.shape, k.astype('<i4').tobytes())
    for name, t in exact.items():
        if not name.startswith(('value ', 'velocity ')):
            t = record(name, t) if ' ' in name else t
            tensors[name] = ('F64', t.shape, t.astype('<f8').tobytes())
    tensors = dict(sorted(tensors.items(), key=lambda item: item[1][0]))  # F64 before I32: aligned
    path = os.path.join(HERE, f'{arch}.safetensors')
    stfile.write(path, tensors, {'arch': arch, 'seed': str(SEED), 'torch': torch.__version__})
    relu, pool = (min(m[i] for m in margins) for i in (0, 1))
    print(f'{path}: {os.path.getsize(path)} bytes, nearest kink {relu:.2g} (ReLU) {pool:.2g} (pool)')


if __name__ == '__main__':
    torch.set_num_threads(1)
    for arch in sys.argv[1:] or ARCHS:
        make(arch)
