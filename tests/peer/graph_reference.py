#!/usr/bin/python3
"""Golden values for graph/: tests/golden/graph.json, read by tests/unit/test_modularity.c.

  tests/peer/graph_reference.py tests/golden/graph.json

Needs Debian's python3-numpy and python3-networkx. Q is networkx's modularity of the nearest-neighbour graph.
Yang's quantities are computed with networkx graphs, too: strengths are its weighted degrees, and the sums run over its
edges. If all pairs are edges, AQ must equal networkx's modularity plus sum_i (s_i / 2S)^2, because the modularity
counts i = j and Yang's sum does not. This connects the two definitions and is checked here.
"""
import json, sys
import networkx as nx, numpy as np
from networkx.algorithms.community import modularity


def cosine(x):
    x = x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-8)
    return x @ x.T


def classes_of(y):
    return [set(np.flatnonzero(y == c).tolist()) for c in np.unique(y)]


def top_edges(s, count):
    pairs = [(i, j) for i in range(len(s)) for j in range(i + 1, len(s))]
    return sorted(pairs, key=lambda p: (-s[p], p))[:count]


def yang(s, y, pairs, newman):
    g = nx.Graph()
    g.add_nodes_from(range(len(s)))
    g.add_weighted_edges_from((i, j, s[i, j]) for i, j in pairs)
    strength = dict(g.degree(weight='weight'))
    two_s = sum(strength.values()) * (1 if newman else 2)
    ways = 2 if newman else 1
    term = {(i, j): ways * (w - strength[i] * strength[j] / two_s) / two_s for i, j, w in g.edges(data='weight')}
    within = [e for e in term if y[e[0]] == y[e[1]]]
    r, aq = len(within) / len(pairs), sum(term[e] for e in within)
    eq = sum(term[e] for e in term if y[e[0]] != y[e[1]])
    if newman and len(pairs) == len(s) * (len(s) - 1) // 2:
        loops = {c: sum(strength[i] ** 2 for i in np.flatnonzero(y == c)) / two_s ** 2 for c in np.unique(y)}
        assert abs(aq - modularity(g, classes_of(y), weight='weight') - sum(loops.values())) < 1e-12
        assert abs(aq + eq - sum(loops.values())) < 1e-12  # the modularity of one community is 0
    return dict(r=r, AQ=aq, EQ=eq, M=r * aq * (1 - eq), correct=len(within), min_sim=float(min(s[p] for p in pairs)),
                isolated=sum(1 for i in g if g.degree(i) == 0))


def share(y, pairs, classes):
    ends = [c for p in pairs for c in (y[p[0]], y[p[1]])]
    return [ends.count(c) / len(ends) for c in range(classes)]


def lu(s, y, k):
    s = s.copy()
    np.fill_diagonal(s, 0)
    a = np.zeros_like(s)
    for i in range(len(s)):
        for j in sorted(range(len(s)), key=lambda j: (-s[i, j], j))[:k]:
            a[i, j] = s[i, j]
    g = nx.from_numpy_array((a + a.T) / 2)
    return modularity(g, classes_of(y), weight='weight')


def case(name, x, y, classes, edges, k):
    x, y = np.asarray(x, np.float32), np.asarray(y)
    s = cosine(x.astype(np.float64))
    pairs = top_edges(s, edges)
    return dict(name=name, n=len(x), dim=x.shape[1], classes=classes, edges=len(pairs), k=k, labels=y.tolist(),
                features=[float(v) for v in x.ravel()], top=[list(p) for p in pairs],
                share=share(y.tolist(), pairs, classes), newman=yang(s, y, pairs, True),
                literal=yang(s, y, pairs, False), Q=lu(s, y, k))


def main():
    rng = np.random.default_rng(0)
    q = lambda x: np.round(x * 64) / 64  # short numbers in the file
    y = rng.integers(0, 4, 60)
    centres = rng.normal(size=(4, 6))
    clustered = q(centres[y] + 0.7 * rng.normal(size=(60, 6)))
    gap = rng.choice([0, 1, 3], 40)  # class 2 is empty
    unit = np.eye(4)[rng.integers(0, 4, 32)]
    unit[::5] = 0.5
    cases = [
        case('clustered', clustered, y, 4, 150, 3),
        case('after a ReLU', np.maximum(clustered, 0), y, 4, 150, 3),
        case('all pairs', clustered[:30], y[:30], 4, 435, 5),
        case('two nearest of few', clustered[:5], y[:5], 4, 10, 9),
        case('a class without images', q(rng.normal(size=(40, 5))), gap, 4, 90, 3),
        case('one class', q(rng.normal(size=(20, 5)) + 1), np.zeros(20, int), 1, 40, 3),
        case('ties', unit, rng.integers(0, 3, 32), 3, 60, 4),
        case('identical images', np.ones((12, 4)), np.arange(12) % 3, 3, 20, 3),
    ]
    json.dump(dict(cases=cases), open(sys.argv[1], 'w'), separators=(',', ':'))


if __name__ == '__main__':
    main()
