#!/usr/bin/python3
"""Converts weights of PyTorch to a checkpoint of Cleave, and back.

One of the two names must end in .safetensors; the other may have any ending (.pth, .pt, .th, .tar, .bin).

  IN.pth OUT.safetensors     a state dict, or a checkpoint that holds one as "state_dict", "net" or "model"; the
                             prefix "module." of DataParallel and num_batches_tracked are dropped
  IN.safetensors OUT.pth     a checkpoint of Cleave (or any safetensors file) as a state dict that
                             net.load_state_dict(torch.load(OUT), strict=True) accepts; momenta are left out

To load a file with weights only, give the net's name: evaluate OUT.safetensors net.arch=resnet20.

From IN.pth only tensors, numbers, texts and containers of them are read, unless --trust is given.
"""
import json
import os
import pickle
import sys
from collections.abc import Mapping
from types import SimpleNamespace
from unittest import mock

import stfile
from command import Command

WRAPPERS = ('state_dict', 'net', 'model')
COUNTER = 'num_batches_tracked'
RUNTIME, USAGE, DATA = 1, 2, 3


class Problem(Exception):
    """One line for the user, and the exit code."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


def import_torch():
    try:
        import torch
    except ImportError as e:
        raise Problem(RUNTIME, f'{sys.executable} has no PyTorch (Debian: python3-torch): {e}') from e
    return torch


def dtypes(torch):
    return {'F64': torch.float64, 'F32': torch.float32, 'F16': torch.float16, 'BF16': torch.bfloat16,
            'I64': torch.int64, 'I32': torch.int32, 'I16': torch.int16, 'I8': torch.int8, 'U8': torch.uint8,
            'BOOL': torch.bool}


def plain_names(tensors, path):
    """Without the prefix of DataParallel."""
    out = {}
    for name, value in tensors.items():
        plain = name[len('module.'):] if name.startswith('module.') else name
        if plain in out:
            raise Problem(DATA, f'{path}: {plain} is there twice, with and without "module."')
        out[plain] = value
    return out


# ---- from PyTorch ----

# What a pickle may call: functions that make tensors, containers, NumPy's numbers. PyTorch's own weights_only cannot be
# used: in 1.13 it rejects floats, and checkpoints contain their accuracy.
HARMLESS = {('collections', 'OrderedDict'), ('torch', 'Size'), ('torch._utils', '_rebuild_tensor'),
            ('torch._utils', '_rebuild_tensor_v2'), ('torch._utils', '_rebuild_parameter'), ('numpy', 'dtype'),
            ('numpy.core.multiarray', 'scalar'), ('numpy._core.multiarray', 'scalar'), ('_codecs', 'encode')}


class WeightsUnpickler(pickle.Unpickler):
    def find_class(self, module, name):
        if (module, name) in HARMLESS or (module == 'torch' and name.endswith('Storage')):
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f'it wants to call {module}.{name}')


def load_weights(file, **options):
    return WeightsUnpickler(file, **options).load()


SAFE_PICKLE = SimpleNamespace(__name__='safe_pickle', Unpickler=WeightsUnpickler, load=load_weights,
                              UnpicklingError=pickle.UnpicklingError)


def load(torch, path, trust):
    module = pickle if trust else SAFE_PICKLE
    try:
        with mock.patch.object(torch.serialization, 'pickle', module):  # 1.13.0 forgets the argument pickle_module
            return torch.load(path, map_location='cpu', weights_only=False, pickle_module=module)
    except OSError as e:
        raise Problem(DATA, f'{path}: {e.strerror or e}') from e
    except Exception as e:  # damaged bytes can raise any exception
        why = (str(e) or type(e).__name__).splitlines()[0]
        hint = '' if trust or not isinstance(e, pickle.UnpicklingError) else '; if you trust it: --trust'
        raise Problem(DATA, f'{path}: not a PyTorch file of weights ({why}){hint}') from e


def find_state_dict(torch, found, path):
    """The state dict within its wrappers."""
    while True:
        if isinstance(found, torch.nn.Module):
            found = found.state_dict()
        if not isinstance(found, Mapping):
            raise Problem(DATA, f'{path}: holds a {type(found).__name__}, not a state dict')
        inner = [found[w] for w in WRAPPERS if isinstance(found.get(w), (Mapping, torch.nn.Module))]
        if not inner:
            return found
        found = inner[0]


def check_tensors(torch, tensors, path):
    known = set(dtypes(torch).values())
    for name, t in tensors.items():
        if not isinstance(name, str) or not isinstance(t, torch.Tensor):
            raise Problem(DATA, f'{path}: {name} is a {type(t).__name__}, not a tensor: neither a state dict nor one '
                                f'within {", ".join(WRAPPERS)}')
        if t.layout != torch.strided or t.dtype not in known:
            raise Problem(DATA, f'{path}: {name} is a tensor of {t.dtype}, {t.layout}; safetensors has no such type')
    if not tensors:
        raise Problem(DATA, f'{path}: no tensors in it')


def tensor_bytes(torch, t):
    t = t.detach().cpu().contiguous()
    if t.dtype == torch.bfloat16:  # NumPy has no such type: the same bits as integers
        t = t.view(torch.int16)
    return t.numpy().tobytes()


def to_safetensors(torch, source, target, trust):
    tensors = find_state_dict(torch, load(torch, source, trust), source)
    check_tensors(torch, tensors, source)
    tensors = plain_names(tensors, source)
    kept = {k: t for k, t in tensors.items() if not k.endswith(COUNTER)}
    type_name = {v: k for k, v in dtypes(torch).items()}
    order = sorted(kept, key=lambda k: (-kept[k].element_size(), k))  # aligned, as safetensors requires
    stfile.write(target, {k: (type_name[kept[k].dtype], kept[k].shape, tensor_bytes(torch, kept[k])) for k in order},
                 {'format': 'pt'})
    return f'{len(kept)} tensors, {sum(t.numel() for t in kept.values())} values'


# ---- to PyTorch ----

def tensor_of(torch, name, dtype, shape, data, path):
    if dtype not in dtypes(torch):
        raise Problem(DATA, f'{path}: {name} has type {dtype}, which PyTorch cannot hold')
    t = torch.empty(shape, dtype=dtypes(torch)[dtype])
    if t.numel() * t.element_size() != len(data):
        raise Problem(DATA, f'{path}: {name} has {len(data)} bytes, not those of {dtype} {shape}')
    if t.numel():
        t = torch.frombuffer(bytearray(data), dtype=t.dtype).reshape(shape)
    return t


def add_counters(torch, tensors):
    """load_state_dict(strict=True) needs the step counter of every BN."""
    out = {}
    for name, t in tensors.items():
        out[name] = t
        counter = name.replace('running_mean', COUNTER)
        if name.endswith('.running_mean') and counter not in tensors:
            out[counter] = torch.zeros((), dtype=torch.int64)
    return out


def describe(meta):
    try:
        arch = json.loads(meta['arch'])
        removed = ', without ' + ' '.join(arch['removed']) if arch.get('removed') else ''
        return f', {arch["arch"]} with {arch["classes"]} classes{removed}'
    except (KeyError, ValueError, TypeError):
        return ''


def to_pytorch(torch, source, target):
    try:
        stored, meta = stfile.read(source)
    except OSError as e:
        raise Problem(DATA, f'{source}: {e.strerror}') from e
    except ValueError as e:
        raise Problem(DATA, f'{source}: {e}') from e
    stored = plain_names({k: v for k, v in stored.items() if not k.startswith('optimizer.')}, source)
    if not stored:
        raise Problem(DATA, f'{source}: no tensors in it')
    tensors = add_counters(torch, {k: tensor_of(torch, k, *v, source) for k, v in sorted(stored.items())})
    stfile.write_whole(target, lambda f: torch.save(tensors, f))
    return f'{len(tensors)} tensors{describe(meta)}'


def convert(source, target, trust):
    out = target.endswith('.safetensors')
    if out == source.endswith('.safetensors'):
        raise Problem(USAGE, f'one of the two names ends in .safetensors, the other is PyTorch\'s: {source} {target}')
    if not os.path.isfile(source):
        raise Problem(DATA, f'{source}: no such file')
    torch = import_torch()
    try:
        what = to_safetensors(torch, source, target, trust) if out else to_pytorch(torch, source, target)
    except OSError as e:
        raise Problem(RUNTIME, f'{target}: {e.strerror or e}') from e
    print(f'{target}: {what}')


def main(arguments):
    """-> the exit code"""
    command = Command('IN OUT [--trust]', __doc__, {0: 'ok', RUNTIME: 'run-time failure', USAGE: 'usage', DATA: 'data'})
    command.add_argument('--trust', action='store_true',
                         help='unpickle everything in IN.pth, whole modules too: this runs code from the file')
    command.add_argument('source', metavar='IN')
    command.add_argument('target', metavar='OUT')
    args = command.parse_args(arguments)
    try:
        convert(args.source, args.target, args.trust)
    except Problem as e:
        print(f'convert: {e}', file=sys.stderr)
        return e.code
    return 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
