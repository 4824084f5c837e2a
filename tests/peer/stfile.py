#!/usr/bin/env python3
"""Safetensors files with nothing but the standard library.

  stfile.py diff A B     exit 0 if both hold the same tensors, bit for bit (metadata may differ)
"""
import json
import struct
import sys


def read(path):
    """-> ({name: (dtype, shape, bytes)}, metadata)"""
    with open(path, 'rb') as f:
        data = f.read()
    n = struct.unpack('<Q', data[:8])[0]
    header = json.loads(data[8:8 + n])
    meta = header.pop('__metadata__', {})
    body = data[8 + n:]
    return {k: (v['dtype'], v['shape'], body[slice(*v['data_offsets'])]) for k, v in header.items()}, meta


def write(path, tensors, meta=None):
    """tensors: {name: (dtype, shape, bytes)}"""
    header, at = {}, 0
    if meta:
        header['__metadata__'] = meta
    for name, (dtype, shape, data) in tensors.items():
        header[name] = {'dtype': dtype, 'shape': list(shape), 'data_offsets': [at, at + len(data)]}
        at += len(data)
    text = json.dumps(header, separators=(',', ':')).encode()
    text += b' ' * (-len(text) % 8)
    with open(path, 'wb') as f:
        f.write(struct.pack('<Q', len(text)) + text)
        for _, _, data in tensors.values():
            f.write(data)


def diff(a, b):
    """The names that are not the same in both files."""
    x, y = read(a)[0], read(b)[0]
    return sorted(k for k in x.keys() | y.keys() if x.get(k) != y.get(k))


if __name__ == '__main__':
    if len(sys.argv) != 4 or sys.argv[1] != 'diff':
        sys.exit(__doc__)
    different = diff(sys.argv[2], sys.argv[3])
    if different:
        sys.exit(f'{len(different)} tensors differ: ' + ' '.join(different[:8]))
