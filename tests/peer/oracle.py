"""Three training steps of a net in PyTorch, in float64. Both sides compute the initial values from a formula.

Values are pure functions of the counter RNG of core/base/rng.h, keyed by the parameter's name, so the C side makes
the same ones without a file. All are exact in float32.

If the input of a ReLU is within rounding of 0 (of a ReLU6: of 0 or 6), it may fall on either side. A single such
difference changes a gradient by more than the tolerance of a good comparison. The same is true of a pooling window whose
two largest values are that close. So before each step the bias before each ReLU is shifted, channel by channel, by a
small multiple of SHIFT (mostly 0) until none of its inputs is within MARGIN of the kink. Of the batches that could be
used for the step, the first one is taken for which no pooling window is close to a tie either.
"""
import os
import sys

import numpy as np
import torch

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import nets_torch

RNG_TEST, RNG_DROPOUT = 6, 1000
SEED_VALUES, SEED_PROJECT, SEED_SAMPLE = 1, 2, 3
STEPS, BATCH, CLASSES = 3, 8, 10
LR, MOMENTUM, WEIGHT_DECAY = .01, .9, .005
SHIFT, MARGIN, POOL_MARGIN = 2.0 ** -10, 1e-4, 1e-5


# ---- core/base/rng.h ----

def philox(seed, c0, c1, c2):
    """Philox4x32-10 with counter (c0, c1, c2, 0); c0 an array. -> uint32 [len(c0), 4]"""
    low = np.uint64(0xffffffff)
    c = [c0.astype(np.uint64), np.uint64(c1), np.uint64(c2), np.uint64(0)]
    k0, k1 = seed & 0xffffffff, seed >> 32
    for _ in range(10):
        p0, p1 = np.uint64(0xD2511F53) * c[0], np.uint64(0xCD9E8D57) * c[2]
        c = [(p1 >> np.uint64(32)) ^ c[1] ^ np.uint64(k0), p1 & low,
             (p0 >> np.uint64(32)) ^ c[3] ^ np.uint64(k1), p0 & low]
        k0, k1 = (k0 + 0x9E3779B9) & 0xffffffff, (k1 + 0xBB67AE85) & 0xffffffff
    return np.stack(np.broadcast_arrays(*c), 1).astype(np.uint32)


def rng_u32(seed, stream, a, n):
    """rng_u32(seed, stream, a, 0 .. n-1)"""
    return philox(seed, np.arange((n + 3) // 4), a, stream).reshape(-1)[:n]


def rng_uniform(seed, stream, a, n):
    return (rng_u32(seed, stream, a, n) >> 8).astype(np.float32) * np.float32(2.0 ** -24)


def key(name):
    """The low half of FNV-1a (64 bit)."""
    h = 0xcbf29ce484222325
    for byte in name.encode():
        h = ((h ^ byte) * 0x100000001b3) & 0xffffffffffffffff
    return h & 0xffffffff


# ---- values from a formula ----

def initial(name, shape, small=False):
    """float32. Weights: He's uniform; gamma and running_var in [0.5, 1.5), or a quarter of that if `small`; the others
    near 0."""
    count = int(np.prod(shape))
    u = rng_uniform(SEED_VALUES, RNG_TEST, key(name), count)
    if len(shape) > 1:
        bound = np.float32(np.sqrt(6 * shape[0] / count))
        value = (2 * u - 1) * bound
    elif name.endswith(('.weight', '.running_var')):
        value = (np.float32(.5) + u) * np.float32(.25 if small else 1)
    else:
        value = (u - np.float32(.5)) * np.float32(.25)
    return value.astype(np.float32).reshape(shape)


def ends_identity_block(net, name):
    """Is this the last gamma of a bottleneck or an inverted residual whose shortcut is the identity? There it is
    small. If the blocks of so deep a net added more, rounding would grow from block to block until nothing could be
    compared."""
    for end in ('.bn3.weight', '.conv.3.weight'):
        if name.endswith(end):
            return net.get_submodule(name[:-len(end)]).identity
    return False


def set_initial(net):
    with torch.no_grad():
        for k, v in nets_torch.state(net).items():
            v.copy_(torch.from_numpy(initial(k, v.shape, ends_identity_block(net, k))))


def batch(seed, number):
    """Images in [-2, 2) and labels, BATCH of each."""
    n = BATCH * 3 * 32 * 32
    u = rng_uniform(seed, RNG_TEST, number, n + BATCH)
    images = (4 * u[:n] - 2).reshape(BATCH, 3, 32, 32)
    return images, (u[n:] * np.float32(CLASSES)).astype(np.int64)


# ---- the run ----

class PhiloxDropout(torch.nn.Module):
    """Dropout with the mask of core/device/op.h."""

    def __init__(self, p, layer, seed):
        super().__init__()
        self.p, self.layer, self.seed, self.step = p, layer, seed, 0

    def forward(self, x):
        if not self.training:
            return x
        u = rng_uniform(self.seed, RNG_DROPOUT + self.layer, self.step, x.numel()).reshape(x.shape)
        return x * torch.from_numpy(u >= np.float32(self.p)).to(x.dtype) / (1 - self.p)


def replace_dropout(net, seed):
    """-> the new modules, in order of depth"""
    found = [(n, m) for n, m in net.named_modules() if isinstance(m, torch.nn.Dropout)]
    for layer, (name, old) in enumerate(found):
        parent, _, leaf = name.rpartition('.')
        setattr(net.get_submodule(parent), leaf, PhiloxDropout(old.p, layer, seed))
    return [net.get_submodule(name) for name, _ in found]


RELUS = (torch.nn.ReLU, torch.nn.ReLU6)


def kink_distance(relu, x):
    """The distance of each input from the point where the derivative jumps."""
    distance = x.abs()
    return torch.minimum(distance, (x - 6).abs()) if isinstance(relu, torch.nn.ReLU6) else distance


def layer_before(relu):
    """The module whose bias shifts the input of this ReLU."""
    if 'relu' in relu:
        return relu.replace('relu', 'bn')
    parent, _, leaf = relu.rpartition('.')
    return f'{parent}.{int(leaf) - 1}'


def shift_off_kinks(net, images):
    """One forward pass that shifts biases. -> {bias name: int32 [C], in units of SHIFT}"""
    shifts = {}

    def move(name):
        def hook(relu, args):
            x = args[0]
            by_channel = x.transpose(0, 1).reshape(x.shape[1], -1)
            margin = MARGIN * max(1.0, by_channel.std().item())
            k = torch.full((x.shape[1],), -1)
            for candidate in range(128):
                safe = kink_distance(relu, by_channel + candidate * SHIFT).min(1)[0] > margin
                k[(k < 0) & safe] = candidate
            assert (k >= 0).all(), f'{name}: a channel stays at its kink'
            bias = layer_before(name) + '.bias'
            shifts[bias] = k.numpy().astype(np.int32)
            with torch.no_grad():
                net.get_parameter(bias).add_(k * SHIFT)
            return (x + (k * SHIFT).to(x.dtype).reshape([1, -1] + [1] * (x.dim() - 2)),)
        return hook

    hooks = [m.register_forward_pre_hook(move(n)) for n, m in net.named_modules() if isinstance(m, RELUS)]
    with torch.no_grad():
        net.train()(images)
    for h in hooks:
        h.remove()
    return shifts


class Margins:
    """Records how close forward passes come to a kink: the distance of ReLU inputs from 0 (or 6), and of the two largest
    values of a pooling window from each other, relative to the spread of the layer's values."""

    def __init__(self, net):
        self.clear()
        for m in net.modules():
            if isinstance(m, RELUS):
                m.register_forward_pre_hook(lambda m, args: self.see_relu(m, args[0]))
            if isinstance(m, torch.nn.MaxPool2d):
                m.register_forward_pre_hook(lambda m, args: self.see_pool(args[0], m.kernel_size))

    def clear(self):
        self.relu = self.pool = np.inf

    def see_relu(self, relu, x):
        self.relu = min(self.relu, (kink_distance(relu, x).min() / max(1.0, x.std().item())).item())

    def see_pool(self, x, k):
        windows = x.unfold(2, k, k).unfold(3, k, k).reshape(-1, k * k)
        top = windows.topk(2, 1)[0]
        gap = (top[:, 0] - top[:, 1])[top[:, 0] > 0]  # if all are 0, the ReLU before passes no gradient
        self.pool = min(self.pool, (gap.min() / max(1.0, x.std().item())).item())


def build(arch, seed, dtype):
    """The net with its initial values. -> net, its dropouts"""
    net = nets_torch.make(arch, CLASSES).to(dtype)
    set_initial(net)
    return net, replace_dropout(net, seed)


def find_batch(arch, seed, net, step):
    """-> the number of a batch, and the shifts, that keep `net` (which is not changed) off its kinks in this step"""
    probe, dropouts = build(arch, seed, torch.float64)
    margins = Margins(probe)
    for d in dropouts:
        d.step = step
    for number in range(1000 * step, 1000 * (step + 1)):
        probe.load_state_dict(net.state_dict())
        margins.clear()
        shifts = shift_off_kinks(probe, torch.from_numpy(batch(seed, number)[0]).double())
        if margins.pool > POOL_MARGIN:
            return number, shifts


def train(arch, seed, plan=None, dtype=torch.float64):
    """Evaluation, STEPS steps of SGD (biases are shifted before each), evaluation on the first batch.
    plan: for each step the number of its batch and its shifts; None: search for them.
    -> a dict of float64 arrays: value NAME (at the start), grad NAME (of step 0), update NAME (end minus
    start), velocity NAME (at the end), logits.eval, logits.train (of step 0), logits.after, loss [STEPS];
    the plan; the margins of each step as (relu, pool)"""
    net, dropouts = build(arch, seed, dtype)
    plan = list(plan or [])
    if not plan:
        plan.append(find_batch(arch, seed, net, 0))
    first = torch.from_numpy(batch(seed, plan[0][0])[0]).to(dtype)
    out = {f'value {k}': v.double().numpy().copy() for k, v in nets_torch.state(net).items()}
    with torch.no_grad():
        out['logits.eval'] = net.eval()(first).double().numpy()

    margins = Margins(net)
    optimiser = torch.optim.SGD(net.parameters(), lr=LR, momentum=MOMENTUM, weight_decay=WEIGHT_DECAY)
    net.train()
    losses, seen = [], []
    for step in range(STEPS):
        if len(plan) == step:
            plan.append(find_batch(arch, seed, net, step))
        images, labels = map(torch.from_numpy, batch(seed, plan[step][0]))
        with torch.no_grad():
            for name, k in plan[step][1].items():
                net.get_parameter(name).add_(torch.from_numpy(k) * SHIFT)
        for d in dropouts:
            d.step = step
        margins.clear()
        optimiser.zero_grad()
        logits = net(images.to(dtype))
        loss = torch.nn.functional.cross_entropy(logits, labels)
        loss.backward()
        losses.append(loss.item())
        seen.append((margins.relu, margins.pool))
        if step == 0:
            out['logits.train'] = logits.detach().double().numpy()
            for k, p in net.named_parameters():
                out[f'grad {k}'] = p.grad.double().numpy().copy()
        optimiser.step()

    for k, p in net.named_parameters():
        out[f'velocity {k}'] = optimiser.state[p]['momentum_buffer'].double().numpy()
    for k, v in nets_torch.state(net).items():
        out[f'update {k}'] = v.double().numpy() - out[f'value {k}']
    with torch.no_grad():
        out['logits.after'] = net.eval()(first).double().numpy()
    out['loss'] = np.array(losses)
    return out, plan, seen


# ---- comparison ----

def is_zero(out, parameter):
    """Is this a bias before BN? Its gradient is 0 in exact arithmetic, and any other value is rounding."""
    weight = 'grad ' + parameter.replace('.bias', '.weight')
    return np.linalg.norm(out['grad ' + parameter]) < 1e-9 * np.linalg.norm(out[weight])


def disagreements(exact, other, tolerance):
    """One line for every tensor of `other` that differs from `exact`, the result of train(), by more than tolerance
    times its size, as a whole or in its worst element. Each step may round a value once."""
    lines = []
    for name, t in exact.items():
        kind, _, parameter = name.partition(' ')
        error, size = np.abs(t - other[name]), np.abs(t)
        whole, worst, norm, peak = np.linalg.norm(error), error.max(), np.linalg.norm(t), size.max()
        if f'grad {parameter}' in exact and kind != 'value' and is_zero(exact, parameter):
            scale = LR if kind == 'update' else 1
            norm = scale * np.linalg.norm(exact['grad ' + parameter.replace('.bias', '.weight')])
            peak = norm
        if kind == 'update':
            start = exact['value ' + parameter]
            whole -= STEPS * 2.0 ** -24 * np.linalg.norm(start)
            worst -= STEPS * 2.0 ** -23 * np.abs(start).max()
        if not (whole <= tolerance * norm and worst <= tolerance * peak):
            lines.append(f'{name}: off by {whole / norm:.2g} as a whole, {worst / peak:.2g} in one element')
    return lines
