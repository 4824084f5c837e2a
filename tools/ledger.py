#!/usr/bin/python3
"""Compares the results of runs with those that the papers publish.

Reads finished run directories (with a FOLDER, all in it) and prints
  1. a line for every net, schedule and way of pruning, over its seeds: accuracy before and after (best epoch, mean and
     sample standard deviation), what the cut saves, and which units were cut; beside them [Yang23] Table 1;
  2. a line for every analysis with hooks: lu2022 of a net whose curve [Lu22] publish: rank correlation
     [Spearman 1904] and largest difference of Q.

A result "agrees"
  change of accuracy    if it is within half a point of the published one, or within two standard deviations
  saving                if it equals the published one within 0.015 points
  units                 if the same number of each kind is cut
  curve                 if the rank correlation is at least 0.9.
Runs that did not follow the papers' protocol are compared, too, and a note says what differs.
"""
import collections, glob, json, os, statistics

from command import Command
from plotting import fail
from published import CURVES, PROTOCOL, TABLE_1

POINTS, SAVING, RANK = 0.5, 0.015, 0.9


# ---- reading ----

def read_json(path):
    """None if there is no such file."""
    try:
        with open(path) as f:
            return json.load(f)
    except FileNotFoundError:
        return None
    except json.JSONDecodeError as e:
        fail('ledger', f'{path}: not JSON: {e}', 3)


def read_config(run):
    """config.yaml as train writes it, flat: {"train.epochs": "150"}."""
    values, section = {}, ''
    with open(os.path.join(run, 'config.yaml')) as f:
        for line in f:
            key, _, value = line.strip().partition(':')
            if not line.startswith(' '):
                section = key + '.' if not value.strip() else ''
            if value.strip():
                values[(section if line.startswith(' ') else '') + key] = value.strip()
    return values


def find_runs(paths):
    runs = []
    for path in paths:
        if not os.path.isdir(path):
            fail('ledger', f'{path}: no such run directory or folder of runs', 3)
        here = [path] if os.path.exists(os.path.join(path, 'config.yaml')) else sorted(
            os.path.dirname(c) for c in glob.glob(os.path.join(path, '*', 'config.yaml')))
        if not here:
            fail('ledger', f'{path}: neither a run directory nor a folder of runs', 3)
        runs += [r for r in here if r not in runs]
    return runs


# ---- 1. pruning ----

def kind_of_units(arch, names):
    """{"layer3": 2}: by stage; of a VGG by width, as the papers count."""
    if not arch.startswith('vgg'):
        return dict(collections.Counter(n.rpartition('.')[0] or n for n in names))
    layouts = {'vgg11_bn': '1M2M44M88M88M', 'vgg13_bn': '11M22M44M88M88M', 'vgg16_bn': '11M22M444M888M888M',
               'vgg19_bn': '11M22M4444M8888M8888M'}
    width, module = {}, 0
    for c in layouts[arch]:
        if c != 'M':
            width[f'features.{module}'] = str(64 * int(c))
        module += 1 if c == 'M' else 3
    return dict(collections.Counter(width[n] for n in names))


def way_of(prune, config):
    """How the units were chosen: "yang", "random", "yang, 3 of least gain"."""
    way = prune['metric']
    if way in ('yang', 'lu') and prune.get('count'):
        way += f', {prune["count"]} of {prune["pick"]} gain'
    if config.get('prune.init') == 'scratch':
        way += ', from scratch'
    return way


def differences(config):
    """How the schedule and the data differ from the paper."""
    return [f'{key.partition(".")[2]} {config.get(key)}' for key, want in PROTOCOL.items() if config.get(key, want) != want]


def without_seed(run):
    """runs/NAME-HASH-s3 -> NAME-HASH"""
    return os.path.basename(os.path.normpath(run)).rpartition('-s')[0]


def read_prunes(runs):
    """One entry for each finished prune, also if nothing was cut (RUN/analysis/prune.json)."""
    for run in runs:
        for prune in (read_json(os.path.join(run, 'prune.json')),
                      read_json(os.path.join(run, 'analysis', 'prune.json'))):
            if prune is None or prune['metric'] == 'hand' and not prune['removed']:
                continue
            config, parent = read_config(run), os.path.dirname(prune['parent'])
            before = prune.get('accuracy_before')
            if before is None:  # nothing was cut, so it is the parent's
                before = (read_json(os.path.join(run, 'status.json')) or {}).get('best_accuracy')
            if before is None:
                continue
            yield {'arch': prune['arch'], 'parent': without_seed(parent), 'way': way_of(prune, config),
                   'metric': prune['metric'], 'counted': bool(prune.get('count')), 'before': 100 * before,
                   'cut_only': 100 * prune['accuracy_cut'] if prune.get('accuracy_cut') is not None else None,
                   'after': 100 * prune['accuracy_after'] if prune.get('accuracy_after') is not None else None,
                   'saving': prune['saving_percent'], 'macs': 100 * (1 - prune['macs_after'] / prune['macs_before']),
                   'units': prune['removed'], 'kinds': kind_of_units(prune['arch'], prune['removed']),
                   'differences': differences(config), 'run': run}


def spread(values):
    """{mean, sd, n}; sd None for one value."""
    values = [v for v in values if v is not None]
    if not values:
        return None
    return {'mean': statistics.mean(values), 'sd': statistics.stdev(values) if len(values) > 1 else None,
            'n': len(values)}


def agreement(entries, published_before, published):
    """{change, saving, units}: True, False or None (unknown)."""
    after, saving, cut = published
    change = spread([e['after'] - e['before'] for e in entries if e['after'] is not None])
    ours = statistics.mean(e['saving'] for e in entries)
    says = {'change': None, 'saving': abs(ours - saving) <= SAVING, 'units': None}
    if after is not None and change:
        says['change'] = abs(change['mean'] - (after - published_before)) <= max(POINTS, 2 * (change['sd'] or 0))
    if cut is not None:
        says['units'] = all(e['kinds'] == cut for e in entries)
    return says


def pruning(runs):
    groups = collections.OrderedDict()
    for e in read_prunes(runs):
        groups.setdefault((e['arch'], e['parent'], e['way']), []).append(e)
    order = ['yang', 'lu', 'cka', 'last', 'random', 'hand']
    lines = []
    for (arch, parent, way), entries in sorted(groups.items(), key=lambda g: (
            g[0][0], g[0][1], order.index(g[1][0]['metric']), g[0][2])):
        first = entries[0]
        line = {'arch': arch, 'parent': parent, 'way': way, 'runs': [e['run'] for e in entries],
                'before': spread([e['before'] for e in entries]), 'cut_only': spread([e['cut_only'] for e in entries]),
                'after': spread([e['after'] for e in entries]),
                'change': spread([e['after'] - e['before'] for e in entries if e['after'] is not None]),
                'saving': spread([e['saving'] for e in entries]), 'macs_saving': spread([e['macs'] for e in entries]),
                'kinds': [e['kinds'] for e in entries], 'differences': first['differences'], 'published': None,
                'agrees': None}
        known = TABLE_1.get(arch)
        if known and first['metric'] in known[1] and not first['counted']:
            after, saving, cut = known[1][first['metric']]
            line['published'] = {'before': known[0], 'after': after, 'saving': saving, 'kinds': cut,
                                 'change': None if after is None else round(after - known[0], 2)}
            line['agrees'] = agreement(entries, known[0], known[1][first['metric']])
        lines.append(line)
    return lines


# ---- 2. curves ----

def ranks(values):
    """Average ranks, so that ties are fair."""
    return [sum(w < v for w in values) + (sum(w == v for w in values) + 1) / 2 for v in values]


def rank_correlation(a, b):
    """Spearman's: Pearson's correlation of the ranks. None if one of them does not vary."""
    try:
        return statistics.correlation(ranks(a), ranks(b))
    except statistics.StatisticsError:
        return None


def curves(runs):
    lines = []
    for run in runs:
        for path in sorted(glob.glob(os.path.join(run, 'analysis*', 'analysis.json'))):
            analysis = read_json(path)
            published = CURVES.get(analysis['arch'])
            q = [layer['lu']['mean'] for layer in analysis['layers']]
            if published is None or analysis.get('hooks') != 'lu2022' or len(q) != len(published) or None in q:
                continue
            rank = rank_correlation(q, published)
            config = read_config(run)
            lines.append({'arch': analysis['arch'], 'analysis': path, 'rank_correlation': rank,
                          'largest_difference': max(abs(a - b) for a, b in zip(q, published)), 'ours': q,
                          'published': published, 'agrees': rank is not None and rank >= RANK,
                          'k': analysis['k'], 'lu_batch': analysis['lu_batch'], 'differences': differences(config)})
    return lines


# ---- printing ----

def number(s, digits=2):
    if s is None:
        return '-'
    if not isinstance(s, dict):
        return f'{s:.{digits}f}'
    text = f'{s["mean"]:.{digits}f}'
    return text if s['sd'] is None else f'{text} ± {s["sd"]:.{digits}f} ({s["n"]})'


def units(kinds):
    if kinds is None:
        return '?'
    return ', '.join(f'{n} of {kind}' for kind, n in sorted(kinds.items())) or 'none'


def all_units(kinds):
    different = []
    for k in kinds:
        if k not in different:
            different.append(k)
    return ' / '.join(units(k) for k in different)


def verdict(agrees):
    if agrees is None:
        return '-'
    words = {True: 'yes', False: 'NO', None: '-'}
    return ', '.join(f'{what} {words[v]}' for what, v in agrees.items())


PRUNING_HEAD = ['net', 'cut by', 'before %', 'paper', 'after %', 'change', 'paper', 'saved %', 'paper', 'MACs saved %',
                'units cut', 'paper', 'agrees', 'note']
CURVE_HEAD = ['net', 'analysis', 'rank correlation', 'largest difference', 'agrees', 'note']


class Notes:
    """Differences from the paper, each listed once."""

    def __init__(self):
        self.seen = []

    def refer(self, text):
        if not text:
            return '-'
        if text not in self.seen:
            self.seen.append(text)
        return f'[{self.seen.index(text) + 1}]'

    def lines(self, markdown):
        return ''.join(f'\n{"- " if markdown else ""}[{i}] not as in the paper: {text}'
                       for i, text in enumerate(self.seen, 1))


def pruning_rows(lines, notes):
    for l in lines:
        p = l['published'] or {}
        yield [l['arch'], l['way'], number(l['before']), number(p.get('before')), number(l['after']),
               number(l['change']), number(p.get('change')), number(l['saving']), number(p.get('saving')),
               number(l['macs_saving']), all_units(l['kinds']), units(p['kinds']) if p else '-', verdict(l['agrees']),
               notes.refer(', '.join(l['differences']))]


def curve_rows(lines, notes):
    for l in lines:
        yield [l['arch'], l['analysis'], number(l['rank_correlation'], 3), number(l['largest_difference'], 3),
               'yes' if l['agrees'] else 'NO', notes.refer(', '.join(l['differences']))]


def table(head, rows, markdown):
    rows = [head] + [list(r) for r in rows]
    width = [max(len(r[c]) for r in rows) for c in range(len(head))]
    lines = ['  '.join(cell.ljust(w) for cell, w in zip(r, width)).rstrip() for r in rows]
    if markdown:
        lines = ['| ' + ' | '.join(r) + ' |' for r in rows]
        lines.insert(1, '|' + '---|' * len(head))
    return '\n'.join(lines)


def main():
    parser = Command('[--format text|markdown|json] RUN|FOLDER ...', __doc__, {0: 'ok', 2: 'usage', 3: 'data'})
    parser.add_argument('--format', metavar='FORMAT', choices=['text', 'markdown', 'json'], default='text',
                        help='text, markdown for a page, json for programs')
    parser.add_argument('runs', nargs='+', metavar='RUN|FOLDER')
    args = parser.parse_args()
    runs = find_runs(args.runs)
    prunes, shapes = pruning(runs), curves(runs)
    if args.format == 'json':
        print(json.dumps({'pruning': prunes, 'curves': shapes}, indent=2))
        return
    if not prunes and not shapes:
        print('nothing to compare: no finished prune, and no analysis with hooks: lu2022 of '
              + ' or '.join(CURVES))
        return
    markdown, notes = args.format == 'markdown', Notes()
    tables = [table(head, rows(lines, notes), markdown) for head, rows, lines in (
        (PRUNING_HEAD, pruning_rows, prunes), (CURVE_HEAD, curve_rows, shapes)) if lines]
    print('\n\n'.join(tables) + ('\n' if notes.seen else '') + notes.lines(markdown))


if __name__ == '__main__':
    main()
