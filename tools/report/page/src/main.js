// main.js -- puts the page together, from top to bottom.
import { activations } from './activations.js';
import { controls } from './controls.js';
import { data } from './data.js';
import { el } from './dom.js';
import { filters } from './filters.js';
import { header } from './header.js';
import { histograms } from './histogram.js';
import { learning } from './learning.js';
import { nets } from './net.js';
import { overview } from './overview.js';
import { provenance } from './provenance.js';
import { pruning } from './pruning.js';
import { rings } from './ring.js';
import { separation } from './separation.js';

const sections = [overview, nets, learning, separation, histograms, rings, filters, activations, pruning, provenance];
const main = document.getElementById('main');

if (typeof DecompressionStream === 'undefined') {
    main.replaceChildren(el('p', {}, 'This browser cannot unpack the data. Browsers from 2023 or later can.'));
} else {
    const bar = controls();
    if (bar) document.getElementById('controls').append(bar);
    main.replaceChildren();
    const made = [];
    for (const make of sections) {
        const part = make();
        if (!part) continue;
        main.append(part);
        made.push(part);
    }
    document.getElementById('top').append(...header(made));
    if (data.notes.length)
        main.prepend(el('div', { class: 'notes', role: 'note' }, data.notes.map((note) => el('p', {}, note))));
    root().dataset.ready = '';
}

function root() {
    return document.documentElement;
}
