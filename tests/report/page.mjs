// page.mjs REPORT.html [PART OF A CASE'S NAME] -- opens a report in a real browser and does what a reader does. For each case it
// prints "ok NAME" or "not ok NAME: why", which report.bats reads. CHROMIUM is the browser, NODE_PATH holds playwright-core.
import { createRequire } from 'node:module';
import { resolve } from 'node:path';
import assert from 'node:assert/strict';

const { chromium } = createRequire(import.meta.url)('playwright-core');
const file = resolve(process.argv[2]);
const shots = process.env.SHOTS; // a folder for pictures to look at

const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--use-angle=swiftshader', '--enable-unsafe-swiftshader'],
});

/** Runs in the page: hands its data to `change` before the page reads them. */
function rewrite(change) {
    const parse = JSON.parse;
    JSON.parse = (text, ...rest) => parse(text.includes?.('"runs"') ? change(text, parse) : text, ...rest);
}

/** Runs in the page: window.draws holds how many things each call to WebGL drew. */
function countDraws() {
    window.draws = [];
    for (const [name, at] of [['drawArrays', 2], ['drawElements', 1], ['drawArraysInstanced', 3], ['drawElementsInstanced', 4]]) {
        const draw = WebGL2RenderingContext.prototype[name];
        WebGL2RenderingContext.prototype[name] = function (...args) { window.draws.push(args[at]); return draw.apply(this, args); };
    }
}

/** The page of all cases that need nothing special, as it was when it was opened. */
let shared = null;
async function usual() {
    shared ??= await open();
    shared.said.length = 0;
    for (const depth of ['1', '0']) await layerSlider(shared).fill(depth); // so that nothing is selected
    const epoch = shared.getByRole('slider', { name: 'Epoch' });
    if (await epoch.count()) await epoch.fill(await epoch.getAttribute('max'));
    await shared.getByRole('radio', { name: 'all edges' }).click();
    await shared.getByRole('button', { name: 'all classes' }).click();
    await shared.locator('.pick').first().click();
    await untilRing(shared, (await layerNames(shared))[0]);
    return shared;
}

/** A new page with the report. page.said collects its errors, warnings and network requests. */
async function open({ width = 1280, scheme = 'light', gl = true, before, change } = {}) {
    const context = await browser.newContext({ viewport: { width, height: 900 }, colorScheme: scheme, offline: true, reducedMotion: 'reduce' });
    const page = await context.newPage();
    page.said = [];
    page.on('console', (message) => { if (/error|warning/.test(message.type())) page.said.push(`${message.type()}: ${message.text()}`); });
    page.on('pageerror', (error) => page.said.push(`exception: ${error.message}`));
    page.on('request', (request) => { if (!/^(file|data|blob):/.test(request.url())) page.said.push(`network: ${request.url()}`); });
    if (!gl) await page.addInitScript(() => {
        const get = HTMLCanvasElement.prototype.getContext;
        HTMLCanvasElement.prototype.getContext = function (kind, ...rest) { return kind === 'webgl2' ? null : get.call(this, kind, ...rest); };
    });
    if (before) await page.addInitScript(before);
    if (change) await page.addInitScript(`(${rewrite})(${change})`);
    await page.goto(`file://${file}`);
    await page.waitForSelector('html[data-ready]', { state: 'attached' });
    await page.waitForSelector('.ring-panel[data-layer]');
    return page;
}

const layerSlider = (page) => page.getByRole('slider', { name: 'Layer' });
const ringLayer = (page) => page.locator('.ring-panel').first().getAttribute('data-layer');
const untilRing = (page, name) => page.waitForSelector(`.ring-panel[data-layer="${name}"]`);
const layerNames = (page) => page.locator('#histograms .column').first().locator('.small-multiple').allInnerTexts();

/** Lit pixels of the first ring, and how blue and how orange they are. */
const pixels = (page) => page.evaluate(() => {
    const ring = document.querySelector('.ring canvas'), copy = document.createElement('canvas');
    copy.width = ring.width;
    copy.height = ring.height;
    const context = copy.getContext('2d');
    context.drawImage(ring, 0, 0);
    const { data } = context.getImageData(0, 0, copy.width, copy.height);
    let lit = 0, blue = 0, orange = 0;
    for (let i = 0; i < data.length; i += 4) {
        if (data[i + 3] < 8) continue;
        lit++;
        if (data[i + 2] > data[i] + 30) blue++;
        if (data[i] > data[i + 2] + 30) orange++;
    }
    return { lit, blue, orange };
});

async function hoverRing(page) {
    const ring = page.locator('.ring').first();
    await ring.scrollIntoViewIfNeeded();
    const box = await ring.boundingBox();
    for (let k = 0; k < 60; k++) { // moves outwards on a spiral until an edge is under the pointer
        const a = k * 0.9, r = box.width * (0.05 + 0.004 * k);
        await page.mouse.move(box.x + box.width / 2 + r * Math.cos(a), box.y + box.height / 2 + r * Math.sin(a));
        await page.waitForTimeout(30);
        if (await page.locator('.pair-box .sim').count()) return;
    }
    throw new Error('no edge under 60 places of the ring');
}

async function noOverflow(page) {
    const [width, room] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
    assert.ok(width <= room, `the page is ${width} pixels wide in a window of ${room}`);
}

const cases = {
    'opens from disk, offline, without a complaint': async () => {
        const page = shared = await open();
        for (const id of ['overview', 'net', 'learning', 'separation', 'histograms', 'rings', 'filters', 'activations', 'pruning', 'provenance'])
            assert.equal(await page.locator(`section#${id}`).count(), 1, `section ${id}`);
        assert.deepEqual(page.said, []);
    },
    'the layer slider moves ring, histogram, curve and net': async () => {
        const page = await usual(), names = await layerNames(page), last = names.at(-1);
        const bars = () => page.locator('#histograms rect.bar').evaluateAll((all) => all.slice(0, 10).map((bar) => bar.getAttribute('height')).join());
        const before = { bars: await bars(), ring: await pixels(page), lineAt: await page.locator('#separation line.now').first().getAttribute('x1') };
        assert.equal(await ringLayer(page), names[0]);
        await layerSlider(page).fill(String(names.length - 1));
        await untilRing(page, last);
        assert.notEqual(await bars(), before.bars);
        assert.notDeepEqual(await pixels(page), before.ring);
        assert.notEqual(await page.locator('#separation line.now').first().getAttribute('x1'), before.lineAt);
        assert.equal(await page.locator('.unit.now').first().getAttribute('data-unit'), last);
        assert.deepEqual(page.said, []);
    },
    'the whole net at once, and back': async () => {
        const page = await open({ width: 400 }), strip = page.locator('.strip').first(), button = page.getByRole('button', { name: 'whole net at once' }).first();
        const hidden = () => strip.evaluate((node) => node.scrollWidth - node.clientWidth);
        assert.ok(await hidden() > 100, 'the net fits already');
        await button.click();
        assert.equal(await hidden(), 0);
        await layerSlider(page).fill('3');
        assert.equal(await page.locator('.unit.now').first().getAttribute('data-unit'), (await layerNames(page))[3]);
        await button.click();
        assert.ok(await hidden() > 100);
    },
    'the epoch slider shows other graphs': async () => {
        const page = await usual();
        const slider = page.getByRole('slider', { name: 'Epoch' }), before = await page.locator('.ring-panel .note').first().innerText();
        await slider.fill('0');
        await page.waitForFunction((text) => document.querySelector('.ring-panel .note').innerText !== text, before);
        assert.match(await page.locator('.ring-panel .note').first().innerText(), /epoch \d/);
    },
    'pointing at an edge shows its two images and their similarity': async () => {
        const page = await usual();
        await hoverRing(page);
        assert.match(await page.locator('.pair-box .sim').first().innerText(), /^-?[01]\.\d{4}$/);
        await page.waitForFunction(() => document.querySelectorAll('.pair-box canvas[data-drawn]').length === 2);
        const bright = await page.locator('.pair-box canvas').first().evaluate((c) => c.getContext('2d').getImageData(0, 0, 32, 32).data.some((v, i) => i % 4 < 3 && v > 20));
        assert.ok(bright, 'the image is black');
        const names = await page.locator('.pair-box figcaption b').allInnerTexts(), verdict = await page.locator('.verdict b').first().innerText();
        assert.match(verdict, names[0] === names[1] ? /correct/ : /wrong/);
    },
    'the first edge of the keyboard is the most similar pair': async () => {
        const page = await usual();
        await page.locator('.ring').first().focus();
        await page.keyboard.press('ArrowRight');
        assert.match(await page.locator('.verdict').innerText(), /\nnumber 1 by similarity/);
        const first = +await page.locator('.pair-box .sim').innerText();
        await page.keyboard.press('ArrowRight');
        assert.ok(+await page.locator('.pair-box .sim').innerText() <= first);
        await page.keyboard.press('ArrowDown');
        await untilRing(page, (await layerNames(page))[1]);
    },
    'keyboard alone: slider, j and k, image, choices': async () => {
        const page = await usual(), names = await layerNames(page);
        await layerSlider(page).focus();
        await page.keyboard.press('ArrowRight');
        await untilRing(page, names[1]);
        await page.locator('body').press('j');
        await layerSlider(page).evaluate((input) => input.blur());
        await page.keyboard.press('j');
        await untilRing(page, names[2]);
        await page.keyboard.press('k');
        await untilRing(page, names[1]);
        await page.locator('.pick').first().focus();
        await page.keyboard.press('ArrowRight');
        assert.equal(await page.locator('.pick').nth(1).getAttribute('aria-checked'), 'true');
        await page.locator('.choice').first().focus();
        await page.keyboard.press('ArrowRight');
        assert.equal(await page.locator('.rings').first().locator('.ring').count(), 2);
    },
    'correct and wrong edges apart, filtered by class': async () => {
        const page = await usual(), all = await pixels(page);
        await page.getByRole('radio', { name: 'wrong', exact: true }).click();
        await page.waitForTimeout(150);
        const wrong = await pixels(page);
        await page.getByRole('radio', { name: 'correct', exact: true }).click();
        await page.waitForTimeout(150);
        const correct = await pixels(page);
        assert.ok(wrong.orange > 100 && wrong.blue === 0, `wrong edges: ${JSON.stringify(wrong)}`);
        assert.ok(correct.blue > 100 && correct.orange === 0, `correct edges: ${JSON.stringify(correct)}`);
        assert.ok(correct.lit < all.lit && wrong.lit <= all.lit);
        await page.locator('.ring-choices .chip').nth(1).click();
        await page.waitForTimeout(150);
        const one = await pixels(page);
        assert.ok(one.lit > 0 && one.lit < correct.lit, `one class: ${one.lit} of ${correct.lit} pixels`);
    },
    'class colours on the rim only where edges have them; whole epochs': async () => {
        const page = await usual(), rims = () => page.locator('.ring').first().locator('.rim').evaluateAll((all) => new Set(all.map((rim) => getComputedStyle(rim).stroke)).size);
        assert.equal(await rims(), 1);
        await page.getByRole('radio', { name: 'class colours' }).click();
        assert.ok(await rims() > 5);
        await page.getByRole('radio', { name: 'two colours' }).click();
        const ticks = await page.locator('#learning .axis:not(.grid) text').allTextContents();
        assert.ok(ticks.length >= 2 && ticks.every((text) => /^\d+$/.test(text)), ticks.join(' '));
    },
    'activations follow the picked image': async () => {
        const page = await usual();
        await page.waitForFunction(() => document.querySelector('.layer-row canvas')?.width > 1);
        await page.waitForTimeout(300);
        const look = () => page.locator('.layer-row canvas').evaluateAll((all) => all.map((canvas) => canvas.toDataURL()).join());
        const before = await look();
        await page.locator('.pick').nth(3).click();
        await page.waitForTimeout(300);
        assert.notEqual(await look(), before);
        assert.ok(await page.locator('.answer > div').count() >= 2);
    },
    'the criterion says why at every unit': async () => {
        const page = await usual();
        const rows = await page.locator('.decisions').first().locator('tbody tr').evaluateAll((all) => all.map((row) => row.lastChild.textContent));
        assert.ok(rows.length >= 2 && rows.every((why) => why.length >= 5), rows.join(' | '));
    },
    'runs side by side, and one of them alone': async () => {
        const page = await usual();
        assert.equal(await page.locator('#filters .column').count(), 2);
        await page.locator('#controls .chip').nth(1).click();
        assert.equal(await page.locator('#filters .column').count(), 1);
        await page.locator('#controls .chip').nth(1).click();
        assert.equal(await page.locator('#filters .column').count(), 2);
        assert.deepEqual(page.said, []);
    },
    'dark: dark paper, light ink, and a switch': async () => {
        const page = await open({ scheme: 'dark' });
        const luminance = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor.match(/\d+/g).slice(0, 3).reduce((s, v) => s + +v, 0) / 765);
        assert.ok(await luminance() < 0.2);
        await page.getByRole('button', { name: 'Light colours' }).click();
        assert.ok(await luminance() > 0.8);
        assert.deepEqual(page.said, []);
    },
    '1280 and 400 pixels wide: nothing sticks out': async () => {
        for (const width of [1280, 400]) {
            const page = await open({ width });
            await noOverflow(page);
            const cut = await page.locator('#overview .scroll, #pruning .scroll').evaluateAll((all) => all.filter((node) => node.scrollWidth > node.clientWidth).length);
            assert.equal(cut, 0, `${cut} tables are wider than the ${width} pixels of the page`);
            await page.getByRole('radio', { name: 'correct | wrong' }).click();
            await page.waitForTimeout(200);
            await noOverflow(page);
            assert.deepEqual(page.said, []);
        }
    },
    'long class names end with dots, few or many of them': async () => {
        for (const width of [1280, 400])
            for (const classes of [10, 37]) {
                const page = await open({ width, change: `(text, parse) => {
                    const data = parse(text);
                    data.images.forEach((images) => { images.classes = Array.from({ length: ${classes} }, (_, c) => c + ' ' + 'a very long name of a class '.repeat(8)); });
                    data.runs.forEach((run) => { run.classes = ${classes}; });
                    return JSON.stringify(data);
                }` });
                await page.locator('.ring .class-name').first().waitFor();
                const names = await page.locator('.ring .class-name').evaluateAll((all) => all.map((node) => {
                    const box = node.getBoundingClientRect();
                    return { text: node.querySelector('.name').textContent, left: box.left, right: box.right };
                }));
                assert.ok(names.length >= 10, `${names.length} names of ${classes} classes`);
                for (const name of names) {
                    assert.match(name.text, /^\d.*…$/);
                    assert.ok(name.left >= 0 && name.right <= width, `"${name.text}" from ${name.left} to ${name.right} of ${width}`);
                }
                await noOverflow(page);
                assert.deepEqual(page.said, []);
            }
    },
    'a hostile name is text': async () => {
        const page = await open({ change: (text, parse) => { // runs in the page
            const data = parse(text), evil = '<img src=x onerror=window.evil=1></script><script>window.evil=1</script>';
            for (const run of data.runs) {
                run.name = run.path = evil;
                run.history.status.state = run.history.config = evil;
                run.graphs.forEach((graph) => { graph.layers[0].name = evil; });
                run.network.net.layers[0].name = run.network.net.units[0].name = evil;
                run.network.decisions?.units.forEach((unit) => { unit.reason = evil; });
            }
            data.images.forEach((images) => { images.classes[0] = evil; });
            data.notes.push(evil);
            return JSON.stringify(data);
        } });
        assert.equal(await page.evaluate(() => window.evil), undefined);
        assert.equal(await page.locator('img').count(), 0);
        assert.ok((await page.locator('#overview').innerText()).includes('<img src=x'));
        assert.deepEqual(page.said, []);
    },
    'without WebGL a sample of the edges on a plain canvas': async () => {
        const page = await open({ gl: false });
        assert.ok((await pixels(page)).lit > 1000);
        await hoverRing(page);
        assert.deepEqual(page.said, []);
    },
    // How smooth it is depends on the machine, but a frame must never need a call for each of 40,000 edges.
    'a step through the layers draws all edges in a few calls': async () => {
        const page = await open({ before: countDraws }), names = await layerNames(page), times = [];
        for (let round = 0; round < 2; round++) // the first round unpacks the data
            for (let i = names.length - 1; i >= 0; i--) { // backwards: the page begins with the first layer, and draws only changes
                const start = performance.now();
                await page.evaluate(() => { window.draws = []; });
                await layerSlider(page).fill(String(i));
                await untilRing(page, names[i]);
                const draws = await page.waitForFunction(() => window.draws.length && window.draws).then((drawn) => drawn.jsonValue());
                if (!round) continue;
                times.push(performance.now() - start);
                const shown = Number((await page.locator('.ring-panel .note').first().innerText()).match(/Of ([\d,]+) edges/)[1].replaceAll(',', ''));
                assert.ok(draws.length <= 20, `${names[i]}: ${draws.length} calls`);
                assert.ok(draws.some((things) => things >= shown), `${names[i]}: ${shown} edges, but calls of ${draws}`);
            }
        times.sort((x, y) => x - y);
        console.error(`median ${times[times.length >> 1].toFixed(0)} ms, slowest ${times.at(-1).toFixed(0)} ms`);
    },
};

async function picture(width, scheme) {
    const page = await open({ width, scheme });
    await page.addStyleTag({ content: 'html { scroll-behavior: auto }' }).catch(() => {});
    await layerSlider(page).fill(await layerSlider(page).getAttribute('max'));
    await hoverRing(page).catch(() => {});
    for (const part of await page.locator('main > section').all()) {
        await page.evaluate(() => { document.getElementById('controls').style.position = 'static'; });
        await part.screenshot({ path: `${shots}/${width}-${scheme}-${await part.getAttribute('id')}.png` });
    }
}

if (shots) {
    for (const [width, scheme] of (process.env.VIEWS ?? "1280-light,1280-dark,400-light,400-dark").split(",").map((v) => v.split("-"))) await picture(+width, scheme);
} else {
    for (const [name, run] of Object.entries(cases)) {
        if (!name.includes(process.argv[3] ?? '')) continue;
        try {
            await run();
            console.log(`ok ${name}`);
        } catch (error) {
            console.log(`not ok ${name}: ${String(error.message).split('\n').slice(0, 12).join(' / ')}`);
        }
        for (const context of browser.contexts()) if (context !== shared?.context()) await context.close();
    }
}
await browser.close();
