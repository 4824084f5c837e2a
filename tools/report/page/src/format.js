// format.js -- numbers as text. null, undefined and NaN mean "not measured" and become a dash.

const known = (x) => typeof x === 'number' && Number.isFinite(x);
const or = (x, format) => (known(x) ? format(x) : '–');

export const integer = (x) => or(x, (v) => Math.round(v).toLocaleString('en'));
export const percent = (x, digits = 2) => or(x, (v) => `${(100 * v).toFixed(digits)} %`);
export const fixed = (x, digits = 4) => or(x, (v) => v.toFixed(digits));
export const signed = (x, digits = 4) => or(x, (v) => `${v < 0 ? '−' : '+'}${Math.abs(v).toFixed(digits)}`);

/** 2.36 M, 432, 41.2 k */
export function short(x) {
    return or(x, (v) => {
        const [factor, unit] = Math.abs(v) >= 1e9 ? [1e9, ' G'] : Math.abs(v) >= 1e6 ? [1e6, ' M']
            : Math.abs(v) >= 1e4 ? [1e3, ' k'] : [1, ''];
        return factor === 1 ? integer(v) : `${(v / factor).toPrecision(3)}${unit}`;
    });
}

/** microseconds */
export const duration = (us) => or(us, (v) => (v >= 1000 ? `${(v / 1000).toPrecision(3)} ms` : `${v.toPrecision(3)} µs`));

export const shape = ([c, h, w]) => (h === 1 && w === 1 ? `${c}` : `${c} × ${h} × ${w}`);
