#!/usr/bin/python3
"""compare_cka.py DIR: is the CKA of DIR/analysis.json that of the activations in DIR/features/*.npy?

Computed by NumPy in float64 from features: |Y^T X|^2 / (|X^T X| |Y^T Y|) of centred X and Y [Kornblith19, eq. 3];
`analyze` computes it from Gram matrices. Exits with 1 if an entry is off by more than 1e-4.
"""
import json, os, sys
import numpy as np

folder = sys.argv[1]
analysis = json.load(open(os.path.join(folder, 'analysis.json')))
n, matrix = analysis['cka']['samples'], np.array(analysis['cka']['matrix'], float)
names = [layer['name'] for layer in analysis['layers']]
assert matrix.shape == (len(names), len(names)), 'not a row and a column for each layer'
kernels = []
for layer in analysis['layers']:
    x = np.load(os.path.join(folder, 'features', layer['name'] + '.npy'))[:n].astype(np.float64)
    assert x.shape == (n, layer['dim']), f'{layer["name"]}: {x.shape}'
    x -= x.mean(0)
    kernels.append(x @ x.T)  # |Y^T X|^2 = <X X^T, Y Y^T> is cheaper if there are more values than images
size = [np.linalg.norm(k) for k in kernels]
exact = np.array([[(a * b).sum() / (i * j) for b, j in zip(kernels, size)] for a, i in zip(kernels, size)])
worst = np.abs(exact - matrix).max()
print(f'{len(names)} layers, {n} images: CKA from {matrix.min():.3f} to {matrix.max():.3f}, off by {worst:.2g}')
sys.exit(not worst <= 1e-4)
