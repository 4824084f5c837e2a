#!/usr/bin/python3
"""The Python half of tests/peer/test_sizes.c: images of other sizes than 32 x 32, gray and in colour.

  sizes.py prepare CASE ... DIR   writes DIR/CASE.start.safetensors (values from a formula) and DIR/CASE.input.safetensors
                                  (x, y)
  sizes.py compare CASE ... DIR   compares DIR/CASE.result.safetensors (logits.eval, logits.train and the gradient of
                                  each parameter) with PyTorch in float64
  CASE is ARCH-CHANNELS-HEIGHT-WIDTH

Exit code 0 if they agree.
"""
import os
import sys

import numpy as np
import torch

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import nets_torch
import oracle
import stfile

SEED, BATCH = 7, 4
LOGITS = 2e-5  # of the largest logit
# A ReLU or a pooling window within float's rounding of its kink may fall on either side, which changes the gradients of what
# lies before it by the share of one path. So images are taken for which PyTorch's own float32 is near its float64; most
# gradients must agree to rounding, and all to a size that a wrong formula would exceed.
STEADY, MEDIAN, WORST = 2e-5, 2e-4, 5e-2
ZERO = 1e-9  # a bias before BN has no gradient; what is left is rounding


def split(case):
    arch, channels, height, width = case.split('-')
    return arch, int(channels), int(height), int(width)


def build(case):
    arch, channels, height, width = split(case)
    net = nets_torch.make(arch, oracle.CLASSES, channels=channels, size=(height, width))
    oracle.set_initial(net)
    return net


def batch(case, number):
    _, *shape = split(case)
    n = BATCH * int(np.prod(shape))
    u = oracle.rng_uniform(SEED, oracle.RNG_TEST, number, n + BATCH)
    return (4 * u[:n] - 2).reshape(BATCH, *shape), (u[n:] * np.float32(oracle.CLASSES)).astype(np.int64)


def f32(array):
    return ('F32', array.shape, array.astype('<f4').tobytes())


def pytorch(case, images, labels, dtype):
    """-> ({name: logits}, {name: gradient})"""
    net = build(case)
    oracle.replace_dropout(net, SEED)
    net.to(dtype)
    x = torch.from_numpy(images).to(dtype)
    with torch.no_grad():
        out = {'logits.eval': net.eval()(x).numpy()}
    logits = net.train()(x)
    torch.nn.functional.cross_entropy(logits, torch.from_numpy(labels)).backward()
    out['logits.train'] = logits.detach().numpy()
    return out, {k: p.grad.numpy() for k, p in net.named_parameters()}


def gradient_errors(mine, exact):
    largest = max(np.linalg.norm(g) for g in exact.values())
    return {k: np.linalg.norm(mine[k].reshape(g.shape) - g) / np.linalg.norm(g)
            for k, g in exact.items() if np.linalg.norm(g) > ZERO * largest}


def median(errors):
    return np.median(list(errors.values()))


def prepare(case, folder):
    for number in range(50):
        images, labels = batch(case, number)
        exact, rounded = (pytorch(case, images, labels, t)[1] for t in (torch.float64, torch.float32))
        if median(gradient_errors(rounded, exact)) <= STEADY:
            break
    else:
        return [f'{case}: no batch whose gradients float32 computes to {STEADY}']
    stfile.write(f'{folder}/{case}.start.safetensors',
                 {k: f32(v.numpy()) for k, v in nets_torch.state(build(case)).items()})
    stfile.write(f'{folder}/{case}.input.safetensors', {'x': f32(images), 'y': f32(labels)})
    return []


def read(path):
    return {k: np.frombuffer(t[2], '<f4').reshape(t[1]) for k, t in stfile.read(path)[0].items()}


def compare(case, folder):
    problems = []
    mine, given = (read(f'{folder}/{case}.{what}.safetensors') for what in ('result', 'input'))
    logits, gradients = pytorch(case, given['x'], given['y'].astype(np.int64), torch.float64)
    for name, exact in logits.items():
        error = np.abs(mine[name] - exact).max() / np.abs(exact).max()
        if not error <= LOGITS:
            problems.append(f'{case}: {name} is off by {error:.1e} of the largest logit')
    errors = gradient_errors(mine, gradients)
    worst = max(errors, key=errors.get)
    if not (median(errors) <= MEDIAN and errors[worst] <= WORST):
        problems.append(f'{case}: gradients are off by {median(errors):.1e} of their size in the median, that of {worst} '
                        f'by {errors[worst]:.1e}')
    return problems


if __name__ == '__main__':
    torch.set_num_threads(1)
    if len(sys.argv) < 4 or sys.argv[1] not in ('prepare', 'compare'):
        sys.exit(__doc__)
    found = []
    for one in sys.argv[2:-1]:
        found += (prepare if sys.argv[1] == 'prepare' else compare)(one, sys.argv[-1])
    print(''.join(f'# {line}\n' for line in found), end='')
    sys.exit(bool(found))
