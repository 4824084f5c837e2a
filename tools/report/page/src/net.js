// net.js -- the net as a row of layers, from the image on the left to the logits on the right. The height of a box shows
// the size of the layer's maps, its width the number of channels (on a logarithmic scale); shortcuts are curves above the
// boxes. Below each layer a heat map shows its parameters, its multiplications and its measured time.
import { heat } from './colours.js';
import { data, decisionsOf } from './data.js';
import { el, onWidth, svg, tableHead } from './dom.js';
import { duration, integer, percent, shape, short } from './format.js';
import { section } from './section.js';
import { explain } from './tooltip.js';
import { goTo, goToName, layersOf, reference, state, watch } from './state.js';

const TOP = 46, TALL = 96, NAMES = 34, CELL = 26, GAP = 2;
const rows = [
    { key: 'params', title: 'parameters', format: integer },
    { key: 'macs', title: 'multiplications', format: (x) => short(x) },
    { key: 'us', title: 'time, measured', format: duration },
];
const HEIGHT = TOP + TALL + NAMES + rows.length * (CELL + GAP) + 4;

/* ---- what the layers are ---- */

const words = { conv: 'convolution', bnact: 'batch normalisation', pool: 'pooling', linear: 'linear', dropout: 'dropout',
                shortcut: 'shortcut with zeros for new channels' };

function describe(layer) {
    if (layer.kind === 'conv') {
        const groups = layer.groups === 1 ? '' : layer.groups === layer.in[0] ? ', depthwise' : `, ${layer.groups} groups`;
        return `${layer.kernel} × ${layer.kernel} convolution${layer.stride > 1 ? `, stride ${layer.stride}` : ''}${groups}`;
    }
    if (layer.kind === 'pool') return `${layer.pool} pooling`;
    const after = [layer.z >= 0 && 'adds the shortcut', layer.activation && layer.activation.replace('relu', 'ReLU')].filter(Boolean);
    return [words[layer.kind] ?? layer.kind, ...after].join(', ');
}

/** The layers of a block's shortcut, between the block's input and the place where it is added: drawn on the curve. */
function sideLayers(layers) {
    const maker = new Map(layers.map((layer, i) => [layer.y, i]));
    const readers = (value) => layers.filter((l) => l.x === value || l.z === value).length;
    const side = new Set();
    for (const layer of layers)
        for (let value = layer.z; maker.has(value) && readers(value) === 1; value = layers[maker.get(value)].x)
            side.add(maker.get(value));
    return side;
}

const boxWidth = (layer) => (layer.kind === 'conv' || layer.kind === 'linear'
    ? 12 + 3 * Math.log2(Math.max(2, layer.out[0])) : layer.kind === 'dropout' ? 8 : 14);
const boxHeight = (layer, largest) => 10 + (TALL - 10) * Math.sqrt(layer.out[1] / largest);

/** x and width of each layer, with a small gap between units. */
function place(net) {
    const first = new Set(net.units.map((unit) => unit.layer));
    const last = new Set(net.units.map((unit) => unit.layer + unit.layers));
    let x = 12;
    return net.layers.map((layer, i) => {
        if (first.has(i) || last.has(i)) x += 6;
        const at = { x, width: Math.max(16, boxWidth(layer)) };
        x += at.width + GAP;
        return at;
    });
}

/* ---- drawing ---- */

function lines(net, layer, totals) {
    return [layer.name || describe(layer), describe(layer), `${shape(layer.in)} → ${shape(layer.out)}`,
            ...rows.map((row) => (layer[row.key] === null ? 'time: part of the convolution before it'
                : `${row.format(layer[row.key])} ${row.key === 'us' ? 'per image' : row.title}`) +
                                 (totals[row.key] && layer[row.key] ? ` (${percent(layer[row.key] / totals[row.key], 1)})` : ''))];
}

function box(layer, at, isSide, largest) {
    const h = isSide ? 14 : boxHeight(layer, largest);
    const w = boxWidth(layer);
    const y = isSide ? TOP - 30 : TOP + (TALL - h) / 2;
    return svg('rect', { class: `layer ${layer.kind}`, x: at.x + (at.width - w) / 2, y, width: w, height: h, rx: 2 });
}

/** Curves above a block, from the layer that computes a value to the layer that adds it. */
function shortcuts(net, at, side) {
    const maker = new Map(net.layers.map((layer, i) => [layer.y, i]));
    return net.layers.map((layer, i) => {
        if (layer.z < 0) return null;
        let value = layer.z;
        while (side.has(maker.get(value))) value = net.layers[maker.get(value)].x;
        const from = maker.has(value) ? at[maker.get(value)].x + at[maker.get(value)].width / 2 : 6;
        const to = at[i].x + at[i].width / 2;
        const y = TOP - 23;
        return svg('path', { class: 'shortcut', d: `M${from},${TOP + 8} C${from},${y} ${from + 4},${y} ${from + 10},${y} L${to - 10},${y} C${to - 4},${y} ${to},${y} ${to},${TOP + 8}` });
    });
}

function cells(layer, at, most) {
    return rows.map((row, r) => {
        const t = most[row.key] ? Math.sqrt(layer[row.key] / most[row.key]) : 0;
        const y = TOP + TALL + NAMES + r * (CELL + GAP);
        return svg('rect', { class: layer[row.key] ? 'cell' : 'cell none', x: at.x, y, width: at.width, height: CELL,
                             fill: layer[row.key] ? heat(t) : null });
    });
}

function unitMark(net, unit, at, decision) {
    const first = at[unit.layer], last = at[unit.layer + unit.layers - 1];
    const x = first.x - 3, width = last.x + last.width - first.x + 6;
    const text = svg('text', { class: 'unit-name', x: x + width / 2, y: TOP + TALL + 24, 'text-anchor': 'middle' },
                     width < 7 * unit.name.length ? shortName(unit.name, width) : unit.name);
    const known = reference && layersOf(reference).some((layer) => layer.name === unit.name);
    const node = svg('g', { class: `unit${decision?.cut ? ' cut' : ''}${known ? ' known' : ''}`, 'data-unit': unit.name,
                            onclick: () => goToName(unit.name) },
        svg('rect', { class: 'unit-box', x, y: 4, width, height: HEIGHT - 6, rx: 4 }),
        decision?.cut && svg('rect', { class: 'hatch', x, y: 4, width, height: TOP + TALL - 4, rx: 4 }),
        decision?.cut && svg('text', { class: 'cut-mark', x: x + width / 2, y: TOP + TALL + 11, 'text-anchor': 'middle' }, '✕ cut'),
        text);
    return node;
}

/** "layer1.0"; "1.0" if there is little room; nothing if there is none. */
function shortName(name, width) {
    const small = name.replace(/^[a-z]+\.?(?=\d)/, '');
    return width < 6.5 * small.length ? '' : small;
}

function drawing(run) {
    const { net } = run;
    const at = place(net), side = sideLayers(net.layers);
    const largest = Math.max(...net.layers.map((layer) => layer.out[1]));
    const sum = (key) => net.layers.reduce((s, layer) => s + layer[key], 0);
    const totals = Object.fromEntries(rows.map((row) => [row.key, sum(row.key)]));
    const most = Object.fromEntries(rows.map((row) => [row.key, Math.max(...net.layers.map((layer) => layer[row.key]))]));
    const decided = new Map((decisionsOf(run)?.units ?? []).map((unit) => [unit.name, unit]));
    const width = at.at(-1).x + at.at(-1).width + 12;
    const picture = svg('svg', { width, height: HEIGHT, viewBox: `0 0 ${width} ${HEIGHT}`, role: 'img',
                                 'aria-label': `${net.arch}, ${net.layers.length} layers; all numbers are in the table below` },
        svg('defs', {}, svg('pattern', { id: `hatch-${run.index}`, width: 7, height: 7, patternUnits: 'userSpaceOnUse', patternTransform: 'rotate(45)' },
                            svg('rect', { class: 'hatch-line', width: 2, height: 7 }))),
        net.units.map((unit) => unitMark(net, unit, at, decided.get(unit.name))),
        svg('line', { class: 'wire', x1: 2, x2: width - 2, y1: TOP + TALL / 2, y2: TOP + TALL / 2 }),
        shortcuts(net, at, side),
        net.layers.map((layer, i) => {
            const node = svg('g', { class: 'column' },
                svg('rect', { class: 'catch', x: at[i].x - 1, y: 0, width: at[i].width + 2, height: HEIGHT }),
                box(layer, at[i], side.has(i), largest), cells(layer, at[i], most));
            node.addEventListener('click', () => goToName(net.units.find((u) => i >= u.layer && i < u.layer + u.layers)?.name));
            explain(node, () => lines(net, layer, totals));
            return node;
        }));
    picture.querySelectorAll('.hatch').forEach((rect) => rect.setAttribute('fill', `url(#hatch-${run.index})`));
    return picture;
}

function legend(net) {
    const kinds = [...new Set(net.layers.map((layer) => layer.kind))].filter((kind) => words[kind]);
    const none = el('span', {}, el('span', { class: 'key none' }), 'none');
    const scale = el('span', { class: 'scale' }, 'least', el('span', { class: 'ramp', style: {
        background: `linear-gradient(90deg, ${[0, 0.25, 0.5, 0.75, 1].map(heat).join(',')})` } }), 'most in a row');
    return el('p', { class: 'legend' },
        kinds.map((kind) => el('span', {}, el('span', { class: `key ${kind}` }), words[kind].replace(/ with.*/, ''))), none, scale);
}

/** What the numbers mean, and why a batch normalisation may have no time. */
function remarks({ net }) {
    const fused = net.layers.some((layer) => layer.kind === 'bnact' && layer.us === null);
    return el('p', { class: 'note' }, `${integer(net.params)} parameters, ${short(net.macs)} multiplications per image. Times: the median of several passes of a batch of ${net.batch}, divided by the batch size, on ${net.device}.`,
              ' The colour of a cell shows the square root of its value, relative to the largest in its row.',
              fused && ' Batch normalisation is computed together with the convolution before it, so its time is part of that convolution’s.');
}

function table(run) {
    const { net } = run;
    const head = ['layer', 'operation', 'in', 'out', ...rows.map((row) => row.title)];
    const line = (layer) => el('tr', {}, el('th', { scope: 'row' }, layer.name || '–'), el('td', {}, describe(layer)),
        el('td', {}, shape(layer.in)), el('td', {}, shape(layer.out)), rows.map((row) => el('td', { class: 'n' }, row.format(layer[row.key]))));
    const details = el('details', {}, el('summary', {}, `All ${net.layers.length} layers in numbers`));
    details.addEventListener('toggle', () => {
        if (details.querySelector('table')) return;
        details.append(el('div', { class: 'scroll' }, el('table', { class: 'small' },
            tableHead(head, (i) => i > 3),
            el('tbody', {}, net.layers.map(line)))));
    });
    return details;
}

/** Arrow keys select the next and previous layer of the analysis, like the slider. */
function strip(run) {
    const picture = drawing(run);
    const scroller = el('div', { class: 'strip', tabindex: 0, role: 'group', 'aria-label': `${run.net.arch}, layer by layer; arrow keys select` }, picture);
    scroller.addEventListener('keydown', (event) => {
        const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
        if (!by || !reference) return;
        event.preventDefault();
        goTo(state.depth + by);
    });
    const mark = (changed) => {
        const name = reference && layersOf(reference)[state.depth]?.name;
        for (const unit of picture.querySelectorAll('.unit')) {
            const on = unit.dataset.unit === name;
            unit.classList.toggle('now', on);
            if (on && changed) follow(scroller, unit);
        }
    };
    const close = watch(['depth'], mark);
    mark();
    return { node: scroller, whole: wholeButton(scroller, picture), close };
}

/** For a net that is wider than the page: shows all of it at once, with thin layers that have no names. */
function wholeButton(scroller, picture) {
    const width = picture.getAttribute('width');
    picture.setAttribute('preserveAspectRatio', 'none');
    const press = () => {
        const whole = scroller.classList.toggle('whole');
        picture.setAttribute('width', whole ? '100%' : width);
        button.setAttribute('aria-pressed', whole);
    };
    const button = el('button', { type: 'button', class: 'chip', 'aria-pressed': false, hidden: true, onclick: press }, 'whole net at once');
    onWidth(scroller, (room) => { button.hidden = !scroller.classList.contains('whole') && width <= room; });
    return button;
}

/** Scrolls the strip (never the page) so that the unit is visible. */
function follow(scroller, unit) {
    if (scroller.classList.contains('whole')) return;
    const box = unit.getBBox();
    if (box.x < scroller.scrollLeft || box.x + box.width > scroller.scrollLeft + scroller.clientWidth)
        scroller.scrollLeft = box.x - scroller.clientWidth / 3;
}

function one(run) {
    const titles = el('div', { class: 'row-titles', 'aria-hidden': true },
        rows.map((row, r) => el('span', { style: { top: `${TOP + TALL + NAMES + r * (CELL + GAP)}px`, height: `${CELL}px` } }, row.title)));
    const { node: scroller, whole, close } = strip(run);
    const node = el('div', { class: 'net' },
        data.runs.length > 1 && el('h3', { class: 'run' }, run.name, el('small', {}, ` ${run.net.arch}`)),
        el('div', { class: 'net-frame' }, titles, scroller), el('div', { class: 'net-legend' }, legend(run.net), whole),
        remarks(run), table(run));
    return { node, close };
}

export function nets() {
    const node = el('div', {});
    let made = [];
    const draw = () => {
        for (const part of made) part.close();
        made = data.runs.filter((run) => state.shown.has(run.index)).map(one);
        node.replaceChildren(...made.map((part) => part.node));
    };
    watch(['shown'], draw);
    draw();
    return section('net', 'The net', 'Layer by layer, from the image to the logits. Brighter means more. Most parameters, most work and most time are usually in three different places.', node);
}
