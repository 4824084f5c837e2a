// colours.js -- colours that colour-blind readers can tell apart [Okabe08]. No meaning depends on colour alone: a shape, a
// dash, a place or a word shows it, too.
import { interpolateCividis, interpolateViridis } from 'd3-scale-chromatic';

const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

export const ink = () => css('--ink');
export const correct = () => css('--correct');
export const wrong = () => css('--wrong');

const runs = ['--run-0', '--run-1', '--run-2', '--run-3', '--run-4', '--run-5'];
export const runColour = (run) => `var(${runs[run.index % runs.length]})`;
export const runDash = (run) => (run.index < runs.length ? null : '6 3');

/** Neighbours on the ring differ in lightness as well as in hue. No class has the colour of wrong edges. */
const classes = ['#0072b2', '#e69f00', '#009e73', '#cc79a7', '#56b4e9', '#b8860b', '#7a5195', '#c51b8a', '#5b8c3e', '#8a8f98'];
export const classColour = (c) => classes[c % classes.length];

export const heat = (t) => interpolateCividis(Math.min(1, Math.max(0, t)));

/** RGB for each of 256 values of a pixel. */
export const pixelScale = (() => {
    const table = new Uint8Array(256 * 3);
    for (let i = 0; i < 256; i++) {
        const hex = interpolateViridis(i / 255);
        for (let c = 0; c < 3; c++) table[3 * i + c] = parseInt(hex.slice(1 + 2 * c, 3 + 2 * c), 16);
    }
    return table;
})();

/** [r, g, b], each 0 to 1, of "#rrggbb". */
export const rgb = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16) / 255);
