// learning.js -- accuracy and loss over the epochs, all runs in one picture.
import { lineChart } from './chart.js';
import { runColour } from './colours.js';
import { data } from './data.js';
import { el } from './dom.js';
import { fixed, percent } from './format.js';
import { section } from './section.js';

const kinds = [['test', null, false], ['train', '3 3', true]];

/** Epochs count from 1 in the picture, from 0 in the files. */
function series(what) {
    const trained = data.runs.filter((run) => run.history.metrics.length);
    return trained.flatMap((run) => kinds.map(([kind, dash, thin]) => ({
        name: trained.length > 1 ? `${run.name}, ${kind}` : kind,
        colour: runColour(run), dash, thin,
        points: run.history.metrics.map((m) => [m.epoch + 1, m[`${kind}_${what}`]]),
    })));
}

export function learning() {
    if (!data.runs.some((run) => run.history.metrics.length)) return null;
    const short = data.runs.some((run) => run.history.metrics.length === 1) ? ' A run of a single epoch has a full dot for test images, a hollow one for training images.' : '';
    return section('learning', 'Learning curves', `Solid: test images. Dashed: training images, as augmented for training.${short}`,
        el('div', { class: 'pair' },
            lineChart({ title: 'Accuracy', series: series('accuracy'), xTitle: 'epoch', yFormat: (v) => percent(v, 0) === '–' ? '' : percent(v, v === Math.round(v * 100) / 100 ? 0 : 2) }),
            lineChart({ title: 'Loss', series: series('loss'), xTitle: 'epoch', yFormat: (v) => fixed(v, v < 10 ? 2 : 0) })));
}
