#!/usr/bin/python3
"""report_check.py REPORT.html RUN... -- reads a report with Python's JSON, base64 and zlib, and compares it with the files of
the runs."""
import base64
import csv
import json
import os
import re
import sys
import zlib

import numpy as np

TYPES = {"u8": "u1", "u16": "<u2", "u32": "<u4", "f32": "<f4"}


def unpack(blob):
    raw = zlib.decompress(base64.b64decode(blob["deflate"], validate=True))
    return np.frombuffer(raw, TYPES[blob["type"]]).reshape(blob["shape"])


def check_edges(graph, layer, folder):
    edges = np.fromfile(f"{folder}/edges/{layer['name']}.bin", [("i", "<i4"), ("j", "<i4"), ("s", "<f4")])
    packed = layer["graph"]
    assert packed["total"] == len(edges)
    i, j, drop = (unpack(packed[key]) for key in ("i", "j", "drop"))
    pick = (np.arange(len(i)) * (len(edges) / len(i))).astype(int)
    assert (i == edges["i"][pick]).all() and (j == edges["j"][pick]).all(), layer["name"]
    level = 65535 - np.cumsum(drop.astype(int))
    similarity = packed["low"] + (packed["high"] - packed["low"]) * level / 65535
    assert np.abs(similarity - edges["s"][pick]).max() <= (packed["high"] - packed["low"]) / 65535 + 1e-6
    return len(i)


def check_graph(graph, run):
    folder = f"{run}/analysis" + ("" if graph["epoch"] is None else f"/epoch-{graph['epoch']:03d}")
    stored = json.load(open(f"{folder}/analysis.json"))
    assert [{k: v for k, v in layer.items() if k != "graph"} for layer in graph["layers"]] == stored["layers"]
    rows = [tuple(map(int, row)) for row in list(csv.reader(open(f"{folder}/samples.csv")))[1:]]
    assert [image for _, image, _ in rows] == unpack(graph["image"]).tolist()
    assert [label for _, _, label in rows] == unpack(graph["label"]).tolist()
    return sum(check_edges(graph, layer, folder) for layer in graph["layers"])


def check_net(network):
    net = network["net"]
    assert sum(layer["params"] for layer in net["layers"]) == net["params"]
    assert sum(layer["macs"] for layer in net["layers"]) == net["macs"]
    # null: batch normalisation that is computed together with the convolution before it
    assert all(layer["kind"] == "bnact" if layer["us"] is None else 0 < layer["us"] < 1e6 for layer in net["layers"])
    assert all(layer["us"] for layer in net["layers"] if layer["kind"] in ("conv", "linear"))
    for layer in net["layers"]:  # a convolution's cost from its shapes
        if layer["kind"] == "conv":
            (c, _, _), (k, p, q) = layer["in"], layer["out"]
            assert layer["macs"] == k * p * q * c // layer["groups"] * layer["kernel"] ** 2, layer
    acts = network["activations"]
    for layer in acts["layers"]:
        pixel = unpack(layer["data"])
        assert pixel.shape[:2] == (len(acts["images"]), len(layer["channel"])) and pixel.max() > 200, layer["name"]
    assert np.isfinite(unpack(acts["logits"])).all()


def read_tensor(path, name):
    with open(path, "rb") as f:
        size = int.from_bytes(f.read(8), "little")
        entry = json.loads(f.read(size))[name]
        f.seek(8 + size + entry["data_offsets"][0])
        return np.frombuffer(f.read(entry["data_offsets"][1] - entry["data_offsets"][0]), "<f4").reshape(entry["shape"])


def main():
    page = open(sys.argv[1], encoding="utf-8").read()
    data = json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.S).group(1))
    edges = 0
    for run, path in zip(data["runs"], sys.argv[2:], strict=True):
        assert run["name"] == os.path.basename(path)
        assert run["history"]["metrics"] == [json.loads(line) for line in open(f"{path}/metrics.jsonl")]
        edges += sum(check_graph(graph, path) for graph in run["graphs"])
        check_net(run["network"])
        filters = run["network"]["filters"]
        assert (unpack(filters["weight"]) == read_tensor(f"{path}/best.safetensors", filters["name"] + ".weight")).all()
    shown = {int(p) for images in data["images"] for p in unpack(images["position"])}
    for run in data["runs"]:
        for graph in run["graphs"]:
            image = unpack(graph["image"])
            for layer in graph["layers"]:
                assert {int(image[v]) for key in ("i", "j") for v in unpack(layer["graph"][key])} <= shown
    print(f"{len(data['runs'])} runs, {edges} edges, {len(shown)} images")


main()
