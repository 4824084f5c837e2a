#!/usr/bin/env python3
"""Reads ONNX models with Debian's protoc and the field numbers that onnx/onnx.proto publishes."""
import eventfile

PUBLISHED = '''
syntax = "proto2";
package published;
message AttributeProto {
  optional string name = 1; optional float f = 2; optional int64 i = 3; optional bytes s = 4; repeated float floats = 7;
  repeated int64 ints = 8; optional string doc_string = 13; optional int32 type = 20; optional string ref_attr_name = 21;
}
message NodeProto {
  repeated string input = 1; repeated string output = 2; optional string name = 3; optional string op_type = 4;
  repeated AttributeProto attribute = 5; optional string doc_string = 6; optional string domain = 7;
}
message TensorProto {
  repeated int64 dims = 1; optional int32 data_type = 2; repeated float float_data = 4 [packed = true];
  repeated int64 int64_data = 7 [packed = true]; optional string name = 8; optional bytes raw_data = 9;
}
message Dimension { optional int64 dim_value = 1; optional string dim_param = 2; }
message TensorShapeProto { repeated Dimension dim = 1; }
message Tensor { optional int32 elem_type = 1; optional TensorShapeProto shape = 2; }
message TypeProto { optional Tensor tensor_type = 1; }
message ValueInfoProto { optional string name = 1; optional TypeProto type = 2; optional string doc_string = 3; }
message GraphProto {
  repeated NodeProto node = 1; optional string name = 2; repeated TensorProto initializer = 5;
  repeated ValueInfoProto input = 11; repeated ValueInfoProto output = 12; repeated ValueInfoProto value_info = 13;
}
message OperatorSetIdProto { optional string domain = 1; optional int64 version = 2; }
message StringStringEntryProto { optional string key = 1; optional string value = 2; }
message ModelProto {
  optional int64 ir_version = 1; optional string producer_name = 2; optional string producer_version = 3;
  optional string domain = 4; optional int64 model_version = 5; optional string doc_string = 6;
  optional GraphProto graph = 7; repeated OperatorSetIdProto opset_import = 8;
  repeated StringStringEntryProto metadata_props = 14;
}
'''


def read(path):
    """-> the ModelProto as nested {field: [values]}"""
    with open(path, 'rb') as f:
        text = eventfile.protoc_decode(PUBLISHED, 'published.ModelProto', f.read())
    return eventfile.parse_text(iter(text.splitlines()))


def metadata(model):
    return {m['key'][0].decode(): m.get('value', [b''])[0].decode() for m in model['metadata_props']}
