// overview.js -- a table with a line for each run.
import { data } from './data.js';
import { el, tableHead } from './dom.js';
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

const head = ['run', 'net', 'best test accuracy', 'epochs', 'parameters', 'multiplications', 'time per image'];

/** On a narrow page a run is a block of lines, and each cell shows the title of its column (data-title). */
function row(run) {
    const numbers = [percent(bestAccuracy(run)), `${run.history.metrics.length}`, integer(run.net.params), short(run.net.macs), duration(time(run))];
    return el('tr', {},
        el('th', { scope: 'row' }, el('span', { class: 'swatch', style: { background: runColour(run) } }), run.name),
        el('td', { 'data-title': head[1] }, what(run)),
        numbers.map((text, i) => el('td', { class: 'n', 'data-title': head[i + 2] }, text)));
}

export function overview() {
    const batches = [...new Set(data.runs.map((run) => run.net.batch))].join(' or ');
    return section('overview', data.runs.length > 1 ? 'The runs' : 'The run', null,
        el('div', { class: 'scroll' }, el('table', { class: 'stacked' },
            tableHead(head, (i) => i > 1),
            el('tbody', {}, data.runs.map(row)))),
        el('p', { class: 'note' }, `Time per image: the sum over the layers, in batches of ${batches}.`));
}
