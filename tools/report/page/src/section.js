// section.js -- a section of the page: a heading, a lead, its contents; and columns, one for each run that is shown.
import { data } from './data.js';
import { el } from './dom.js';
import { runColour } from './colours.js';
import { state, watch } from './state.js';

export function section(id, title, lead, ...children) {
    return el('section', { id, 'aria-labelledby': `${id}-title` },
              el('h2', { id: `${id}-title` }, title), lead && el('p', { class: 'lead' }, lead), ...children);
}

export const runTitle = (run) => el('h3', { class: 'run' }, el('span', { class: 'swatch', style: { background: runColour(run) } }),
                                    run.name);

/** A column for each shown run that `wanted` accepts. make(run) returns {node, close, ready}; columns are made again when other
 *  runs are shown. */
export function columns(wanted, make, empty) {
    const node = el('div', { class: 'columns' });
    let made = [];
    const draw = () => {
        for (const column of made) column.close?.();
        const runs = data.runs.filter((run) => state.shown.has(run.index) && wanted(run));
        node.replaceChildren();
        made = runs.map((run) => {
            const column = make(run);
            node.append(el('div', { class: 'column' }, data.runs.length > 1 && runTitle(run), column.node));
            column.ready?.();
            return column;
        });
        if (!runs.length) node.append(el('p', { class: 'empty' }, empty));
    };
    watch(['shown'], draw);
    draw();
    return node;
}
