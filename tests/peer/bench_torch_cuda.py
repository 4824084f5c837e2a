#!/usr/bin/env python3
"""PyTorch's half of `make bench-cuda`: the same nets on random images that are already on the GPU, channels innermost.

  bench_torch_cuda.py ARCH BATCH SECONDS

Compiled (torch.compile, max-autotune: Triton kernels and CUDA graphs) and eager, in bf16 by autocast and in tf32, in
this order; after SECONDS no further mode begins. Prints images/s of many steps in a row, and from the median of steps
that are each waited for, as tests/cuda/gpu.c does. SGD lr .01, momentum .9, weight decay .005, cross-entropy.
"""
import os
import statistics
import sys
import time

import torch

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import nets_torch

DEVICE = 'cuda'
WARM_UP, WAITED, IN_A_ROW = 5, 51, 100


class Peer:
    def __init__(self, arch, batch, bf16, compiled):
        torch.manual_seed(0)
        self.bf16 = bf16
        self.net = nets_torch.make(arch).to(DEVICE).to(memory_format=torch.channels_last)
        self.run = torch.compile(self.net, mode='max-autotune') if compiled else self.net
        x = torch.randn(batch, 3, 32, 32, device=DEVICE)
        self.x, self.y = x.contiguous(memory_format=torch.channels_last), torch.randint(0, 10, (batch,), device=DEVICE)
        self.optimiser = torch.optim.SGD(self.net.parameters(), lr=.01, momentum=.9, weight_decay=5e-3)

    def autocast(self):
        return torch.autocast(DEVICE, dtype=torch.bfloat16, enabled=self.bf16)

    def train(self):
        self.optimiser.zero_grad(set_to_none=True)
        with self.autocast():
            loss = torch.nn.functional.cross_entropy(self.run(self.x).float(), self.y)
        loss.backward()
        self.optimiser.step()

    def infer(self):
        with torch.no_grad(), self.autocast():
            self.run(self.x)


def wait():
    if DEVICE == 'cuda':
        torch.cuda.synchronize()


def seconds(step, steps):
    wait()
    start = time.perf_counter()
    for _ in range(steps):
        step()
    wait()
    return (time.perf_counter() - start) / steps


def rates(step, batch):
    """Images/s of steps in a row, and of steps that are each waited for."""
    seconds(step, WARM_UP)
    return batch / seconds(step, IN_A_ROW), batch / statistics.median(seconds(step, 1) for _ in range(WAITED))


def measure(arch, batch, bf16, compiled):
    peer = Peer(arch, batch, bf16, compiled)
    train = rates(peer.train, batch)
    peer.net.eval()
    infer = rates(peer.infer, batch)
    print(f'{arch} PyTorch {torch.__version__} {"bf16" if bf16 else "tf32"} channels_last '
          f'{"compiled" if compiled else "eager"} batch {batch}: train {train[0]:.1f} inference {infer[0]:.1f} images/s '
          f'(each step waited for: {train[1]:.1f}, {infer[1]:.1f})', flush=True)


def main():
    arch, batch, limit = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    start = time.perf_counter()
    torch.backends.cudnn.benchmark = True
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = True
    for bf16 in True, False:
        for compiled in True, False:
            name = f'# {arch} {"bf16" if bf16 else "tf32"} {"compiled" if compiled else "eager"}'
            if compiled and not hasattr(torch, 'compile'):
                print(f'{name}: this PyTorch has no torch.compile', flush=True)
            elif time.perf_counter() - start > limit:
                print(f'{name}: no time left for it', flush=True)
            else:
                measure(arch, batch, bf16, compiled)


if __name__ == '__main__':
    main()
