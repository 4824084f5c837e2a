#!/usr/bin/env python3
"""Safetensors files with nothing but the standard library.

  stfile.py diff A B     exit 0 if both hold the same tensors, bit for bit (metadata may differ)
"""
import json
import os
import struct
import sys


def read(path):
    """-> ({name: (dtype, shape, bytes)}, metadata). OSError; ValueError if it is not a safetensors file."""
    with open(path, 'rb') as f:
        data = f.read()
    try:
        n = struct.unpack('<Q', data[:8])[0]
        header = json.loads(data[8:8 + n])
        meta = header.pop('__metadata__', {})
        body = data[8 + n:]
        tensors = {k: (v['dtype'], v['shape'], body[slice(*v['data_offsets'])]) for k, v in header.items()}
        if sum(len(t[2]) for t in tensors.values()) != len(body):
            raise ValueError('the tensors do not fill the file')
    except (ValueError, KeyError, TypeError, AttributeError, struct.error) as e:
        raise ValueError(f'not a whole safetensors file ({e})') from e
    return tensors, meta


def write(path, tensors, meta=None):
    """tensors: {name: (dtype, shape, bytes)}. Written to a temporary file and renamed: never half a file."""
    header, at = {}, 0
    if meta:
        header['__metadata__'] = meta
    for name, (dtype, shape, data) in tensors.items():
        header[name] = {'dtype': dtype, 'shape': list(shape), 'data_offsets': [at, at + len(data)]}
        at += len(data)
    text = json.dumps(header, separators=(',', ':')).encode()
    text += b' ' * (-len(text) % 8)

    def write_all(f):
        f.write(struct.pack('<Q', len(text)) + text)
        for _, _, data in tensors.values():
            f.write(data)
    write_whole(path, write_all)


def write_whole(path, write_all):
    """Calls write_all(file) with a temporary file, which is renamed to `path` when it is complete on disk."""
    temporary = f'{path}.{os.getpid()}.tmp'
    try:
        with open(temporary, 'wb') as f:
            write_all(f)
            f.flush()
            os.fsync(f.fileno())
        os.replace(temporary, path)
    except BaseException:
        if os.path.exists(temporary):
            os.remove(temporary)
        raise


def diff(a, b):
    """The names of tensors that differ between the files."""
    x, y = read(a)[0], read(b)[0]
    return sorted(k for k in x.keys() | y.keys() if x.get(k) != y.get(k))


if __name__ == '__main__':
    if len(sys.argv) != 4 or sys.argv[1] != 'diff':
        sys.exit(__doc__)
    different = diff(sys.argv[2], sys.argv[3])
    if different:
        sys.exit(f'{len(different)} tensors differ: ' + ' '.join(different[:8]))
