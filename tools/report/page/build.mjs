// build.mjs OUT.html -- bundles src/ and style.css into one HTML file that needs nothing else.
//
// The file's content security policy allows only this script (by its hash), and only data that the file itself holds. So
// nothing in a run's files can become code, and nothing is loaded from a network.
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

// The packages are in the build directory. require() finds them by NODE_PATH; import would not.
const { build } = createRequire(import.meta.url)('esbuild');

const here = dirname(fileURLToPath(import.meta.url));
const out = process.argv[2];
if (!out) throw new Error('usage: node build.mjs OUT.html');

const bundle = (entry, options) =>
    build({ entryPoints: [join(here, entry)], bundle: true, minify: true, write: false, legalComments: 'inline',
            logLevel: 'warning',
            nodePaths: [resolve(process.env.NODE_PATH ?? 'node_modules')], ...options })
        .then((result) => result.outputFiles[0].text);

const script = await bundle('src/main.js', { format: 'iife', target: 'es2021', charset: 'utf8' });
const style = await bundle('style.css', {});
const code = '\n' + script.replaceAll('</script', '<\\/script');
const hash = createHash('sha256').update(code).digest('base64');
const policy = `default-src 'none'; script-src 'sha256-${hash}'; style-src 'unsafe-inline'; img-src data: blob:`;

// Functions, because "$" has a meaning in a replacement string.
const page = readFileSync(join(here, 'page.html'), 'utf8')
    .replace('{{policy}}', () => policy)
    .replace('{{style}}', () => style)
    .replace('{{script}}', () => code);
writeFileSync(out, page);
