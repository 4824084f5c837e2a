// histogram.js -- the histogram of the similarities of all pairs of test images after a layer. The bars move when another
// layer is selected.
import { axisBottom, axisLeft } from 'd3-axis';
import { scaleLinear } from 'd3-scale';
import { select } from 'd3-selection';
import { graphAt } from './data.js';
import { el, onWidth, reducedMotion, svg } from './dom.js';
import { integer, percent } from './format.js';
import { columns, section } from './section.js';
import { goTo, goToName, layerIndex, state, watch } from './state.js';
import { explain } from './tooltip.js';

const M = { top: 26, right: 12, bottom: 40, left: 48 };
const HEIGHT = 240, MOVE_MS = 450;

function shares(layer) {
    const pairs = layer.histogram.reduce((a, b) => a + b, 0);
    return layer.histogram.map((count) => (pairs ? count / pairs : 0));
}

/** A histogram whose bars move smoothly to new values. */
class Bars {
    constructor(width, most) {
        this.x = scaleLinear([0, 1], [M.left, width - M.right]);
        this.y = scaleLinear([0, most], [HEIGHT - M.bottom, M.top]).nice(5);
        this.values = new Array(10).fill(0);
        this.bars = this.values.map((_, b) => svg('rect', { class: 'bar', x: this.x(b / 10) + 1, width: this.x(0.1) - this.x(0) - 2 }));
        this.first = svg('path', { class: 'outline' });
        this.node = svg('svg', { width, height: HEIGHT, role: 'img', 'aria-label': 'Histogram of similarities; each bar shows its share' },
                        this.axes(width), this.bars, this.first);
    }

    axes(width) {
        const left = svg('g', { class: 'axis grid', transform: `translate(${M.left},0)` });
        const bottom = svg('g', { class: 'axis', transform: `translate(0,${HEIGHT - M.bottom})` });
        select(left).call(axisLeft(this.y).ticks(5).tickFormat((v) => percent(v, 0)).tickSize(-(width - M.left - M.right)));
        select(bottom).call(axisBottom(this.x).ticks(10).tickFormat((v) => v.toFixed(1)));
        return [left, bottom, svg('text', { class: 'axis-title', x: width - M.right, y: HEIGHT - 6, 'text-anchor': 'end' }, 'similarity (cosine)'),
                svg('text', { class: 'axis-title', x: 4, y: M.top - 12 }, 'share of pairs')];
    }

    set(values) {
        this.values = values;
        values.forEach((v, b) => {
            this.bars[b].setAttribute('y', this.y(v));
            this.bars[b].setAttribute('height', this.y(0) - this.y(v));
        });
    }

    /** The outline of another layer, for comparison. */
    outline(values) {
        this.first.setAttribute('d', values.map((v, b) => `${b ? 'L' : 'M'}${this.x(b / 10)},${this.y(v)}H${this.x((b + 1) / 10)}`).join(''));
    }

    moveTo(values) {
        cancelAnimationFrame(this.frame);
        if (reducedMotion() || !this.values.some(Boolean)) return this.set(values);
        const from = this.values, start = performance.now();
        const step = (now) => {
            const t = Math.min(1, Math.max(0, (now - start) / MOVE_MS)), eased = t * t * (3 - 2 * t);
            this.set(from.map((v, b) => v + (values[b] - v) * eased));
            if (t < 1) this.frame = requestAnimationFrame(step);
        };
        this.frame = requestAnimationFrame(step);
    }
}

const MANY = 30; // with more layers than this, the row scrolls

/** A row of small histograms, one for each layer. */
function small(layers, most) {
    const w = 54, h = 40;
    return el('div', { class: `smalls${layers.length > MANY ? ' many' : ''}` }, layers.map((layer) =>
        el('button', { type: 'button', class: 'small-multiple', onclick: () => goToName(layer.name) },
            svg('svg', { width: w, height: h, 'aria-hidden': true }, shares(layer).map((v, b) =>
                svg('rect', { class: 'bar', x: b * w / 10, width: w / 10 - 0.8, y: h - h * v / most, height: h * v / most }))),
            el('span', {}, layer.name))));
}

/** Marks the selected histogram, and scrolls the row (never the page) so that it is visible. */
function frame(row, now) {
    [...row.children].forEach((button, i) => button.setAttribute('aria-pressed', i === now));
    if (!row.classList.contains('many')) return; // nothing to scroll, and the next line makes the browser lay out the page
    const { offsetLeft: left, offsetWidth: width } = row.children[now], from = row.scrollLeft + row.offsetLeft;
    if (left < from || left + width > from + row.clientWidth) row.scrollLeft = left - row.offsetLeft - row.clientWidth / 3;
}

function column(run) {
    const holder = el('div', { class: 'plot' }), caption = el('p', { class: 'note' }), smalls = el('div', {});
    const most = Math.max(...run.graphs.flatMap((graph) => graph.layers.flatMap(shares)));
    let bars = null, graph = null;
    const draw = () => {
        if (graph !== graphAt(run, state.epoch)) {
            graph = graphAt(run, state.epoch);
            smalls.replaceChildren(small(graph.layers, most));
        }
        const { layers } = graph, now = layerIndex(layers.map((l) => l.name)), layer = layers[now];
        bars?.outline(shares(layers[0]));
        bars?.moveTo(shares(layer));
        const pairs = layer.histogram.reduce((a, b) => a + b, 0);
        caption.replaceChildren(el('b', {}, layer.name), `: ${integer(pairs)} pairs of images${layer.negative ? `, ${integer(layer.negative)} of them below 0` : ''}. Outline: ${layers[0].name}.`);
        frame(smalls.firstChild, now);
    };
    onWidth(holder, (width) => {
        bars = new Bars(width, most);
        bars.bars.forEach((bar, b) => explain(bar, () => [`${(b / 10).toFixed(1)} to ${((b + 1) / 10).toFixed(1)}`, `${percent(bars.values[b])} of all pairs`]));
        holder.replaceChildren(bars.node);
        draw();
    });
    draw();
    const close = watch(['depth', 'epoch'], draw);
    smalls.addEventListener('keydown', (event) => {
        const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
        if (!by) return;
        event.preventDefault();
        goTo(state.depth + by);
        smalls.querySelector('[aria-pressed=true]')?.focus();
    });
    return { node: el('div', {}, holder, caption, smalls), close };
}

export function histograms() {
    return section('histograms', 'Similarity of all pairs',
        'How similar are two images after this layer? After the last layers, most pairs should lie further to the left than in the middle of the net, while pairs of one class stay on the right.',
        columns((run) => run.graphs.length > 0, column, 'None of the runs shown has been analyzed.'));
}
