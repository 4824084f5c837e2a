// ring.js -- the graph of a layer on a ring of classes: the choice of edges, classes and colours, and a panel for each run.
import { graphAt, unpack, unpackEdges } from './data.js';
import { classColour } from './colours.js';
import { radioGroup } from './controls.js';
import { data } from './data.js';
import { el, onWidth } from './dom.js';
import { fixed, integer, percent } from './format.js';
import { Pair } from './pair.js';
import { layout } from './ring-geometry.js';
import { RingView } from './ring-view.js';
import { columns, section } from './section.js';
import { change, goTo, layerIndex, state, watch } from './state.js';

const LARGEST = 620;
const MANY = 24; // with more classes than this, the filter is folded
const kinds = {
    both: [['correct and wrong edges', { correct: true, wrong: true }]],
    apart: [['correct edges', { correct: true }], ['wrong edges', { wrong: true }]],
    correct: [['correct edges', { correct: true }]],
    wrong: [['wrong edges', { wrong: true }]],
};
state.edges = 'both';
state.byClass = false;

/* ---- choices that hold for all rings ---- */

const radios = (title, key, choices) => radioGroup(title, key, 'choices', choices.map(([value, text]) => [value, { class: 'choice' }, text]));

/** Which classes to show; all of them if no button is pressed. */
function classFilter() {
    const { classNames } = data.runs.find((run) => run.graphs.length);
    const toggle = (c) => {
        const classes = new Set(state.classes ?? []);
        if (!classes.delete(c)) classes.add(c);
        change({ classes: classes.size ? classes : null });
    };
    const buttons = classNames.map((name, c) => el('button', { type: 'button', class: 'chip', onclick: () => toggle(c) },
        el('span', { class: 'swatch', style: { background: classColour(c) } }), name));
    const all = el('button', { type: 'button', class: 'chip all', onclick: () => change({ classes: null }) }, 'all classes');
    const summary = el('summary', {});
    const swatches = () => buttons.forEach((button) => { button.firstChild.hidden = !state.byClass; }); /* otherwise, colours stand for correct and wrong */
    const mark = () => {
        buttons.forEach((button, c) => button.setAttribute('aria-pressed', Boolean(state.classes?.has(c))));
        all.setAttribute('aria-pressed', !state.classes);
        summary.textContent = `Classes: ${state.classes ? [...state.classes].map((c) => classNames[c]).join(', ') : `all ${classNames.length}`}`;
    };
    watch(['classes'], mark);
    watch(['byClass'], swatches);
    mark();
    swatches();
    const chips = el('div', { class: 'chips', role: 'group', 'aria-label': 'Only edges that touch these classes' }, all, buttons);
    return buttons.length > MANY ? el('details', { class: 'class-filter' }, summary, chips) : chips;
}

/* ---- a run's panel ---- */

function edgeLegend() {
    const key = el('span', { class: 'key correct' }), text = el('span', {});
    const mark = () => {
        key.hidden = state.byClass;
        text.textContent = `correct edge: two images of one class${state.byClass ? ', in its colour' : ''}`;
    };
    watch(['byClass'], mark);
    mark();
    return el('p', { class: 'legend' }, el('span', {}, key, text), el('span', {}, el('span', { class: 'key wrong' }), 'wrong edge: two images of two classes'));
}

async function sceneOf(run, graph, layer) {
    if (!layer.graph) return null;
    const [edges, labels, images] = await Promise.all([unpackEdges(layer.graph), unpack(graph.label), unpack(graph.image)]);
    graph.place ??= layout(labels, run.classes);
    return { edges, labels, images, place: graph.place, shares: layer.yang.class_share, classNames: run.classNames };
}

class Panel {
    constructor(run) {
        this.run = run;
        this.pair = new Pair(run);
        this.rings = el('div', { class: 'rings' });
        this.caption = el('p', { class: 'note' });
        this.node = el('div', { class: 'ring-panel' }, this.caption, el('div', { class: 'ring-and-pair' }, this.rings, this.pair.node));
        this.views = [];
        this.closes = [watch(['depth', 'epoch'], () => { this.pair.clear(); this.draw(); }), watch(['classes', 'byClass', 'theme'], () => this.draw()),
                       watch(['edges'], () => { this.build(); this.draw(); })];
        this.build();
        onWidth(this.node, (width) => { this.width = width; this.draw(); });
    }

    build() {
        for (const view of this.views) view.close();
        this.views = kinds[state.edges].map(([title, kind]) => new RingView(title, kind, (e) => this.showEdge(e), (by) => goTo(state.depth + by)));
        this.rings.replaceChildren(...this.views.map((view, k) => el('figure', {}, view.node, this.views.length > 1 && el('figcaption', {}, kinds[state.edges][k][0]))));
    }

    showEdge(e) {
        const { graph, scene, layer } = this.now;
        this.pair.show(graph, scene.images, scene.labels, scene.edges, e, layer.name);
    }

    async draw() {
        if (!this.width) return;
        const graph = graphAt(this.run, state.epoch), layer = graph.layers[layerIndex(graph.layers.map((l) => l.name))];
        const scene = await sceneOf(this.run, graph, layer);
        const asked = graphAt(this.run, state.epoch);
        if (asked !== graph || layer !== graph.layers[layerIndex(graph.layers.map((l) => l.name))]) return; /* another layer was selected in the meantime */
        this.now = { graph, layer, scene };
        this.describe();
        if (!scene) return;
        const two = this.views.length > 1 && this.width >= 640;
        this.node.classList.toggle('wide', this.width >= 900 && this.views.length === 1);
        const size = Math.min(LARGEST, two ? Math.floor((this.width - 16) / 2) : this.width);
        for (const view of this.views) view.set(scene, size);
        this.node.dataset.layer = layer.name;
    }

    describe() {
        const { graph, layer, scene } = this.now, { yang } = layer;
        const part = scene && scene.edges.n < scene.edges.total ? ` (${integer(scene.edges.n)} of them in this page, evenly by similarity)` : '';
        this.caption.replaceChildren(el('b', {}, layer.name), graph.epoch === null ? '' : `, epoch ${graph.epoch}`, `: M ${fixed(yang.M)}. Of ${integer(graph.edges)} edges${part}, ${percent(yang.r, 1)} are correct; ${integer(yang.isolated)} of ${integer(graph.samples)} images have none. Least similar edge: ${fixed(yang.min_sim, 3)}.`,
            scene ? '' : ' Its file of edges is missing.');
    }

    close() {
        for (const close of this.closes) close();
        for (const view of this.views) view.close();
    }
}

export function rings() {
    const choices = data.runs.some((run) => run.graphs.length) && el('div', { class: 'ring-choices' },
        radios('Edges', 'edges', [['both', 'all edges'], ['apart', 'correct | wrong'], ['correct', 'correct'], ['wrong', 'wrong']]),
        radios('Colours', 'byClass', [[false, 'two colours'], [true, 'class colours']]), classFilter(),
        edgeLegend());
    return section('rings', 'The graph of the most similar images',
        'Every image of the sample has a place on the ring, class by class. Edges join the most similar pairs after a layer. The percentage of a class is its share of all ends of edges.',
        choices, columns((run) => run.graphs.length > 0, (run) => new Panel(run), 'None of the runs shown has been analyzed.'));
}
