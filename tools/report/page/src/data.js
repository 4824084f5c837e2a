// data.js -- the data that tools/report/collect.c put into the page. Blobs stay packed until they are needed.

const types = { u8: Uint8Array, u16: Uint16Array, u32: Uint32Array, f32: Float32Array };
const unpacked = new WeakMap();

export const data = JSON.parse(document.getElementById('data').textContent);

function bytes(base64) {
    const text = atob(base64);
    const out = new Uint8Array(text.length);
    for (let i = 0; i < text.length; i++) out[i] = text.charCodeAt(i);
    return out;
}

async function inflate(blob) {
    const packed = new Blob([bytes(blob.deflate)]).stream().pipeThrough(new DecompressionStream('deflate'));
    return new types[blob.type](await new Response(packed).arrayBuffer());
}

/** A promise of a blob's values as a typed array; the same promise each time. */
export function unpack(blob) {
    if (!unpacked.has(blob)) unpacked.set(blob, inflate(blob));
    return unpacked.get(blob);
}

/** A layer's edges: {n, total, i, j, sim}, by descending similarity. tools/report/analyses.c packs them. */
export async function unpackEdges(graph) {
    if (!unpacked.has(graph)) unpacked.set(graph, (async () => {
        const [i, j, drop] = await Promise.all([unpack(graph.i), unpack(graph.j), unpack(graph.drop)]);
        const sim = new Float32Array(drop.length);
        let level = 65535;
        for (let k = 0; k < sim.length; k++) {
            level -= drop[k];
            sim[k] = graph.low + (graph.high - graph.low) * level / 65535;
        }
        return { n: i.length, total: graph.total, i, j, sim };
    })());
    return unpacked.get(graph);
}

/* ---- runs, and which was pruned from which ---- */

const folder = (checkpoint) => (checkpoint ?? '').split('/').slice(-2, -1)[0];

data.runs.forEach((run, index) => {
    run.index = index;
    run.net = run.network.net;
    run.best = run.graphs.find((graph) => graph.epoch === null) ?? null;
    run.epochs = run.graphs.filter((graph) => graph.epoch !== null);
    run.classNames = data.images[run.images]?.classes ?? Array.from({ length: run.classes }, (_, c) => `class ${c}`);
});
for (const run of data.runs) {
    run.parent = data.runs.find((other) => other !== run && other.name === folder(run.history.prune?.parent)) ?? null;
    run.children = [];
}
for (const run of data.runs) run.parent?.children.push(run);

/** The decisions on each unit: those of each run in this report that was pruned from this one. If there is none, the
 *  criterion's decisions with the run's own settings. */
export function allDecisions(run) {
    if (!run.children.length && run.network.decisions)
        return [{ ...run.network.decisions, source: 'what prune would do with the settings of this run' }];
    return run.children.map((child) => ({ ...child.history.prune, source: `as ${child.name} was pruned` }));
}

/** The decisions that drawings show. */
export const decisionsOf = (run) => allDecisions(run)[0] ?? null;

/** The analysis of a run at an epoch (null: of the best checkpoint), or the nearest earlier one. */
export function graphAt(run, epoch) {
    if (epoch === null) return run.best ?? run.epochs.at(-1) ?? null;
    return run.epochs.filter((graph) => graph.epoch <= epoch).at(-1) ?? run.best;
}
