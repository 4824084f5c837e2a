#!/usr/bin/python3
"""compare_analysis.py ANALYSIS.json REFERENCE.json: does `analyze` agree with an independent computation in float64?

For every layer of the analysis: histogram and negatives within 0.02 % of all pairs, r, AQ, EQ, M and the Q of every
batch within 1e-4, min_sim within 1e-5, the same number of edges within a class and of isolated vertices. Prints the
largest differences. If one is too large, says where and exits with 1.
"""
import json, sys

mine, ref = (json.load(open(p)) for p in sys.argv[1:3])
theirs = {l['name']: l for l in ref['layers']}
worst, failed = {}, []


def check(layer, what, a, b, tolerance):
    worst[what] = max(worst.get(what, 0), abs(a - b))
    if not abs(a - b) <= tolerance:
        failed.append(f'{layer} {what}: {a} instead of {b}')


assert mine['samples'] == ref['samples'] and mine['edges'] == ref['edges'], 'other samples or edges'
assert mine['layers'], 'no layers'
pairs = ref['samples'] * (ref['samples'] - 1) // 2
for l in mine['layers']:
    t = theirs.get(l['name'])
    if t is None:
        continue  # the reference has no such hook
    name, yang = l['name'], t['yang' if mine['norm'] == 'newman' else 'yang_literal']
    check(name, 'dim', l['dim'], t['dim'], 0)
    check(name, 'negative', l['negative'], t['negative'], 0.0002 * pairs)
    check(name, 'pairs', sum(l['histogram']), pairs, 0)
    for a, b in zip(l['histogram'], t['histogram'], strict=True):
        check(name, 'histogram', a, b, 0.0002 * pairs)
    for key in ('r', 'AQ', 'EQ', 'M'):
        check(name, key, l['yang'][key], yang[key], 1e-4)
    check(name, 'correct', l['yang']['correct'], yang['correct'], 0)
    check(name, 'isolated', l['yang']['isolated'], yang['isolated'], 0)
    check(name, 'min_sim', l['yang']['min_sim'], yang['min_sim'], 1e-5)
    check(name, 'class_share', sum(l['yang']['class_share']), 1, 1e-9)
    for a, b in zip(l['lu']['Q'], t['lu_Q'], strict=True):
        check(name, 'Q', a, b, 1e-4)
compared = sum(l['name'] in theirs for l in mine['layers'])
print(f'{compared} layers, norm {mine["norm"]}; largest differences:', {k: float(f'{v:.3g}') for k, v in worst.items()})
sys.exit('\n'.join(failed) if failed or not compared else 0)
