#!/usr/bin/python3
"""The Python half of tests/peer/test_peer.c: compares every element of a short training with PyTorch.

  compare_torch.py names DIR            compares DIR/*.names ("ARCH CLASSES MACS [REMOVED UNIT ...]", then lines
                                        "NAME DIM ...") with PyTorch's state_dicts and the MACs of its modules
  compare_torch.py prepare ARCH SEED DIR   writes start.safetensors (PyTorch's weights) and
                                        input.safetensors (xS, yS, "shiftS BIAS" of each step S)
  compare_torch.py compare ARCH SEED DIR   compares grad.safetensors (of step 0), end.safetensors (values
                                        and optimizer.NAME) and result.safetensors (logits.eval, .train,
                                        .after, loss)

Exit code 0 if all agree.
"""
import os
import sys

import numpy as np
import torch

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import nets_torch
import oracle
import stfile

TOLERANCE = 5e-5  # of tests/golden
GOLDEN = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'golden')


def names(folder):
    wrong = []
    files = sorted(f for f in os.listdir(folder) if f.endswith('.names'))
    for file in files:
        with open(os.path.join(folder, file)) as f:
            arch, classes, macs, *removed = f.readline().split()
            mine = {line.split()[0]: tuple(map(int, line.split()[1:])) for line in f}
        net = nets_torch.make(arch, int(classes), removed)
        theirs = {k: tuple(v.shape) for k, v in nets_torch.state(net).items()}
        mine['MACs'], theirs['MACs'] = int(macs), nets_torch.macs(net)
        for k in sorted(mine.keys() | theirs.keys()):
            if mine.get(k) != theirs.get(k):
                wrong.append(f'{file}: {k} is {mine.get(k)} here, {theirs.get(k)} in PyTorch')
    return wrong if files else [f'{folder}: no .names files']


def f32(array):
    return ('F32', array.shape, array.astype('<f4').tobytes())


def known_plan(arch, seed):
    """The batches and shifts of the golden file, which are slow to search for; None if there is no such file."""
    path = os.path.join(GOLDEN, f'{arch}.safetensors')
    if not os.path.exists(path):
        return None
    tensors, meta = stfile.read(path)
    if meta['seed'] != str(seed):
        return None
    plan = []
    for step, number in enumerate(np.frombuffer(tensors['batch'][2], '<i4')):
        begin = f'shift{step} '
        plan.append((int(number), {k[len(begin):]: np.frombuffer(t[2], 'i1').astype('<i4')
                                   for k, t in tensors.items() if k.startswith(begin)}))
    return plan


def prepare(arch, seed, folder):
    _, plan, _ = oracle.train(arch, seed, known_plan(arch, seed))
    start = {}
    for k, v in oracle.build(arch, seed, torch.float32)[0].state_dict().items():
        start[k] = f32(v.numpy()) if v.dtype == torch.float32 else ('I64', v.shape, v.numpy().tobytes())
    tensors = {}
    for step, (number, shifts) in enumerate(plan):
        images, labels = oracle.batch(seed, number)
        tensors[f'x{step}'] = f32(images)
        tensors[f'y{step}'] = f32(labels)
        tensors.update({f'shift{step} {k}': f32(v * oracle.SHIFT) for k, v in shifts.items()})
    start = dict(sorted(start.items(), key=lambda t: t[1][0] != 'I64'))  # so that data are aligned
    stfile.write(os.path.join(folder, 'start.safetensors'), start)
    stfile.write(os.path.join(folder, 'input.safetensors'), tensors)
    return []


def load(folder, file):
    tensors, _ = stfile.read(os.path.join(folder, file))
    return {k: np.frombuffer(data, '<f4').reshape(shape).astype(np.float64)
            for k, (dtype, shape, data) in tensors.items() if dtype == 'F32'}


def compare(arch, seed, folder):
    exact, _, _ = oracle.train(arch, seed, known_plan(arch, seed))
    end = load(folder, 'end.safetensors')
    other = {f'grad {k}': v for k, v in load(folder, 'grad.safetensors').items()}
    other.update(load(folder, 'result.safetensors'))
    for name in exact:
        kind, _, parameter = name.partition(' ')
        if kind == 'value':
            other[name] = exact[name]
            other[f'update {parameter}'] = end[parameter] - exact[name]
        if kind == 'velocity':
            other[name] = end[f'optimizer.{parameter}']
    return oracle.disagreements(exact, other, TOLERANCE)


if __name__ == '__main__':
    torch.set_num_threads(1)
    if len(sys.argv) == 3 and sys.argv[1] == 'names':
        problems = names(sys.argv[2])
    elif len(sys.argv) == 5 and sys.argv[1] in ('prepare', 'compare'):
        run = prepare if sys.argv[1] == 'prepare' else compare
        problems = run(sys.argv[2], int(sys.argv[3]), sys.argv[4])
    else:
        sys.exit(__doc__)
    print(''.join(f'# {line}\n' for line in problems), end='')
    sys.exit(bool(problems))
