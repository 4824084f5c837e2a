// controls.js -- the bar at the top of the window: which runs, which layer, which epoch.
import { data } from './data.js';
import { el, reducedMotion, uniqueId } from './dom.js';
import { runColour } from './colours.js';
import { change, epochs, goTo, layersOf, reference, state, watch } from './state.js';

function runButtons() {
    if (data.runs.length < 2) return null;
    const toggle = (run) => {
        const shown = new Set(state.shown);
        if (!shown.delete(run.index)) shown.add(run.index);
        if (shown.size) change({ shown });
    };
    const buttons = data.runs.map((run) => el('button', { class: 'chip', type: 'button', onclick: () => toggle(run) },
        el('span', { class: 'swatch', style: { background: runColour(run) } }), run.name));
    const mark = () => buttons.forEach((button, i) => button.setAttribute('aria-pressed', state.shown.has(i)));
    watch(['shown'], mark);
    mark();
    return el('div', { class: 'chips', role: 'group', 'aria-label': 'Runs side by side' }, buttons);
}

/** Buttons that set state[key] to a value each: [[value, attributes, ...children], ..]. Arrow keys choose, too. */
export function radioGroup(title, key, className, options) {
    const buttons = options.map(([value, attributes, ...children]) => el('button',
        { type: 'button', role: 'radio', onclick: () => change({ [key]: value }), ...attributes }, children));
    const node = el('div', { class: className, role: 'radiogroup', 'aria-label': title }, buttons);
    const chosen = () => options.findIndex(([value]) => value === state[key]);
    const mark = () => buttons.forEach((button, i) => {
        button.setAttribute('aria-checked', i === chosen());
        button.tabIndex = i === chosen() ? 0 : -1;
    });
    node.addEventListener('keydown', (event) => {
        const by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
        if (!by) return;
        event.preventDefault();
        change({ [key]: options[(chosen() + by + options.length) % options.length][0] });
        buttons[chosen()].focus();
    });
    watch([key], mark);
    mark();
    return node;
}

/** A slider whose stops have names. */
function slider(title, names, get, set, key) {
    const id = uniqueId('slider');
    const input = el('input', { id, type: 'range', min: 0, max: names.length - 1, step: 1, oninput: () => set(+input.value) });
    const output = el('output', { for: id });
    const mark = () => {
        input.value = get();
        input.setAttribute('aria-valuetext', names[get()]);
        output.replaceChildren(el('b', {}, names[get()]), ` ${get() + 1} / ${names.length}`);
    };
    watch([key], mark);
    mark();
    return el('div', { class: 'slider' }, el('label', { for: id }, title), input, output);
}

/** Steps through the layers once. A second press stops it. */
function playButton() {
    let timer = null;
    const button = el('button', { type: 'button', class: 'play', onclick: () => (timer ? stop() : start()) });
    const label = () => {
        button.textContent = timer ? '❚❚' : '▶';
        button.setAttribute('aria-label', timer ? 'Stop' : 'Play through the layers');
    };
    const last = () => layersOf(reference).length - 1;
    const step = () => (state.depth < last() ? goTo(state.depth + 1) : stop());
    function start() {
        if (state.depth === last()) goTo(0);
        timer = setInterval(step, reducedMotion() ? 2000 : 1100);
        label();
    }
    function stop() {
        clearInterval(timer);
        timer = null;
        label();
    }
    label();
    return button;
}

function layerSlider() {
    const names = layersOf(reference).map((layer) => layer.name);
    return slider('Layer', names, () => state.depth, goTo, 'depth');
}

function epochSlider() {
    if (!epochs.length) return null;
    const stops = [...epochs, null];
    const names = stops.map((epoch) => (epoch === null ? 'best checkpoint' : `epoch ${epoch}`));
    return slider('Epoch', names, () => stops.indexOf(state.epoch), (i) => change({ epoch: stops[i] }), 'epoch');
}

/** j and k select the next and previous layer, as in a pager. They work wherever the focus is, except in a text field. */
function keys(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName)) return;
    if (event.key === 'j') goTo(state.depth + 1);
    if (event.key === 'k') goTo(state.depth - 1);
}

export function controls() {
    addEventListener('keydown', keys);
    const parts = [runButtons(), reference && el('div', { class: 'sliders' }, playButton(), layerSlider(), epochSlider())];
    return parts.some(Boolean) ? el('div', { class: 'bar' }, parts) : null;
}
