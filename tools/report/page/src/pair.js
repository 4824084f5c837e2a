// pair.js -- the two images that an edge joins.
import { imageCanvas } from './atlas.js';
import { el } from './dom.js';
import { integer } from './format.js';

export class Pair {
    constructor(run) {
        this.run = run;
        this.node = el('div', { class: 'pair-box', 'aria-live': 'polite' });
        this.clear();
    }

    clear() {
        this.key = null;
        this.node.replaceChildren(el('p', { class: 'hint' }, 'Point at an edge to see its two images. With the keyboard: focus a ring, then ← → move along the edges, ↑ ↓ along the layers.'));
    }

    show(graph, images, labels, edges, e, layer) {
        const key = `${layer}/${e}`;
        if (key === this.key) return;
        this.key = key;
        const one = (v) => {
            const name = this.run.classNames[labels[v]];
            return el('figure', {}, imageCanvas(this.run, images[v], name), el('figcaption', {}, el('b', {}, name), el('small', {}, `test image ${images[v]}`)));
        };
        const i = edges.i[e], j = edges.j[e], same = labels[i] === labels[j];
        const rank = Math.floor(e * edges.total / edges.n) + 1;
        this.node.replaceChildren(one(i), one(j), el('div', { class: 'verdict' },
            el('b', { class: same ? 'correct' : 'wrong' }, same ? '● one class: correct' : '▲ two classes: wrong'),
            el('div', {}, 'similarity ', el('b', { class: 'sim' }, edges.sim[e].toFixed(4))),
            el('div', {}, `number ${integer(rank)} by similarity, of ${integer(edges.total)} at ${layer}`)));
    }
}
