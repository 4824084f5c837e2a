// overview.js -- every run in a line.
import { data } from './data.js';
import { el } from './dom.js';
import { runColour } from './colours.js';
import { duration, integer, percent, short } from './format.js';
import { section } from './section.js';

const bestAccuracy = (run) => run.history.status?.best_accuracy ?? null;

function what(run) {
    const cut = run.net.removed.length;
    if (!cut) return run.net.arch;
    return `${run.net.arch} without ${cut} unit${cut > 1 ? 's' : ''}${run.parent ? '' : ', cut from a run that is not in this report'}`;
}

const time = (run) => run.net.layers.reduce((sum, layer) => sum + layer.us, 0);

function row(run) {
    const h = run.history;
    return el('tr', {},
        el('th', { scope: 'row' }, el('span', { class: 'swatch', style: { background: runColour(run) } }), run.name),
        el('td', {}, what(run)),
        el('td', { class: 'n' }, percent(bestAccuracy(run))),
        el('td', { class: 'n' }, `${h.metrics.length}`),
        el('td', { class: 'n' }, integer(run.net.params)),
        el('td', { class: 'n' }, short(run.net.macs)),
        el('td', { class: 'n' }, duration(time(run))));
}

export function overview() {
    const head = ['run', 'net', 'best test accuracy', 'epochs', 'parameters', 'multiplications', 'time an image'];
    return section('overview', data.runs.length > 1 ? 'The runs' : 'The run', null,
        el('div', { class: 'scroll' }, el('table', {},
            el('thead', {}, el('tr', {}, head.map((text, i) => el('th', { scope: 'col', class: i > 1 ? 'n' : null }, text)))),
            el('tbody', {}, data.runs.map(row)))));
}
