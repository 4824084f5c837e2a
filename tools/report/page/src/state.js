// state.js -- what the reader has chosen. Sections draw it, and watch it for changes.
import { data, graphAt } from './data.js';

const listeners = new Set();

const analyzed = data.runs.filter((run) => run.graphs.length);
/** The slider steps through the layers of this run: the analyzed run with the most layers. */
export const reference = analyzed.reduce((best, run) => (!best || layersOf(run).length > layersOf(best).length ? run : best),
                                         null);
export const epochs = [...new Set(data.runs.flatMap((run) => run.epochs.map((graph) => graph.epoch)))].sort((a, b) => a - b);

export const state = {
    depth: 0,                                             // of the reference run's layers
    epoch: null,                                          // null: best checkpoint
    shown: new Set(data.runs.slice(0, 2).map((run) => run.index)), // runs in the columns
    pick: 0,                                              // test image in the activations
    classes: null,                                        // Set of classes in the rings; null: all
};

export function layersOf(run) {
    return graphAt(run, null)?.layers ?? [];
}

/** The layer of a run that belongs to state.depth: the one of the same name, or else the one at the same relative depth. */
export function layerIndex(names) {
    if (!names.length) return -1;
    const all = reference ? layersOf(reference) : [];
    const at = names.indexOf(all[state.depth]?.name);
    return at >= 0 ? at : Math.round(state.depth / Math.max(1, all.length - 1) * (names.length - 1));
}

/** Sets fields of state, and calls whoever watches one that changed. */
export function change(fields) {
    const changed = Object.keys(fields).filter((key) => state[key] !== fields[key]);
    if (!changed.length) return;
    Object.assign(state, fields);
    for (const [keys, call] of [...listeners]) if (keys.some((key) => changed.includes(key))) call(changed);
}

/** Calls `call` after changes of the named fields ("theme": the colours). Returns a function that ends this. */
export function watch(keys, call) {
    const entry = [keys, call];
    listeners.add(entry);
    return () => listeners.delete(entry);
}

export function goTo(depth) {
    const last = reference ? layersOf(reference).length - 1 : 0;
    change({ depth: Math.min(last, Math.max(0, depth)) });
}

/** Selects the layer of that name, if the analysis has it. */
export function goToName(name) {
    const depth = reference ? layersOf(reference).findIndex((layer) => layer.name === name) : -1;
    if (depth >= 0) goTo(depth);
}
