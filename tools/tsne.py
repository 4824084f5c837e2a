#!/usr/bin/python3
"""Draws t-SNE [Maaten08] of the images in each layer, as in [Lu22].

ANALYSIS is a folder that "analyze ... analysis.features=N" wrote (features/LAYER.npy). scikit-learn computes the map
from the first 50 principal components. Writes ANALYSIS/tsne.csv (layer, image, label, x, y) and tsne.png and .svg, with
a panel for each layer and a colour for each class.

Needs python3-sklearn and python3-numpy (tools/deps.sh experiments).
"""
import csv, itertools, os, sys

from command import Command
from plotting import HUES, draw, fail, quoted, read_analysis


def libraries():
    try:
        import numpy
        from sklearn.decomposition import PCA
        from sklearn.manifold import TSNE
        return numpy, PCA, TSNE
    except ImportError as e:
        fail('tsne', f'{e.name} is not installed for {sys.executable}: tools/deps.sh experiments '
             '(Debian: python3-sklearn)', 1)


def read_labels(folder, n):
    """The labels of the first n test images, which features/*.npy describe."""
    path = os.path.join(folder, 'features', 'labels.csv')
    try:
        with open(path, newline='') as f:
            return [row[1:] for row in itertools.islice(csv.reader(f), 1, n + 1)]
    except OSError as e:
        fail('tsne', f'{path}: {e.strerror}; analyze with analysis.features=500 writes it', 3)


def embed(x, perplexity, seed, PCA, TSNE):
    """[n, 2]"""
    n = len(x)
    if min(x.shape) > 50:
        x = PCA(50, random_state=seed).fit_transform(x)
    perplexity = min(perplexity, max(1, (n - 1) / 3))
    return TSNE(2, perplexity=perplexity, init='pca', learning_rate='auto', random_state=seed).fit_transform(x)


def picture(folder, title, layers, maps, labels):
    classes = sorted({int(l) for l, _ in labels})
    names = {int(l): name for l, name in labels}
    columns = min(len(layers), 5)
    rows = (len(layers) + columns - 1) // columns
    data, body = '', f'set multiplot layout {rows},{columns} title {quoted(title)}\n'
    body += 'unset tics\nset border 15 lc rgb "#b0b0b0"\nset size square\nunset key\n'
    for i, layer in enumerate(layers):
        series = []
        for c in classes:
            points = [f'{x:.4g} {y:.4g}' for (x, y), (l, _) in zip(maps[i], labels) if int(l) == c]
            data += f'$l{i}c{c} << EOD\n' + '\n'.join(points) + '\nEOD\n'
            series.append(f'$l{i}c{c} using 1:2 with points pt 7 ps .35 lc rgb "{HUES[c % len(HUES)]}"')
        for axis, k in (('x', 0), ('y', 1)):
            low, high = min(p[k] for p in maps[i]), max(p[k] for p in maps[i])
            body += f'set {axis}range [{low - .05 * (high - low):.4g}:{high + .05 * (high - low):.4g}]\n'
        if i == len(layers) - 1:
            body += legend(classes, names)  # labels of the screen: drawn with one panel only
        body += f"set title {quoted(layer)} font ',10' offset 0,-0.7\nplot " + ', '.join(series) + '\n'
    draw('tsne', os.path.join(folder, 'tsne'), 190 * columns + 20, 205 * rows + 70, data + body + 'unset multiplot\n')


def legend(classes, names):
    """The colours of up to 20 classes, in a line under the panels."""
    if len(classes) > 20:
        return ''
    text, at, total = '', 0, sum(len(names[c]) + 4 for c in classes)
    for c in classes:
        text += (f'set label {quoted("● " + names[c])} at screen {.02 + .96 * at / total:.4f},0.018 '
                 f"tc rgb '{HUES[c % len(HUES)]}' font ',10'\n")
        at += len(names[c]) + 4
    return text


def main():
    parser = Command('ANALYSIS [--images N] [--perplexity P] [--seed S]', __doc__,
                     {0: 'ok', 1: 'something is not installed', 2: 'usage', 3: 'data'})
    parser.add_argument('analysis', metavar='ANALYSIS')
    parser.add_argument('--images', metavar='N', type=int, default=1000, help='use the first N; default 1000')
    parser.add_argument('--perplexity', metavar='P', type=float, default=30, help='of the neighbourhoods; default 30')
    parser.add_argument('--seed', metavar='S', type=int, default=0, help='of the map; default 0')
    args = parser.parse_args()
    analysis = read_analysis('tsne', args.analysis)
    numpy, PCA, TSNE = libraries()
    layers, maps = [layer['name'] for layer in analysis['layers']], []
    for layer in layers:
        path = os.path.join(args.analysis, 'features', layer + '.npy')
        try:
            x = numpy.load(path, mmap_mode='r')[:args.images]
        except (OSError, ValueError) as e:
            fail('tsne', f'{path}: {e}; analyze with analysis.features=500 writes it', 3)
        maps.append(embed(numpy.asarray(x), args.perplexity, args.seed, PCA, TSNE))
        print(f'{layer}: {len(x)} images', file=sys.stderr)
    labels = read_labels(args.analysis, len(maps[0]))
    with open(os.path.join(args.analysis, 'tsne.csv'), 'w') as f:
        f.write('layer,image,label,x,y\n')
        for layer, points in zip(layers, maps):
            f.writelines(f'{layer},{i},{labels[i][0]},{x:.6g},{y:.6g}\n' for i, (x, y) in enumerate(points))
    picture(args.analysis, f'{analysis["arch"]}: t-SNE of {len(maps[0])} test images', layers, maps, labels)


if __name__ == '__main__':
    main()
