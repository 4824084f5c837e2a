// chart.js -- a line chart with a cursor that pointer and arrow keys move.
import { axisBottom, axisLeft } from 'd3-axis';
import { scaleLinear } from 'd3-scale';
import { select } from 'd3-selection';
import { line } from 'd3-shape';
import { el, onWidth, svg } from './dom.js';
import { hideTooltip, showTooltip } from './tooltip.js';

const MARGIN = { top: 12, right: 14, bottom: 40, left: 52 };
const HEIGHT = 260;

/** The point of a series with a single point, which is not enough for a line. */
function only(s) {
    const known = s.points.filter(([, y]) => y !== null);
    return known.length === 1 ? known : [];
}

/** Hollow if the line of the series is dashed, and larger, so that it is visible around a full dot. */
const dot = (s, cx, cy) => svg('circle', { cx, cy, r: s.dash ? 4.5 : 3, fill: s.dash ? 'none' : s.colour, stroke: s.colour, 'stroke-width': 1.5 });

/** About `count` ticks at whole numbers between the first and the last point: x is a count. */
const whole = (x, count, xs) => x.ticks(count).filter((v) => Number.isInteger(v) && v >= xs[0] && v <= xs.at(-1));

/** series: [{name, colour, dash, thin, points: [[x, y], ..]}]; x is a whole number, y may be null. */
export function lineChart({ title, series, xTitle, yTitle, yFormat, xFormat = String }) {
    const node = el('figure', { class: 'chart' }, el('figcaption', {}, title));
    const holder = el('div', { class: 'plot' });
    node.append(holder, legend(series));
    onWidth(holder, (width) => holder.replaceChildren(draw(width)));
    return node;

    function draw(width) {
        const known = series.flatMap((s) => s.points.filter(([, y]) => y !== null));
        const xs = [...new Set(known.map(([x]) => x))].sort((a, b) => a - b);
        const ys = known.map(([, y]) => y);
        const alone = xs.length > 1 ? 0 : 1; // a single x goes to the middle
        const x = scaleLinear([xs[0] - alone, xs.at(-1) + alone], [MARGIN.left, width - MARGIN.right]);
        const y = scaleLinear([Math.min(...ys), Math.max(...ys)], [HEIGHT - MARGIN.bottom, MARGIN.top]).nice(5);
        const path = line().defined(([, v]) => v !== null).x(([v]) => x(v)).y(([, v]) => y(v));
        const cursor = svg('line', { class: 'cursor', y1: MARGIN.top, y2: HEIGHT - MARGIN.bottom, visibility: 'hidden' });
        const picture = svg('svg', { width, height: HEIGHT, tabindex: 0, role: 'img', 'aria-label': `${title}; arrow keys read the values` },
            axes(x, y, width, xs),
            series.map((s) => svg('path', { class: 'series', d: path(s.points), stroke: s.colour, 'stroke-dasharray': s.dash, 'stroke-width': s.thin ? 1.2 : 2 })),
            series.map((s) => only(s).map(([px, py]) => dot(s, x(px), y(py)))),
            cursor);
        reading(picture, cursor, xs, x);
        return picture;
    }

    function axes(x, y, width, xs) {
        const bottom = svg('g', { class: 'axis', transform: `translate(0,${HEIGHT - MARGIN.bottom})` });
        const left = svg('g', { class: 'axis grid', transform: `translate(${MARGIN.left},0)` });
        select(bottom).call(axisBottom(x).tickValues(whole(x, Math.min(8, width / 60), xs)).tickFormat(xFormat));
        select(left).call(axisLeft(y).ticks(5).tickFormat(yFormat).tickSize(-(width - MARGIN.left - MARGIN.right)));
        return [left, bottom,
                svg('text', { class: 'axis-title', x: width - MARGIN.right, y: HEIGHT - 6, 'text-anchor': 'end' }, xTitle),
                yTitle && svg('text', { class: 'axis-title', x: 4, y: MARGIN.top - 2 }, yTitle)];
    }

    /** Moves the cursor, and shows the values at the nearest x. */
    function reading(picture, cursor, xs, x) {
        let at = xs.length - 1;
        const show = (index) => {
            at = Math.min(xs.length - 1, Math.max(0, index));
            const box = picture.getBoundingClientRect();
            cursor.setAttribute('x1', x(xs[at]));
            cursor.setAttribute('x2', x(xs[at]));
            cursor.setAttribute('visibility', 'visible');
            const values = series.map((s) => [s, s.points.find(([v]) => v === xs[at])?.[1]]).filter(([, v]) => v !== undefined && v !== null);
            showTooltip(box.left + x(xs[at]), box.top + MARGIN.top,
                [`${xTitle} ${xFormat(xs[at])}`, ...values.map(([s, v]) => el('span', {}, keyLine(s), `${s.name}: ${yFormat(v)}`))]);
        };
        const hide = () => { cursor.setAttribute('visibility', 'hidden'); hideTooltip(); };
        picture.addEventListener('pointermove', (event) => {
            const v = x.invert(event.clientX - picture.getBoundingClientRect().left);
            show(xs.reduce((best, candidate, i) => (Math.abs(candidate - v) < Math.abs(xs[best] - v) ? i : best), 0));
        });
        picture.addEventListener('pointerleave', hide);
        picture.addEventListener('focus', () => { if (picture.matches(':focus-visible')) show(at); });
        picture.addEventListener('blur', hide);
        picture.addEventListener('keydown', (event) => {
            const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: xs.length - 1 }[event.key];
            if (to === undefined) return;
            event.preventDefault();
            show(to);
        });
    }
}

const keyLine = (s) => svg('svg', { class: 'key-line', width: 24, height: 10, 'aria-hidden': true },
    svg('line', { x1: 0, x2: 24, y1: 5, y2: 5, stroke: s.colour, 'stroke-dasharray': s.dash, 'stroke-width': s.thin ? 1.2 : 2.5 }), only(s).map(() => dot(s, 12, 5)));

export const legend = (series) => el('p', { class: 'legend' }, series.map((s) => el('span', {}, keyLine(s), s.name)));
