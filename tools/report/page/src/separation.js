// separation.js -- M and Q against depth, and the decisions that the criterion derives from them.
import { axisLeft } from 'd3-axis';
import { scaleLinear, scalePoint } from 'd3-scale';
import { select } from 'd3-selection';
import { area, line, symbol, symbolCircle, symbolSquare, symbolTimes } from 'd3-shape';
import { allDecisions, decisionsOf, graphAt } from './data.js';
import { el, onWidth, svg, tableHead } from './dom.js';
import { fixed, signed } from './format.js';
import { columns, section } from './section.js';
import { goToName, layerIndex, state, watch } from './state.js';
import { explain } from './tooltip.js';

const M = { top: 16, right: 16, bottom: 64, left: 46 };
const HEIGHT = 320;

const baseName = (name) => name.replace(/\.raw$/, '');
const kindOf = (unit) => (!unit ? 'none' : unit.cut ? 'cut' : unit.removable ? 'stays' : 'fixed');
const marks = { cut: [symbolTimes, 110], stays: [symbolCircle, 64], fixed: [symbolSquare, 60], none: [symbolCircle, 64] };
const CROWDED = 14; // pixels between two layers; marks shrink if there are fewer
const mark = (kind, room = CROWDED) => symbol(marks[kind][0], marks[kind][1] * Math.max(0.12, Math.min(1, room / CROWDED) ** 2))();
const words = { cut: 'cut', stays: 'stays', fixed: 'cannot be cut', none: '' };

const finite = (values) => values.filter((v) => v !== null && Number.isFinite(v));

/* ---- the curves ---- */

function scales(run, width) {
    const all = run.graphs.flatMap((graph) => graph.layers);
    const values = finite(all.flatMap((layer) => [layer.yang.M, layer.lu.mean]));
    const names = graphAt(run, null).layers.map((layer) => layer.name);
    return { x: scalePoint(names, [M.left, width - M.right]).padding(0.4),
             y: scaleLinear([Math.min(0, ...values), Math.max(0.01, ...values)], [HEIGHT - M.bottom, M.top]).nice(5) };
}

/** y of a value, kept within the frame. */
const within = (scale, v) => { const [low, high] = scale.y.domain(); return scale.y(Math.min(high, Math.max(low, v))); };

const curve = (scale, value) => line().defined((l) => value(l) !== null && scale.x(l.name) !== undefined)
    .x((l) => scale.x(l.name)).y((l) => scale.y(value(l)));

function axes(scale, width) {
    const left = svg('g', { class: 'axis grid', transform: `translate(${M.left},0)` });
    select(left).call(axisLeft(scale.y).ticks(6).tickSize(-(width - M.left - M.right)));
    const names = scale.x.domain(), every = Math.ceil(names.length * 15 / (width - M.left - M.right));
    return [left, names.map((name, i) => (i % every ? null
        : svg('text', { class: 'tick', transform: `translate(${scale.x(name) + 4},${HEIGHT - M.bottom + 14}) rotate(-40)`, 'text-anchor': 'end' }, name)))];
}

/** prune.floor: below floor * maximum, the curve counts as not yet rising. */
function floorLine(scale, decisions, layers, width) {
    if (decisions?.metric !== 'yang' || !decisions.floor) return null;
    const level = decisions.floor * Math.max(...finite(layers.map((l) => l.yang.M)));
    return [svg('line', { class: 'floor', x1: M.left, x2: width - M.right, y1: scale.y(level), y2: scale.y(level) }),
            svg('text', { class: 'floor-name', x: M.left + 6, y: scale.y(level) - 5 }, `floor ${fixed(level, 3)}`)];
}

/** A mark on the curve that the criterion used. */
function point(scale, layer, unit, metric) {
    const kind = kindOf(unit), room = scale.x.step();
    const m = metric === 'lu' ? layer.lu.mean : layer.yang.M;
    const node = svg('g', { class: `point ${kind}${room < CROWDED ? ' crowded' : ''}`, transform: `translate(${scale.x(layer.name)},${scale.y(m ?? 0)})`,
                            onclick: () => goToName(layer.name) },
        svg('rect', { class: 'catch', x: -Math.min(12, room / 2), y: -scale.y(m ?? 0), width: Math.min(24, room), height: HEIGHT }),
        m !== null && svg('path', { d: mark(kind, room) }));
    explain(node, () => [layer.name, `M ${fixed(layer.yang.M)}  (share of correct edges ${fixed(layer.yang.r, 3)})`,
        layer.lu.mean !== null && `Q ${fixed(layer.lu.mean)} ± ${fixed(layer.lu.sd)}`,
        `${layer.yang.isolated} images without an edge`,
        unit && el('b', {}, `${words[kind]}: `), unit?.reason].filter(Boolean));
    return node;
}

function picture(run, width) {
    const graph = graphAt(run, state.epoch), scale = scales(run, width), decisions = decisionsOf(run);
    const units = new Map((decisions?.units ?? []).map((unit) => [unit.name, unit]));
    const m = (l) => l.yang.M, q = (l) => l.lu.mean;
    const band = area().defined((l) => q(l) !== null).x((l) => scale.x(l.name))
        .y0((l) => within(scale, q(l) - l.lu.sd)).y1((l) => within(scale, q(l) + l.lu.sd));
    const now = graph.layers[layerIndex(graph.layers.map((l) => l.name))];
    return svg('svg', { width, height: HEIGHT, role: 'img', 'aria-label': 'M and Q against depth; the numbers are in the table below' },
        axes(scale, width),
        svg('line', { class: 'now', x1: scale.x(now.name), x2: scale.x(now.name), y1: M.top, y2: HEIGHT - M.bottom }),
        floorLine(scale, decisions, graph.layers, width),
        run.graphs.filter((g) => g !== graph).map((g) => svg('path', { class: 'm other', d: curve(scale, m)(g.layers) })),
        svg('path', { class: 'q-band', d: band(graph.layers) }),
        svg('path', { class: 'q', d: curve(scale, q)(graph.layers) }),
        svg('path', { class: 'm', d: curve(scale, m)(graph.layers) }),
        graph.layers.map((layer) => point(scale, layer, graph === run.best ? units.get(baseName(layer.name)) : null, decisions?.metric)));
}

function legend(run) {
    const key = (kind, text) => el('span', {}, svg('svg', { class: 'key-mark', width: 14, height: 14, viewBox: '-7 -7 14 14' },
        svg('g', { class: `point ${kind}` }, svg('path', { d: mark(kind) }))), text);
    const sample = (cls, text) => el('span', {}, svg('svg', { class: 'key-line', width: 24, height: 10 }, svg('path', { class: cls, d: 'M0,5H24' })), text);
    return el('p', { class: 'legend' }, sample('m', 'M [Yang 2023]'), sample('q', 'Q [Lu 2022], ± sd'), key('stays', 'stays'),
              key('cut', 'cut'), key('fixed', 'cannot be cut'), run.epochs.length > 0 && sample('m other', 'M at other epochs'));
}

/* ---- the decisions in words ---- */

/** How much higher the value of a unit is than that of the last unit before it that stays. */
function overKept(units, i) {
    const kept = units.slice(0, i).filter((unit) => !unit.cut && unit.value !== null).at(-1);
    return kept && units[i].value !== null ? units[i].value - kept.value : null;
}

function decisionTable(decisions) {
    const gain = (unit, i) => unit.gain ?? overKept(decisions.units, i);
    const cut = decisions.units.filter((unit) => unit.cut).length;
    const line = (unit, i) => el('tr', { class: unit.cut ? 'cut' : null },
        el('th', { scope: 'row' }, el('button', { type: 'button', class: 'link', onclick: () => goToName(unit.name) }, unit.name)),
        el('td', { class: 'n' }, fixed(unit.value)), el('td', { class: 'n' }, signed(gain(unit, i))),
        el('td', { class: 'decision' }, `${unit.cut ? '✕ ' : ''}${words[kindOf(unit)]}`), el('td', { class: 'why' }, unit.reason));
    const head = ['unit', decisions.metric === 'lu' ? 'Q' : 'M', 'gain', 'decision', 'why'];
    return el('details', { open: decisions.units.length <= 24 },
        el('summary', {}, `The criterion’s decisions: ${cut} of ${decisions.units.length} units cut, ${decisions.source}`),
        el('div', { class: 'scroll' }, el('table', { class: 'small decisions' },
            tableHead(head, (i) => i === 1 || i === 2),
            el('tbody', {}, decisions.units.map(line)))));
}

function column(run) {
    const holder = el('div', { class: 'plot' });
    let width = 0;
    const draw = () => { if (width) holder.replaceChildren(picture(run, width)); };
    const close = watch(['depth', 'epoch'], draw);
    onWidth(holder, (w) => { width = w; draw(); });
    const tables = allDecisions(run).map(decisionTable);
    if (!tables.length) tables.push(el('p', { class: 'note' }, 'No decisions: the analysis has no values for the units of this net.'));
    return { node: el('div', {}, holder, legend(run), tables), close };
}

export function separation() {
    return section('separation', 'How far the classes have come apart',
        'An edge joins two test images that are among the most similar after a layer. M and Q measure how well this graph splits into the classes: 0 is chance, 1 the best. Where the curve stops rising, a layer no longer helps.',
        columns((run) => run.graphs.length > 0, column, 'None of the runs shown has been analyzed.'));
}
