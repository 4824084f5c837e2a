// ring-view.js -- one ring: a canvas with the curves, and above it an SVG with the rim, the names and the selected edge.
import { classColour, correct, rgb, wrong } from './colours.js';
import { el, perFrame, svg } from './dom.js';
import { percent } from './format.js';
import { nearest, path } from './ring-geometry.js';
import { openDrawing } from './ring-gl.js';
import { state } from './state.js';

const MARGIN = 8; // names may reach so many pixels beyond the ring's square
const REACH = 7; // the pointer is on an edge if it is within this many pixels of it

const isCorrect = (labels, edges, e) => labels[edges.i[e]] === labels[edges.j[e]];
const wanted = (labels, edges, e) => !state.classes || state.classes.has(labels[edges.i[e]]) || state.classes.has(labels[edges.j[e]]);

/** The opacity of an edge: the more edges overlap, the fainter each of them, as faintness() in graph/ring.c. */
function faintness(count, width, radius, share) {
    const depth = 0.44 * count * width / (radius * share);
    return Math.min(0.55, Math.max(0.02, 0.9 / depth));
}

export class RingView {
    /** kinds: {correct, wrong}, the edges to show. Calls onEdge(e) when edge e is selected, onLayer(by) to change the layer. */
    constructor(title, kinds, onEdge, onLayer) {
        this.kinds = kinds;
        this.onEdge = onEdge;
        this.canvas = el('canvas', { class: 'edges' });
        this.over = svg('svg', { class: 'over' });
        this.node = el('div', { class: 'ring', tabindex: 0, role: 'group',
                                'aria-label': `${title}. Left and right arrow: edge by edge; up and down: layer by layer` }, this.canvas, this.over);
        this.drawing = openDrawing(this.canvas);
        this.shown = new Uint32Array(0);
        const point = perFrame((x, y) => this.point(x, y));
        const at = (event) => { const r = this.node.getBoundingClientRect(); point(event.clientX - r.left, event.clientY - r.top); };
        this.node.addEventListener('pointermove', at);
        this.node.addEventListener('pointerdown', at);
        this.node.addEventListener('keydown', (event) => {
            const walk = { ArrowRight: 1, ArrowLeft: -1 }[event.key], climb = { ArrowDown: 1, ArrowUp: -1 }[event.key];
            if (!walk && !climb) return;
            event.preventDefault();
            if (climb) onLayer(climb);
            else this.walk(walk);
        });
    }

    /** scene: {edges, labels, place, shares, classNames}; size in CSS pixels. */
    set(scene, size) {
        if (this.scene?.edges !== scene.edges) this.selected = undefined;
        this.scene = scene;
        this.size = size;
        this.radius = size / 2 - (size < 420 ? 52 : 66);
        const ratio = Math.min(2, devicePixelRatio || 1);
        this.canvas.width = this.canvas.height = Math.round(size * ratio);
        this.node.style.width = this.node.style.height = `${size}px`;
        this.fill(ratio);
        this.drawing.draw({ ends: this.ends, colours: this.colours, count: this.shown.length, radius: this.radius * ratio });
        this.decorate();
        if (this.selected !== undefined) this.mark(this.selected);
    }

    /** Chooses the edges, their places and colours. The most similar ones come last, so that they are drawn on top. */
    fill(ratio) {
        const { edges, labels, place } = this.scene;
        const right = [], bad = [], chosen = [];
        for (let e = edges.n - 1; e >= 0; e--) {
            const same = isCorrect(labels, edges, e);
            if (!wanted(labels, edges, e) || !(same ? this.kinds.correct : this.kinds.wrong)) continue;
            (same ? right : bad).push(e);
            chosen.push(e);
        }
        const all = thin(chosen, this.drawing.limit);
        this.shown = Uint32Array.from(all);
        this.ends = new Float32Array(4 * all.length);
        this.colours = new Uint8Array(4 * all.length);
        const ink = this.inks(right, bad, ratio);
        all.forEach((e, k) => {
            const i = edges.i[e], j = edges.j[e];
            this.ends.set([place.x[i], place.y[i], place.x[j], place.y[j]], 4 * k);
            this.colours.set(ink(labels[i], labels[j]), 4 * k);
        });
    }

    /** Colour and opacity of an edge between two classes. */
    inks(right, bad, ratio) {
        const { edges, labels, place } = this.scene, radius = this.radius * ratio;
        const perClass = new Array(place.from.length).fill(0);
        for (const e of right) perClass[labels[edges.i[e]]]++;
        const byte = (hex, alpha) => [...rgb(hex), alpha].map((v) => Math.round(255 * v));
        const own = perClass.map((count, c) => byte(state.byClass ? classColour(c) : correct(),
            faintness(count, 1, radius, Math.max(1e-3, (place.to[c] - place.from[c]) / (2 * Math.PI)))));
        const other = byte(wrong(), faintness(bad.length, 1, radius, 1));
        return (a, b) => (a === b ? own[a] : other);
    }

    decorate() {
        const { place, shares, classNames } = this.scene, c = this.size / 2, r = this.radius;
        this.marker = svg('g', { class: 'marker', visibility: 'hidden' });
        const small = place.from.length > 24 && Math.min(10, Math.max(8, 2 * Math.PI * r / place.from.length * 0.65)), width = Math.max(4, r / 36);
        this.over.setAttribute('viewBox', `0 0 ${this.size} ${this.size}`);
        this.over.replaceChildren(...classNames.flatMap((name, k) => (place.count[k] ? [
            svg('path', { class: state.byClass ? 'rim' : 'rim plain', d: arc(c, r + width / 2 + 1, place.from[k], place.to[k]), stroke: classColour(k), 'stroke-width': width,
                          opacity: !state.classes || state.classes.has(k) ? 1 : 0.25 }),
            label(name, shares[k], (place.from[k] + place.to[k]) / 2, c, r + width + 6, small)] : [])), this.marker);
        for (const text of this.over.querySelectorAll('.class-name')) shorten(text);
    }

    point(x, y) {
        if (!this.scene) return;
        const c = this.size / 2, { edges, place } = this.scene;
        const e = nearest(edges, place, this.shown, (x - c) / this.radius, (y - c) / this.radius, REACH / this.radius);
        if (e >= 0) this.select(e);
    }

    /** Selects the next edge that is shown, beginning with the most similar one. */
    walk(by) {
        if (!this.shown.length) return;
        const order = Uint32Array.from(this.shown).sort();
        const at = this.selected === undefined ? -1 : order.indexOf(this.selected);
        this.select(order[(at + by + order.length) % order.length]);
    }

    select(e) {
        this.selected = e;
        this.mark(e);
        this.onEdge(e);
    }

    mark(e) {
        const { edges, place } = this.scene, c = this.size / 2, i = edges.i[e], j = edges.j[e];
        const ends = [i, j].map((v) => svg('circle', { cx: c + this.radius * place.x[v], cy: c + this.radius * place.y[v], r: 5 }));
        const d = path(place, i, j, c, this.radius);
        this.marker.replaceChildren(svg('path', { class: 'halo', d }), svg('path', { d }), ...ends);
        this.marker.setAttribute('visibility', 'visible');
    }

    close() {
        this.drawing.close();
    }
}

/** At most `limit` elements of the list, evenly spaced. */
function thin(list, limit) {
    if (list.length <= limit) return list;
    return Array.from({ length: limit }, (_, k) => list[Math.floor(k * list.length / limit)]);
}

function arc(c, r, from, to) {
    const p = (a) => `${(c + r * Math.cos(a)).toFixed(2)},${(c + r * Math.sin(a)).toFixed(2)}`;
    return `M${p(from)}A${r},${r} 0 ${to - from > Math.PI ? 1 : 0} 1 ${p(to)}`;
}

/** Ends a name with three dots where it would leave the ring's square and the margin around it. */
function shorten(text) {
    const name = text.querySelector('.name'), letters = Array.from(name.textContent), room = Number(text.dataset.room);
    const length = name.getComputedTextLength();
    if (length <= room) return;
    for (let keep = Math.ceil(letters.length * room / length); keep > 0 && name.getComputedTextLength() > room; keep--)
        name.textContent = `${letters.slice(0, keep).join('').trimEnd()}…`;
}

/** How long a text may be that begins at distance r from the center c of a square and goes outwards, or (anchor) sideways. */
function roomFor(angle, c, r, anchor) {
    const x = r * Math.cos(angle), edge = c + MARGIN;
    if (anchor) return { start: edge - x, end: edge + x, middle: 2 * (edge - Math.abs(x)) }[anchor];
    return edge / Math.max(Math.abs(Math.cos(angle)), Math.abs(Math.sin(angle))) - r;
}

/** small: false, or with many classes the font size of names that are written along the radius. */
function label(name, share, angle, c, r, small) {
    const x = c + r * Math.cos(angle), y = c + r * Math.sin(angle), left = Math.cos(angle) < 0;
    if (small)
        return svg('text', { class: 'class-name tiny', 'data-room': roomFor(angle, c, r), style: { 'font-size': `${small}px` }, transform: `translate(${x},${y}) rotate(${(angle + (left ? Math.PI : 0)) * 180 / Math.PI})`,
                             'text-anchor': left ? 'end' : 'start', dy: 3 }, svg('tspan', { class: 'name' }, name));
    const anchor = Math.cos(angle) > 0.2 ? 'start' : Math.cos(angle) < -0.2 ? 'end' : 'middle';
    const shift = Math.sin(angle) > 0.5 ? 10 : Math.sin(angle) < -0.5 ? -15 : 0; // room for two lines between the name and the rim
    return svg('text', { class: 'class-name', 'data-room': roomFor(angle, c, r, anchor), x, y: y + shift, 'text-anchor': anchor }, svg('tspan', { class: 'name' }, name),
               svg('tspan', { class: 'share', x, dy: '1.1em' }, percent(share, 0)));
}
