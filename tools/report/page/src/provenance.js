// provenance.js -- where the numbers come from: commit, machine, command, configuration.
import { data } from './data.js';
import { el } from './dom.js';
import { runTitle, section } from './section.js';

const fields = [['commit', 'commit'], ['device', 'device'], ['cpu', 'processor'], ['os', 'system'], ['compiler', 'compiler'], ['started', 'started']];

function one(run) {
    const env = run.history.environment ?? {};
    const command = Array.isArray(env.command) ? env.command.join(' ') : '';
    return el('div', {}, runTitle(run), el('dl', {},
        fields.filter(([key]) => env[key]).flatMap(([key, title]) => [el('dt', {}, title), el('dd', {}, String(env[key]))]),
        el('dt', {}, 'state'), el('dd', {}, run.history.status?.state ?? 'unknown'),
        command && [el('dt', {}, 'command'), el('dd', {}, el('code', {}, command))],
        el('dt', {}, 'directory'), el('dd', {}, el('code', {}, run.path))),
        el('details', {}, el('summary', {}, 'Configuration'), el('pre', {}, run.history.config)));
}

export function provenance() {
    return section('provenance', 'Where the numbers come from', null, el('div', { class: 'columns' }, data.runs.map(one)));
}
