// dom.js -- functions that make elements. Text is always a text node, so nothing in a run's files can become markup.

const SVG = 'http://www.w3.org/2000/svg';

function fill(node, attributes, children) {
    for (const [name, value] of Object.entries(attributes)) {
        if (value === undefined || value === null) continue;
        if (name.startsWith('aria-')) node.setAttribute(name, value); // its values are the words "true" and "false"
        else if (value === false) continue;
        else if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
        else if (name === 'style') for (const [key, v] of Object.entries(value)) node.style.setProperty(key, v);
        else node.setAttribute(name, value === true ? '' : value);
    }
    node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
    return node;
}

export const el = (tag, attributes = {}, ...children) => fill(document.createElement(tag), attributes, children);
export const svg = (tag, attributes = {}, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);

/** The head of a table; isNumber(i): column i holds numbers. */
export const tableHead = (titles, isNumber) => el('thead', {}, el('tr', {},
    titles.map((title, i) => el('th', { scope: 'col', class: isNumber(i) ? 'n' : null }, title))));

/** Calls draw(width) now, and whenever the width of the element changes. */
export function onWidth(element, draw) {
    let last = 0;
    const measure = () => {
        const width = Math.floor(element.clientWidth);
        if (width === last || !width) return;
        last = width;
        draw(width);
    };
    new ResizeObserver(measure).observe(element);
    measure();
}

/** Calls at most once per frame, with the last arguments. */
export function perFrame(call) {
    let waiting = null;
    return (...args) => {
        if (!waiting) requestAnimationFrame(() => { const now = waiting; waiting = null; call(...now); });
        waiting = args;
    };
}

export const reducedMotion = () => matchMedia('(prefers-reduced-motion: reduce)').matches;

let ids = 0;
export const uniqueId = (name) => `${name}-${++ids}`;
