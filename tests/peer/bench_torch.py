#!/usr/bin/python3
"""PyTorch's half of `bench --peer`: the same nets on random data, one step whenever bench asks for it.

  bench_torch.py ARCH BATCH f32|bf16 contiguous|channels_last THREADS

tools/bench/peer.h defines the protocol. bf16 is autocast; SGD lr .01, momentum .9, weight decay .005, cross-entropy,
as in training with this repository's defaults. The first step of each kind is not timed.
"""
import os
import resource
import sys
import time

import torch

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import nets_torch


class Peer:
    def __init__(self, arch, batch, precision, layout):
        torch.manual_seed(0)
        self.bf16 = precision == 'bf16'
        self.net = nets_torch.make(arch)
        self.x, self.y = torch.randn(batch, 3, 32, 32), torch.randint(0, 10, (batch,))
        if layout == 'channels_last':
            self.net = self.net.to(memory_format=torch.channels_last)
            self.x = self.x.contiguous(memory_format=torch.channels_last)
        self.optimiser = torch.optim.SGD(self.net.parameters(), lr=.01, momentum=.9, weight_decay=5e-3)

    def autocast(self):
        return torch.autocast('cpu', dtype=torch.bfloat16, enabled=self.bf16)

    def train(self):
        self.net.train()
        self.optimiser.zero_grad(set_to_none=True)
        with self.autocast():
            loss = torch.nn.functional.cross_entropy(self.net(self.x).float(), self.y)
        loss.backward()
        self.optimiser.step()

    def eval(self):
        self.net.eval()
        with torch.no_grad(), self.autocast():
            self.net(self.x)


def seconds(work):
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main():
    arch, batch, precision, layout, threads = sys.argv[1:]
    torch.set_num_threads(int(threads))
    peer = Peer(arch, int(batch), precision, layout)
    peer.train()
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # of a training step
    peer.eval()
    answers = {'train': lambda: seconds(peer.train), 'eval': lambda: seconds(peer.eval), 'memory': lambda: memory}
    print('PyTorch', torch.__version__, layout, flush=True)
    for line in sys.stdin:
        print(answers[line.strip()](), flush=True)


if __name__ == '__main__':
    main()
