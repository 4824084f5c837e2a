// filters.js -- the weights of the first convolution as small pictures, in colour or grey; grey is 0.
import { unpack } from './data.js';
import { el } from './dom.js';
import { columns, section } from './section.js';
import { explain } from './tooltip.js';

/** One filter [C, R, R] of C = 3 colours or C = 1 gray, scaled so that its largest weight is brightest. */
function picture(weights, channels, side, number) {
    const canvas = el('canvas', { width: side, height: side, class: 'filter', role: 'img', 'aria-label': `filter ${number}` });
    const context = canvas.getContext('2d'), image = context.createImageData(side, side);
    const most = Math.max(1e-12, ...weights.map(Math.abs));
    for (let p = 0; p < side * side; p++) {
        for (let c = 0; c < 3; c++) image.data[4 * p + c] = 127.5 + 127.5 * weights[c % channels * side * side + p] / most;
        image.data[4 * p + 3] = 255;
    }
    context.putImageData(image, 0, 0);
    explain(canvas, () => [`filter ${number}`, `largest weight ${most.toFixed(3)}`]);
    return canvas;
}

function column(run) {
    const { name, weight } = run.network.filters, [k, channels, side] = weight.shape, size = channels * side * side;
    const grid = el('div', { class: 'filters' });
    unpack(weight).then((values) => {
        for (let i = 0; i < k; i++) grid.append(picture(values.slice(i * size, (i + 1) * size), channels, side, i));
    });
    return { node: el('div', {}, grid, el('p', { class: 'note' }, `${name}: ${k} filters of ${side} × ${side} pixels${channels === 3 ? ' in three colours' : ', gray'}.`)) };
}

export function filters() {
    return section('filters', 'First-layer filters', 'When a net has learnt, its filters look for edges, spots and opposite colours. A noisy or flat filter has learnt little.',
        columns((run) => [1, 3].includes(run.network.filters?.weight.shape[1]), column, 'None of the runs shown begins with a convolution of images.'));
}
