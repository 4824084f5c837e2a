// pruning.js -- how cutting units changed cost, time and accuracy.
import { data } from './data.js';
import { el, tableHead } from './dom.js';
import { fixed, integer, percent, short } from './format.js';
import { runTitle, section } from './section.js';

const rows = [
    ['parameters', 'params', integer],
    ['multiplications per image', 'macs', (v) => short(v)],
    ['latency of one image, ms', 'latency_ms', (v) => fixed(v, 2)],
    ['images per second, in batches', 'images_per_s', integer],
];

const change = (before, after) => (before && Number.isFinite(after) ? `${after > before ? '+' : '−'}${(100 * Math.abs(after / before - 1)).toFixed(1)} %` : '–');

function costs(p) {
    return el('div', { class: 'scroll' }, el('table', { class: 'costs' },
        tableHead(['', 'before', 'after', 'change'], (i) => i > 0),
        el('tbody', {}, rows.map(([title, key, format]) => el('tr', {}, el('th', { scope: 'row' }, title),
            [p[`${key}_before`], p[`${key}_after`]].map((v) => el('td', { class: 'n' }, format(v))),
            el('td', { class: 'n' }, change(p[`${key}_before`], p[`${key}_after`])))))));
}

const steps = [['before the cut', 'accuracy_before'], ['right after the cut', 'accuracy_cut'], ['fine-tuned, best epoch', 'accuracy_after'], ['fine-tuned, last epoch', 'accuracy_last']];

function accuracies(p) {
    return el('div', { class: 'accuracies', role: 'list', 'aria-label': 'Test accuracy' }, steps.filter(([, key]) => Number.isFinite(p[key])).map(([title, key]) =>
        el('div', { role: 'listitem' }, el('span', {}, title), el('span', { class: 'meter' }, el('i', { style: { width: `${100 * p[key]}%` } })), el('b', { class: 'n' }, percent(p[key])))));
}

function one(run) {
    const p = run.history.prune;
    return el('div', {}, runTitle(run),
        el('p', { class: 'note' }, run.parent ? `Cut from ${run.parent.name}` : `Cut from ${p.parent}`, ` by ${p.metric === 'hand' ? 'hand' : p.metric === 'lu' ? 'Q' : 'M'}: `, p.removed.join(', ') || 'nothing', '.'),
        el('div', { class: 'pair' }, costs(p), accuracies(p)));
}

export function pruning() {
    const pruned = data.runs.filter((run) => run.history.prune);
    if (!pruned.length) return null;
    return section('pruning', 'Before and after pruning', null, pruned.map(one));
}
