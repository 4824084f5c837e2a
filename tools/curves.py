#!/usr/bin/python3
"""Draws M and Q against depth, for several analyses in one picture or for the epochs of a run.

ANALYSIS is a folder with analysis.json, or that file. If all analyses have the same layers, the axis shows their
names; otherwise (other hooks, other nets) it shows relative depth. Writes PREFIX.png and PREFIX.svg.

For a run that was trained with analysis.every, --epochs RUN writes RUN/analysis/epochs.png and .svg. On the left is a
curve for each epoch, later ones darker; on the right is every layer against the epoch, deeper ones darker.
"""
import glob, os, re

from command import Command
from plotting import HUES, draw, fail, quoted, read_analysis, shade

METRICS = {'M': ('M (Yang et al.)', lambda l: l['yang']['M']), 'Q': ('Q (Lu et al.)', lambda l: l['lu']['mean'])}


FRAME = "set ytics nomirror\nset grid ytics lt 1 lc rgb '#d8d8d8'\nset key outside right top reverse Left\n"


def values(analysis, metric):
    return [METRICS[metric][1](layer) for layer in analysis['layers']]


def names(analysis):
    return [layer['name'] for layer in analysis['layers']]


def block(name, xs, ys):
    rows = '\n'.join(f'{x:g} {"nan" if y is None else format(y, ".9g")}' for x, y in zip(xs, ys))
    return f'{name} << EOD\n{rows}\nEOD\n'


def layer_tics(layers):
    every = (len(layers) + 29) // 30
    tics = ', '.join(f'{quoted(n)} {i}' for i, n in list(enumerate(layers))[::every])
    return f"set xtics ({tics}) rotate by 60 right nomirror font ',9'\nset xrange [-0.5:{len(layers) - 0.5}]\n"


def lines(series, point=''):
    """series: (block, colour, title or None)"""
    return 'plot ' + ', '.join(
        f'{data} using 1:2 with linespoints lw 1.5 pt 7 ps 0.5 lc rgb "{colour}" '
        + (f'title {quoted(title)}' if title else 'notitle') for data, colour, title in series) + '\n'


def overlay(prefix, labelled):
    same = all(names(a) == names(labelled[0][1]) for _, a in labelled)
    count = max(len(a['layers']) for _, a in labelled)
    data, body = '', FRAME + 'set yrange [*:*]\nset multiplot layout 2,1\n'
    body += layer_tics(names(labelled[0][1])) if same else \
        "set xtics 0.1 nomirror\nset xrange [-0.02:1.02]\nset xlabel 'relative depth'\n"
    for m in METRICS:
        series = []
        for i, (label, a) in enumerate(labelled):
            n = len(a['layers'])
            xs = range(n) if same else [k / max(1, n - 1) for k in range(n)]
            data += block(f'${m}{i}', xs, values(a, m))
            series.append((f'${m}{i}', HUES[i % len(HUES)], label))
        body += f'set ylabel {quoted(METRICS[m][0])}\n' + lines(series)
    width = 300 + max(560, 24 * count if same else 0)
    draw('curves', prefix, width, 760, data + body)


def epochs_of(run):
    found = []
    for path in glob.glob(os.path.join(run, 'analysis', 'epoch-*')):
        number = re.search(r'epoch-(\d+)$', path)
        if number and os.path.exists(os.path.join(path, 'analysis.json')):
            found.append((int(number.group(1)), read_analysis('curves', path)))
    if not found:
        fail('curves', f'{run}/analysis/epoch-*: nothing there; train with analysis.every=1', 3)
    return sorted(found, key=lambda f: f[0])


def some(count, n):
    """At most n of 0 .. count - 1, evenly spaced, both ends included: the entries of the legend."""
    return {round(i * (count - 1) / max(1, min(n, count) - 1)) for i in range(min(n, count))}


def epoch_tics(epochs):
    """Whole numbers, about ten of them."""
    first, last = epochs[0], epochs[-1]
    air = 0.02 * (last - first) or 1
    step = next(s for p in range(12) for s in (10 ** p, 2 * 10 ** p, 5 * 10 ** p) if (last - first) / s <= 10)
    return f'set xtics 0,{step} norotate nomirror\nset xrange [{first - air:g}:{last + air:g}]\n'


def epochs(run):
    found = epochs_of(run)
    layers = names(found[0][1])
    data, body = '', FRAME + "set key samplen 2 font ',9'\nset multiplot layout 2,2\n"
    for m in METRICS:
        by_epoch = [values(a, m) for _, a in found]
        series = []
        for i, (epoch, _) in enumerate(found):
            data += block(f'${m}e{i}', range(len(layers)), by_epoch[i])
            series.append((f'${m}e{i}', shade(i / max(1, len(found) - 1)),
                           f'epoch {epoch}' if i in some(len(found), 6) else None))
        body += f'unset xlabel\nset ylabel {quoted(METRICS[m][0])}\n' + layer_tics(layers) + lines(series)
        series = []
        for l, layer in enumerate(layers):
            data += block(f'${m}l{l}', [e for e, _ in found], [v[l] for v in by_epoch])
            title = layer if l in some(len(layers), 10) else None
            series.append((f'${m}l{l}', shade(l / max(1, len(layers) - 1)), title))
        body += "set xlabel 'epoch'\n" + epoch_tics([e for e, _ in found]) + lines(series)
    draw('curves', os.path.join(run, 'analysis', 'epochs'), 1240, 820, data + body)


def main():
    parser = Command('--out PREFIX [LABEL=]ANALYSIS ... | --epochs RUN', __doc__,
                     {0: 'ok', 1: 'no gnuplot', 2: 'usage', 3: 'data'})
    parser.add_argument('--out', metavar='PREFIX', help='name of the picture, without .png')
    parser.add_argument('--epochs', metavar='RUN', help='a run directory: its epochs instead of analyses')
    parser.add_argument('analyses', nargs='*', metavar='[LABEL=]ANALYSIS')
    args = parser.parse_args()
    if bool(args.epochs) == bool(args.out) or bool(args.out) != bool(args.analyses):
        parser.error('either --out PREFIX with analyses, or --epochs RUN')
    if args.epochs:
        epochs(args.epochs)
        return
    labelled = []
    for text in args.analyses:
        label, equals, path = text.partition('=')
        if not equals or os.path.exists(text):
            label, path = os.path.basename(os.path.normpath(text)), text
        labelled.append((label, read_analysis('curves', path)))
    overlay(args.out, labelled)


if __name__ == '__main__':
    main()
