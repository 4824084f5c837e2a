#!/usr/bin/python3
"""The Python half of tests/peer/test_image_gradient.c.

  image_gradient.py prepare ARCH DIR   writes start.safetensors (values from a formula) and input.safetensors (x, y)
  image_gradient.py compare ARCH DIR   compares DIR/gradient.safetensors (image) with PyTorch's autograd in float64,
                                       the net in evaluation mode

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

SEED = 7
# If the input of a ReLU is within float's rounding of 0, it may pass the gradient in float64 but not here, or the other
# way round. The gradient of that image is then off by the share of one path. So most images must agree to rounding, and
# all of them to a size that a wrong formula would exceed.
MEDIAN, WORST = 1e-4, 2e-2


def f32(array):
    return ('F32', array.shape, array.astype('<f4').tobytes())


def batch(arch):
    """Images, and for each a class that the net does not choose: if the net is sure of the right class, the gradient of
    the logits is 0 up to float's rounding."""
    images, labels = oracle.batch(SEED, 0)
    with torch.no_grad():
        logits = oracle.build(arch, SEED, torch.float64)[0].eval()(torch.from_numpy(images).double()).numpy()
    return images, (logits.argmax(1) + 1 + labels % (oracle.CLASSES - 1)) % oracle.CLASSES


def prepare(arch, folder):
    state = {k: f32(oracle.initial(k, tuple(v.shape))) for k, v in nets_torch.state(nets_torch.make(arch)).items()}
    images, labels = batch(arch)
    stfile.write(os.path.join(folder, 'start.safetensors'), state)
    stfile.write(os.path.join(folder, 'input.safetensors'), {'x': f32(images), 'y': f32(labels)})
    return []


def compare(arch, folder):
    net, _ = oracle.build(arch, SEED, torch.float64)
    images, labels = map(torch.from_numpy, batch(arch))
    x = images.double().requires_grad_()
    torch.nn.functional.cross_entropy(net.eval()(x), labels).backward()
    exact = x.grad.numpy()
    mine = np.frombuffer(stfile.read(os.path.join(folder, 'gradient.safetensors'))[0]['image'][2], '<f4')
    n = len(images)
    error = np.linalg.norm((mine.reshape(exact.shape) - exact).reshape(n, -1), axis=1)
    error /= np.linalg.norm(exact.reshape(n, -1), axis=1)
    if np.median(error) <= MEDIAN and error.max() <= WORST:
        return []
    return [f'{arch}: the gradients of the images are off by {np.round(error, 7)} of their size']


if __name__ == '__main__':
    torch.set_num_threads(1)
    if len(sys.argv) != 4 or sys.argv[1] not in ('prepare', 'compare'):
        sys.exit(__doc__)
    problems = (prepare if sys.argv[1] == 'prepare' else compare)(*sys.argv[2:])
    print(''.join(f'# {line}\n' for line in problems), end='')
    sys.exit(bool(problems))
