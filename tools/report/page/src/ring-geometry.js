// ring-geometry.js -- the place of each vertex on the circle, and the edge under the pointer. The same layout as in
// graph/ring.c: clockwise from the top, class by class, a tenth of the circle for the gaps; edges are cubic curves bent
// towards the centre.

const TURN = 2 * Math.PI;
const KEEP = 0.55;      // the radius of the control points
const STEPS = 14;       // a curve is this many straight lines when looking for the edge under the pointer

/** label: the class of each vertex. Places on the unit circle, y downwards. */
export function layout(label, classes) {
    const count = new Array(classes).fill(0);
    for (const c of label) count[c]++;
    const present = count.filter(Boolean).length;
    const gap = present > 1 ? 0.1 * TURN / present : 0;
    const step = (TURN - gap * present) / Math.max(1, label.length);
    const from = new Array(classes), to = new Array(classes);
    let at = -TURN / 4;
    for (let c = 0; c < classes; c++) {
        from[c] = at;
        to[c] = at + step * count[c];
        at = to[c] + (count[c] ? gap : 0);
    }
    const seen = new Array(classes).fill(0), n = label.length;
    const angle = new Float32Array(n), x = new Float32Array(n), y = new Float32Array(n);
    for (let v = 0; v < n; v++) {
        angle[v] = from[label[v]] + step * (seen[label[v]]++ + 0.5);
        x[v] = Math.cos(angle[v]);
        y[v] = Math.sin(angle[v]);
    }
    return { angle, x, y, from, to, count };
}

/** A point of the curve is near * A + far * B: the cubic with control points KEEP * A, KEEP * B. */
const near = [], far = [];
for (let k = 0; k <= STEPS; k++) {
    const t = k / STEPS, u = 1 - t;
    near.push(u * u * u + 3 * KEEP * u * u * t);
    far.push(t * t * t + 3 * KEEP * t * t * u);
}

/** The edge of `shown` (indices) that is nearest to (px, py); -1 if none is nearer than `reach`. */
export function nearest(edges, place, shown, px, py, reach) {
    let best = -1, least = reach * reach;
    for (const e of shown) {
        const i = edges.i[e], j = edges.j[e];
        const ax = place.x[i], ay = place.y[i], bx = place.x[j], by = place.y[j];
        let qx = ax, qy = ay;
        for (let k = 1; k <= STEPS; k++) {
            const rx = near[k] * ax + far[k] * bx, ry = near[k] * ay + far[k] * by;
            const dx = rx - qx, dy = ry - qy, length = dx * dx + dy * dy;
            let t = length ? ((px - qx) * dx + (py - qy) * dy) / length : 0;
            t = t < 0 ? 0 : t > 1 ? 1 : t;
            const ex = px - qx - t * dx, ey = py - qy - t * dy, d = ex * ex + ey * ey;
            if (d < least) { least = d; best = e; }
            qx = rx;
            qy = ry;
        }
    }
    return best;
}

/** The curve as an SVG path around (c, c). */
export function path(place, i, j, c, r) {
    const p = (v, share) => `${(c + r * share * place.x[v]).toFixed(1)},${(c + r * share * place.y[v]).toFixed(1)}`;
    return `M${p(i, 1)}C${p(i, KEEP)} ${p(j, KEEP)} ${p(j, 1)}`;
}

export { KEEP };
