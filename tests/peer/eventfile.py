#!/usr/bin/env python3
"""Reads event files without code of Cleave: records and CRCs here, messages by Debian's protoc --decode with
the field numbers that TensorFlow publishes (tensorflow/core/util/event.proto, framework/summary.proto)."""
import codecs
import os
import struct
import subprocess
import tempfile

PUBLISHED = '''
syntax = "proto3";
package published;
message Image { int32 height = 1; int32 width = 2; int32 colorspace = 3; bytes encoded_image_string = 4; }
message HistogramProto {
  double min = 1; double max = 2; double num = 3; double sum = 4; double sum_squares = 5;
  repeated double bucket_limit = 6 [packed = true]; repeated double bucket = 7 [packed = true];
}
message Value {
  string node_name = 7; string tag = 1;
  oneof value { float simple_value = 2; bytes obsolete = 3; Image image = 4; HistogramProto histo = 5; }
}
message Summary { repeated Value value = 1; }
message Event {
  double wall_time = 1; int64 step = 2;
  oneof what { string file_version = 3; bytes graph_def = 4; Summary summary = 5; }
}
message File { repeated Event event = 1; }
'''


def crc32c(data):
    """Bit by bit, as RFC 3720 defines it."""
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff


def masked(data):
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xa282ead8) & 0xffffffff


def records(path):
    """-> the data of each record; asserts that lengths and both CRCs are right and that nothing follows the last record."""
    with open(path, 'rb') as f:
        data = f.read()
    at, out = 0, []
    while at < len(data):
        length, crc = struct.unpack_from('<QI', data, at)
        assert masked(data[at:at + 8]) == crc, f'{path}: CRC of a length at byte {at}'
        body = data[at + 12:at + 12 + length]
        assert len(body) == length, f'{path}: cut short'
        assert masked(body) == struct.unpack_from('<I', data, at + 12 + length)[0], f'{path}: CRC at byte {at}'
        out.append(body)
        at += 16 + length
    return out


def varint(n):
    out = b''
    while n > 127:
        out += bytes([n & 127 | 128])
        n >>= 7
    return out + bytes([n])


def protoc_decode(schema, message, data):
    """-> protoc's text form of a message"""
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, 'p.proto'), 'w') as f:
            f.write(schema)
        return subprocess.run(['protoc', f'--proto_path={folder}', f'--decode={message}', 'p.proto'], input=data,
                              stdout=subprocess.PIPE, check=True).stdout.decode()


def parse_text(lines):
    """protoc's text form -> {field: [values]}; asserts that every field has a name, that is, belongs to the schema."""
    out = {}
    for line in lines:
        line = line.strip()
        if line == '}':
            return out
        if line.endswith('{'):
            name, value = line[:-1].strip(), parse_text(lines)
        else:
            name, _, text = line.partition(': ')
            value = codecs.escape_decode(text[1:-1])[0] if text.startswith('"') else text
        assert not name.isdigit(), f'field {name} is not in the published schema'
        out.setdefault(name, []).append(value)
    return out


def read(path):
    """-> [(step, tag, kind, value)] without the version: a float; {min, max, num, ...} with lists of floats;
    (width, height, PNG bytes)."""
    wrapped = b''.join(b'\x0a' + varint(len(r)) + r for r in records(path))
    events = parse_text(iter(protoc_decode(PUBLISHED, 'published.File', wrapped).splitlines()))['event']
    assert events[0]['file_version'] == [b'brain.Event:2'], events[0]
    out = []
    for e in events[1:]:
        assert 1.6e9 < float(e['wall_time'][0]) < 1e10, e
        step = int(e.get('step', ['0'])[0])
        for v in e['summary'][0]['value']:
            tag = v.pop('tag')[0].decode()
            (kind, (value,)), = v.items()
            if kind == 'simple_value':
                value = float(value)
            elif kind == 'histo':
                value = {k: [float(x) for x in values] for k, values in value.items()}
            else:
                value = (int(value['width'][0]), int(value['height'][0]), value['encoded_image_string'][0])
            out.append((step, tag, kind, value))
    return out
