// tooltip.js -- one box that explains what the pointer or the focus is on.
import { el } from './dom.js';

const box = document.getElementById('tooltip');

/** lines: strings or elements; the first one is a heading. x, y: in the window. */
export function showTooltip(x, y, [head, ...lines]) {
    box.replaceChildren(el('strong', {}, head), ...lines.map((line) => el('div', {}, line)));
    box.hidden = false;
    const { width, height } = box.getBoundingClientRect();
    box.style.left = `${Math.max(4, Math.min(x + 14, innerWidth - width - 4))}px`;
    box.style.top = `${y + 18 + height > innerHeight ? Math.max(4, y - height - 12) : y + 18}px`;
}

export function hideTooltip() {
    box.hidden = true;
}

/** Shows lines() while the pointer or the focus is on the element. */
export function explain(element, lines) {
    element.addEventListener('pointermove', (event) => showTooltip(event.clientX, event.clientY, lines()));
    element.addEventListener('pointerleave', hideTooltip);
    element.addEventListener('focus', () => {
        if (!element.matches(':focus-visible')) return;
        const r = element.getBoundingClientRect();
        showTooltip(r.left + r.width / 2, r.bottom, lines());
    });
    element.addEventListener('blur', hideTooltip);
}

addEventListener('keydown', (event) => { if (event.key === 'Escape') hideTooltip(); });
addEventListener('scroll', hideTooltip, { passive: true });
