// header.js -- title, contents, light or dark.
import { data } from './data.js';
import { el } from './dom.js';
import { change, state } from './state.js';

const root = document.documentElement;
const dark = () => (root.dataset.theme ? root.dataset.theme === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches);

/** Canvases read the colours when they are drawn, so they must be drawn again. */
const redraw = () => change({ theme: (state.theme ?? 0) + 1 });

function themeButton() {
    const button = el('button', { type: 'button', class: 'theme', onclick: () => {
        root.dataset.theme = dark() ? 'light' : 'dark';
        label();
        redraw();
    } });
    const label = () => {
        button.textContent = dark() ? '☀' : '☾';
        button.setAttribute('aria-label', dark() ? 'Light colours' : 'Dark colours');
    };
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => { label(); redraw(); });
    label();
    return button;
}

export function header(sections) {
    const links = sections.map((s) => el('a', { href: `#${s.id}` }, s.querySelector('h2').textContent));
    const names = data.runs.map((run) => run.name);
    document.title = `${names[0]}${names.length > 1 ? ` and ${names.length - 1} more` : ''} · Cleave report`;
    return [el('div', { class: 'title' }, el('h1', {}, 'Cleave report'), el('p', { class: 'made' }, `made ${data.made}`), themeButton()),
            el('nav', { 'aria-label': 'Contents' }, links)];
}
