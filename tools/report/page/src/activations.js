// activations.js -- one test image on its way through the net: some channels of every layer, and the classes it predicts.
import { imageCanvas } from './atlas.js';
import { pixelScale } from './colours.js';
import { radioGroup } from './controls.js';
import { data, unpack } from './data.js';
import { el } from './dom.js';
import { fixed, percent } from './format.js';
import { columns, section } from './section.js';
import { layerIndex, state, watch } from './state.js';
import { explain } from './tooltip.js';

/* ---- which image ---- */

const pickable = () => data.runs.find((run) => run.network.activations);
const labelOf = (run, image) => run.classNames[image.label] ?? `class ${image.label}`;

function picker(run) {
    return radioGroup('Test image', 'pick', 'picks', run.network.activations.images.map((image, i) => [i,
        { class: 'pick', 'aria-label': `${labelOf(run, image)}, test image ${image.position}` },
        imageCanvas(run, image.position, labelOf(run, image)), el('span', {}, labelOf(run, image))]));
}

/* ---- what the net predicts ---- */

function softmax(logits) {
    const most = Math.max(...logits), e = Array.from(logits, (v) => Math.exp(v - most)), sum = e.reduce((a, b) => a + b, 0);
    return e.map((v) => v / sum);
}

async function answer(run, pick) {
    const { logits, images } = run.network.activations, classes = logits.shape[1];
    const p = softmax((await unpack(logits)).subarray(pick * classes, (pick + 1) * classes));
    const top = p.map((v, c) => [v, c]).sort((a, b) => b[0] - a[0]).slice(0, 4);
    const truth = images[pick].label;
    return el('div', { class: 'answer' }, top.map(([v, c]) => el('div', { class: c === truth ? 'truth' : null },
        el('span', {}, run.classNames[c], c === truth ? ' ✓' : ''), el('span', { class: 'meter' }, el('i', { style: { width: percent(v, 1).replace(' ', '') } })), el('span', { class: 'n' }, percent(v, 1)))));
}

/* ---- maps ---- */

function paint(canvas, values, from, count, h, w, across) {
    const context = canvas.getContext('2d'), rows = Math.ceil(count / across);
    canvas.width = across * (w + 1) - 1;
    canvas.height = rows * (h + 1) - 1;
    const image = context.createImageData(canvas.width, canvas.height);
    for (let k = 0; k < count; k++)
        for (let y = 0; y < h; y++)
            for (let x = 0; x < w; x++) {
                const to = 4 * ((Math.floor(k / across) * (h + 1) + y) * canvas.width + k % across * (w + 1) + x), v = values[from + (k * h + y) * w + x];
                for (let c = 0; c < 3; c++) image.data[to + c] = pixelScale[3 * v + c];
                image.data[to + 3] = 255;
            }
    context.putImageData(image, 0, 0);
}

/** As many columns as fit, or fewer if that makes all rows full. */
function evenly(count, fit) {
    for (let n = Math.min(count, fit); n > fit / 2; n--) if (count % n === 0) return n;
    return Math.min(count, fit);
}

/** Tiles have about the same size in every layer, whatever their resolution. */
function layerRow(layer, width) {
    const [, count, h, w] = layer.data.shape;
    const tile = width < 560 ? 36 : 52;
    const across = evenly(count, Math.max(1, Math.floor((width + 1) / (tile + 2))));
    const canvas = el('canvas', { class: 'maps', role: 'img', 'aria-label': `${count} of ${layer.total} channels of ${layer.name}` });
    canvas.style.width = `${across * (tile + 2)}px`;
    const channelAt = (event) => {
        const r = canvas.getBoundingClientRect();
        const k = Math.floor((event.clientY - r.top) / r.height * Math.ceil(count / across)) * across + Math.floor((event.clientX - r.left) / r.width * across);
        return k < count ? layer.channel[k] : null;
    };
    let at = null;
    canvas.addEventListener('pointermove', (event) => { at = channelAt(event); });
    explain(canvas, () => [layer.name, at === null ? '' : `channel ${at}`, `dark ${fixed(layer.low, 2)}, bright ${fixed(layer.high, 2)}`]);
    const draw = async () => {
        const values = await unpack(layer.data);
        paint(canvas, values, state.pick * count * h * w, count, h, w, across);
    };
    return { draw, width: across * (tile + 2), node: el('div', { class: 'layer-row', 'data-layer': layer.name },
        el('h4', {}, layer.name, el('small', {}, ` ${h} × ${w}, ${count < layer.total ? `${count} of ${layer.total}` : count} channels`)), canvas) };
}

function column(run) {
    const { layers, images } = run.network.activations;
    const head = el('div', { class: 'picked' }), body = el('div', { class: 'layer-rows' });
    let rows = [];
    const draw = async () => {
        const image = images[state.pick];
        rows.forEach((row) => row.draw());
        head.replaceChildren(imageCanvas(run, image.position, labelOf(run, image)), await answer(run, state.pick));
    };
    const mark = () => {
        const now = layerIndex(layers.map((layer) => layer.name));
        rows.forEach((row, i) => row.node.classList.toggle('now', i === now));
    };
    const closes = [watch(['pick'], draw), watch(['depth'], mark)];
    const ready = () => {
        rows = layers.map((layer) => layerRow(layer, body.clientWidth - 16));
        body.style.gridTemplateColumns = `repeat(auto-fill, minmax(min(100%, ${Math.max(...rows.map((row) => row.width)) + 19}px), 1fr))`;
        body.replaceChildren(...rows.map((row) => row.node));
        draw();
        mark();
    };
    let last = 0;
    const watcher = new ResizeObserver(() => { if (Math.abs(body.clientWidth - last) > 20) { last = body.clientWidth; ready(); } });
    watcher.observe(body);
    return { node: el('div', {}, head, body), close: () => { closes.forEach((close) => close()); watcher.disconnect(); } };
}

export function activations() {
    const run = pickable();
    if (!run) return null;
    return section('activations', 'An image on its way through the net', 'Pick a test image. Every tile is one channel of a layer: dark is 0, bright is strong. All images share one scale per layer.',
        picker(run), columns((r) => r.network.activations, column, 'The images of the runs shown could not be opened.'));
}
