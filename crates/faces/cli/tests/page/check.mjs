// Drives pages of `brimful open` at two widths, light and dark: each loads without an error or a request, and everything that
// its help names works. Usage: node check.mjs PAGE … (Chromium at $CHROMIUM, else /usr/bin/chromium). `check` beside this file
// makes the pages.
import assert from 'node:assert/strict';
import path from 'node:path';
import { chromium } from 'playwright-core';
import { closest } from './colours.mjs';

const options = {
  executablePath: process.env.CHROMIUM || '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--disable-quic', '--no-first-run',
    '--disable-background-networking', '--disable-component-update', '--disable-sync'],
};
const browser = await chromium.launch(options).catch(error => {
  console.log(`no browser can be started here, the check is left out: ${String(error).split('\n')[0]}`);
  process.exit(0);
});
/** The page waits so many milliseconds before it writes its address; here it writes it at once. */
const BEFORE_THE_ADDRESS = 150;
const withoutTheWait = wait => {
  const original = window.setTimeout;
  window.setTimeout = (run, after, ...rest) => original(run, after === wait ? 0 : after, ...rest);
};
/**
 * Waits until the page has drawn and has written its address. It draws in the next frame, and callbacks of frames and timers run
 * in the order of their calls, so that no time has to be guessed, however busy the machine is.
 */
const settled = page => page.evaluate(() => new Promise(done => {
  requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 0)));
}));
/** Waits for the first picture, which takes longer on a busy machine. */
async function drawn(page) {
  await page.waitForFunction(() => document.getElementById('instant').textContent && document.getElementById('range').textContent);
  await settled(page);
}
const range = page => page.textContent('#range');
const instant = page => page.textContent('#instant');
const addressed = page => page.evaluate(() => location.hash);
const press = async (page, key) => { await page.keyboard.press(key); await settled(page); };

/** The values that tell whether a canvas changed. */
const pixels = (page, id) => page.evaluate(id => {
  const canvas = document.getElementById(id);
  const all = new Uint32Array(canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.buffer);
  let sum = 7;
  if (all.some(Boolean)) for (const value of all) sum = (Math.imul(sum, 31) + value) | 0;
  return sum;
}, id);

async function loadsAndFits(page, data, scheme) {
  const run = data.runs[data.first];
  assert.equal(await page.evaluate(() => document.documentElement.classList.contains('dark')), scheme === 'dark');
  const verdict = await page.textContent('#verdict');
  assert.ok(verdict.includes(data.diff ? data.diffSentence : run.verdict), verdict);
  const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  assert.ok(overflow <= 0, `the page is ${overflow} px wider than the screen`);
  for (const id of ['timeline', 'marks', 'minimap']) assert.notEqual(await pixels(page, id), 7, `${id} is drawn`);
  assert.ok(!(await page.title()).includes('/'), 'the title has no folders');
}

/** The labels of the axis lie on the canvas: none begins left of it. They are round. */
async function axisIsReadable(page) {
  const labels = await page.evaluate(() => {
    const labels = [], original = CanvasRenderingContext2D.prototype.fillText;
    CanvasRenderingContext2D.prototype.fillText = function record(words, x, y) {
      const width = this.measureText(words).width;
      const left = { right: x - width, center: x - width / 2 }[this.textAlign] ?? x;
      if (this.canvas.id === 'timeline') labels.push({ words, left, right: left + width, room: this.canvas.clientWidth });
      original.call(this, words, x, y);
    };
    return new Promise(resolve => {
      dispatchEvent(new Event('resize'));
      requestAnimationFrame(() => requestAnimationFrame(() => { CanvasRenderingContext2D.prototype.fillText = original; resolve(labels); }));
    });
  });
  for (const { words, left, right, room } of labels) assert.ok(left >= 0 && right <= room + 0.5, `"${words}" is cut`);
  const ticks = labels.map(one => /^([\d.]+) (bytes|KiB|MiB|GiB|TiB)$/.exec(one.words)).filter(Boolean).map(found => Number(found[1]));
  assert.ok(ticks.length >= 2, 'the axis has ticks');
  const step = ticks[1] - ticks[0], mantissa = step / 10 ** Math.floor(Math.log10(step) + 1e-9);
  assert.ok([1, 2, 5].some(round => Math.abs(round - mantissa) < 1e-6), `ticks are ${step} apart`);
  assert.ok(labels.some(one => one.words === 'events'), 'the axis below has a unit');
  assert.ok(labels.filter(one => /^[\d,]+$/.test(one.words)).length >= 2, 'and ticks');
}

async function zooms(page) {
  const whole = await range(page);
  await press(page, '+');
  await press(page, '+');
  const near = await range(page);
  assert.notEqual(near, whole, 'the keyboard zooms in');
  await press(page, 'ArrowLeft');
  await press(page, 'ArrowLeft');
  assert.notEqual(await range(page), near, 'arrows move');
  await press(page, '-');
  await press(page, '0');
  assert.equal(await range(page), whole, '0 shows all');
  await page.click('#zoom-in');
  await settled(page);
  assert.notEqual(await range(page), whole, 'a button zooms');
  await page.click('#zoom-all');
  await settled(page);
  assert.equal(await range(page), whole);
}

async function wheelScrollsUnlessCtrl(page) {
  const whole = await range(page);
  await page.locator('#timeline').scrollIntoViewIfNeeded();
  const box = await page.locator('#timeline').boundingBox();
  const scrolled = () => page.evaluate(() => scrollY);
  await page.mouse.move(box.x + box.width / 2, box.y + box.height / 2);
  const before = await scrolled();
  await page.mouse.wheel(0, 60);
  await page.waitForFunction(before => scrollY !== before, before);
  assert.equal(await range(page), whole, 'the wheel alone scrolls the page');
  await page.locator('#timeline').scrollIntoViewIfNeeded();
  const now = await page.locator('#timeline').boundingBox();
  await page.mouse.move(now.x + now.width / 2, now.y + now.height / 2);
  await page.keyboard.down('Control');
  await page.mouse.wheel(0, -300);
  await page.keyboard.up('Control');
  await page.waitForFunction(whole => document.getElementById('range').textContent !== whole, whole);
  await press(page, '0');
}

/** Two fingers that go apart zoom the timeline, and not the page. */
async function pinches(page) {
  const whole = await range(page);
  await page.evaluate(() => {
    const canvas = document.getElementById('timeline'), box = canvas.getBoundingClientRect();
    const send = (type, pointerId, x) => canvas.dispatchEvent(new PointerEvent(type, { pointerId, pointerType: 'touch', clientX: box.left + x, clientY: box.top + 80, bubbles: true }));
    canvas.setPointerCapture = () => {};
    send('pointerdown', 11, box.width * 0.5);
    send('pointerdown', 12, box.width * 0.6);
    send('pointermove', 12, box.width * 0.9);
    send('pointerup', 12, box.width * 0.9);
    send('pointerup', 11, box.width * 0.5);
    delete canvas.setPointerCapture;
  });
  await settled(page);
  assert.notEqual(await range(page), whole, 'a pinch zooms');
  assert.equal(await page.evaluate(() => getComputedStyle(document.getElementById('timeline')).touchAction), 'pan-y');
  await press(page, '0');
}

async function brushes(page) {
  const whole = await range(page);
  await page.locator('#minimap').scrollIntoViewIfNeeded();
  const box = await page.locator('#minimap').boundingBox(), y = box.y + box.height / 2;
  const drag = async (from, to) => {
    await page.mouse.move(box.x + box.width * from, y);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width * to, y, { steps: 4 });
    await page.mouse.up();
    await settled(page);
  };
  await drag(0.3, 0.5);
  const first = await range(page);
  assert.notEqual(first, whole, 'a brush chooses a window');
  await drag(0.4, 0.6);
  assert.notEqual(await range(page), first, 'the brush moves');
  await press(page, '0');
}

/** A block under the pointer is named with its life and place, is chosen by a click, and is outlined. */
async function blockUnderThePointer(page, run) {
  await page.locator('#timeline').scrollIntoViewIfNeeded();
  const box = await page.locator('#timeline').boundingBox();
  const bare = await pixels(page, 'marks');
  let lines = [];
  // The picture ends 40 px above the canvas.
  for (const above of [4, 10, 20, 40, 80, 120]) {
    await page.mouse.move(box.x + box.width * 0.6, box.y + box.height - 40 - above);
    lines = await page.locator('#tip div').allTextContents();
    if (lines.some(line => /from event|from before/.test(line))) break;
  }
  assert.match(lines.join('\n'), /(MiB|KiB|GiB|bytes) \w+[\s\S]*from (event|before)/, 'the pointer shows a block');
  if (!run.predicted) assert.match(lines.join('\n'), /0x[0-9a-f]+ · stream/, 'with its address and its stream');
  assert.notEqual(await pixels(page, 'marks'), bare, 'and its outline');
  await page.mouse.down();
  await page.mouse.up();
  await settled(page);
  assert.match(await instant(page), /^event [\d,]+/, 'a click chooses an instant');
  assert.match(await addressed(page), /^#t=\d+&b=\d+/, 'the address names the instant and the block');
  const block = run.blocks[Number(/b=(\d+)/.exec(await addressed(page))[1])];
  assert.match(await page.textContent('#selected'), new RegExp(`requested${block[2].toLocaleString('en')} bytes`));
  assert.match(await page.textContent('#selected'), /rounded to[\d,]+ bytes/);
}

/** At the peak the largest block that is alive is chosen, with its whole stack. */
async function stackOfTheLargest(page, run) {
  await press(page, 'p');
  assert.match(await instant(page), /the peak/);
  const at = Number((await instant(page)).match(/[\d,]+/)[0].replaceAll(',', ''));
  const alive = run.blocks.find(block => (block[0] ?? -1) <= at && (block[1] ?? Infinity) > at);
  const shown = await page.locator('#stack li:not(.folded), #stack li.folded details > div').allTextContents();
  assert.deepEqual(shown, run.names[alive[4]].map(frame => run.frames[frame]), 'the stack is the block\'s');
}

async function failureIsMarked(page, run) {
  const failed = run.failures.at(-1);
  assert.equal(await page.locator('#to-failure').isVisible(), Boolean(failed));
  if (!failed) return;
  await press(page, 'f');
  assert.match(await instant(page), /the failed request/);
  assert.ok(await page.locator('#events tr.failed').count() > 0, 'it is in the list of events');
}

async function eventsGoOn(page) {
  const before = await instant(page);
  await press(page, '.');
  assert.notEqual(await instant(page), before, 'the next event');
  await press(page, ',');
  await page.locator('#events tr').first().click();
  await settled(page);
  assert.notEqual(await instant(page), before, 'a click on an event goes there');
  await press(page, 'p');
}

async function segmentsAnswer(page, run) {
  assert.equal(await page.locator('#segments').isVisible(), run.segments.length > 0);
  if (!run.segments.length) return;
  await page.locator('#segments').scrollIntoViewIfNeeded();
  const box = await page.locator('#segments').boundingBox();
  const before = await addressed(page), picture = await pixels(page, 'segments');
  for (let part = 0.02; part < 0.95; part += 0.07) {
    await page.mouse.click(box.x + box.width * part, box.y + box.height * 0.07);
    await settled(page);
    if (await addressed(page) !== before) break;
  }
  assert.match((await page.locator('#tip div').allTextContents()).join('\n'), /in a segment of [\d.]+ [KMG]iB at 0x/);
  assert.notEqual(await addressed(page), before, 'a click on a segment chooses a block');
  assert.notEqual(await pixels(page, 'segments'), picture, 'and outlines it');
}

async function filters(page, run) {
  const rows = () => page.locator('#blocks tbody tr').count();
  const all = await rows(), picture = await pixels(page, 'timeline');
  await press(page, '/');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'search', '/ goes to the search');
  const frame = run.frames[run.names[run.blocks[0][4]][0]] || '0x';
  await page.keyboard.insertText(frame.slice(-24));
  await settled(page);
  assert.match(await page.textContent('#matches'), /^[\d,]+ of [\d,]+ blocks$/);
  await page.fill('#search', 'no frame has these words');
  await settled(page);
  assert.equal(await rows(), 0, 'what is searched for is not there');
  assert.notEqual(await pixels(page, 'timeline'), picture, 'the timeline is filtered, too');
  await page.click('#unfilter');
  await page.fill('#least', '1000 GiB');
  await settled(page);
  assert.equal(await rows(), 0, 'no block is so large');
  await page.click('#unfilter');
  await settled(page);
  assert.equal(await rows(), all);
  if (run.streams.length > 1) {
    const other = String(run.streams.length - 1);
    await page.selectOption('#stream', other);
    await settled(page);
    const passing = run.blocks.filter(block => String(block[7]) === other).length;
    assert.equal(await page.textContent('#matches'), `${passing.toLocaleString('en')} of ${run.blocks.length.toLocaleString('en')} blocks`);
    await page.click('#unfilter');
    await settled(page);
  }
}

async function legendSwitches(page) {
  const picture = await pixels(page, 'timeline'), first = page.locator('#legend button').first();
  await first.click();
  await settled(page);
  assert.equal(await first.getAttribute('aria-pressed'), 'false');
  assert.notEqual(await pixels(page, 'timeline'), picture, 'a category can be hidden');
  await first.click();
  await settled(page);
  assert.equal(await pixels(page, 'timeline'), picture);
}

async function flameOpens(page, run) {
  const frames = () => page.locator('#flame button').allTextContents();
  const all = await frames();
  assert.match(all[0], /^all, /, 'the root is on top');
  const narrow = await page.evaluate(() => [...document.querySelectorAll('#flame button')].filter(frame => frame.getBoundingClientRect().width < 4).length);
  assert.equal(narrow, 0, 'no frame is too narrow to be hit');
  await page.locator('#flame button').nth(1).click();
  await settled(page);
  const inner = page.locator('#flame button').nth(1);
  const [root, opened] = await page.evaluate(() => [...document.querySelectorAll('#flame button')].slice(0, 2).map(frame => frame.getBoundingClientRect().width));
  assert.ok(Math.abs(root - opened) < 1, 'an opened frame is as wide as the root');
  assert.ok(await inner.isVisible());
  await page.locator('#flame button').first().click();
  await settled(page);
  assert.deepEqual(await frames(), all, 'and the root goes back');
  assert.equal(await page.evaluate(() => [...document.querySelectorAll('#flame button')].filter(frame => frame.tabIndex >= 0).length), 1, 'the flame graph is one stop of the tab key');
  const peak = await page.textContent('#flame-at');
  await press(page, ',');
  assert.notEqual(await page.textContent('#flame-at'), peak, 'it is of the chosen instant');
  const note = await page.textContent('#flame-note'), whole = run.blocks.length === run.allocations;
  assert.equal(note.includes(`the ${run.blocks.length.toLocaleString('en')} largest blocks of`), !whole, 'it says what it lacks');
  await press(page, 'p');
  assert.equal(await page.textContent('#flame-note'), '', 'at the peak it lacks nothing');
}

async function tablesSort(page) {
  const column = async () => (await page.locator('#blocks tbody tr td:first-child').allTextContents()).map(words => {
    const [amount, unit] = words.split(' ');
    return Number(amount) * 1024 ** ['bytes', 'KiB', 'MiB', 'GiB'].indexOf(unit);
  });
  const down = await column();
  assert.deepEqual(down, [...down].sort((a, b) => b - a), 'the largest come first');
  await page.locator('#blocks th button').first().click();
  const up = await column();
  assert.deepEqual(up, [...up].sort((a, b) => a - b), 'a heading sorts');
  await page.locator('#blocks th button').first().click();
  const more = page.locator('.scroll:has(#blocks) + .more');
  if (await more.isVisible()) {
    const rows = await page.locator('#blocks tbody tr').count(), words = await more.textContent();
    await more.click();
    const all = await page.locator('#blocks tbody tr').count();
    assert.ok(all > rows && words === `show all ${all.toLocaleString('en')}`, words);
    await more.click();
  }
  const chosen = await addressed(page);
  await page.focus('#blocks');
  await press(page, 'ArrowDown');
  assert.notEqual(await addressed(page), chosen, 'arrows go through the rows of a table');
}

async function helpAndTheme(page) {
  await press(page, '?');
  assert.ok(await page.locator('#help').isVisible(), '? opens the help');
  await press(page, '?');
  assert.ok(!await page.locator('#help').isVisible());
  const dark = () => page.evaluate(() => document.documentElement.classList.contains('dark'));
  const before = await dark();
  await press(page, 'd');
  assert.notEqual(await dark(), before);
  await press(page, 'd');
}

/** The address leads to the same instant, block, window and run. */
async function addressLeadsBack(page, file) {
  await press(page, '+');
  const [shown, at, window] = [await addressed(page), await instant(page), await range(page)];
  await page.goto('about:blank');
  await page.goto(`file://${file}${shown}`);
  await drawn(page);
  assert.deepEqual([await instant(page), await range(page), await addressed(page)], [at, window, shown]);
  await page.goto('about:blank');
  await page.goto(`file://${file}#t=x&b=99999999&d=-1&w=5`);
  await drawn(page);
  assert.match(await instant(page), /the peak/, 'an address of another page is left out');
}

async function runsCanBeChosen(page, data) {
  assert.equal(await page.locator('#runs').isVisible(), data.runs.length > 1);
  if (data.runs.length < 2) return;
  const other = data.first === 0 ? 1 : 0, picture = await pixels(page, 'timeline');
  await page.selectOption('#runs', String(other));
  await settled(page);
  assert.notEqual(await pixels(page, 'timeline'), picture, 'another run is drawn');
  assert.match(await addressed(page), new RegExp(`d=${other}`));
  await page.selectOption('#runs', String(data.first));
  await settled(page);
}

async function answerIsOnTop(page, run) {
  const answer = await page.textContent('#answer');
  if (run.answer.cause) assert.ok(answer.includes(`cause: ${run.answer.cause.class} (confidence `), answer);
  for (const fix of run.answer.fixes || []) assert.ok(answer.includes(fix.apply) && answer.includes(fix.title), fix.apply);
  for (const leak of run.answer.leaks || []) assert.ok(answer.includes(leak.owner), leak.owner);
  if (run.answer.recipe) assert.ok(answer.includes(run.answer.recipe.join(' · ')), 'the recipe');
  if (run.answer.device?.name) assert.ok(answer.includes(run.answer.device.name), 'the GPU');
}

/** Without JavaScript the page has its title and its first sentence, and says in a line what it lacks. */
async function readsWithoutScripts(file, data) {
  const page = await browser.newPage({ javaScriptEnabled: false });
  await page.goto(`file://${file}`);
  const words = await page.locator('body').innerText();
  const sentence = data.diff ? data.diffSentence : data.runs[data.first].verdict;
  for (const part of [data.title, sentence, 'JavaScript is off']) assert.ok(words.includes(part), `${part} is not in: ${words}`);
  assert.ok(!words.includes('Memory over time'), 'what needs JavaScript is not shown');
  await page.close();
}

/** Everything that the help names, and what is beside it. */
async function drive(page, data, run, file) {
  await zooms(page);
  await wheelScrollsUnlessCtrl(page);
  await pinches(page);
  await brushes(page);
  await blockUnderThePointer(page, run);
  await failureIsMarked(page, run);
  await stackOfTheLargest(page, run);
  await eventsGoOn(page);
  await segmentsAnswer(page, run);
  await filters(page, run);
  await legendSwitches(page);
  await flameOpens(page, run);
  await tablesSort(page);
  await helpAndTheme(page);
  await runsCanBeChosen(page, data);
  await addressLeadsBack(page, file);
}

async function check(file, width, height, colorScheme, isDriven) {
  const page = await browser.newPage({ viewport: { width, height }, colorScheme });
  await page.addInitScript(withoutTheWait, BEFORE_THE_ADDRESS);
  const errors = [], requests = [];
  page.on('console', message => message.type() === 'error' && errors.push(message.text()));
  page.on('pageerror', error => errors.push(String(error)));
  page.on('request', request => requests.push(request.url()));
  await page.goto(`file://${file}`);
  await drawn(page);
  const data = await page.evaluate(() => JSON.parse(document.getElementById('data').textContent));
  const run = data.runs[data.first];
  await loadsAndFits(page, data, colorScheme);
  await answerIsOnTop(page, run);
  await axisIsReadable(page);
  if (isDriven) await drive(page, data, run, file);
  const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  assert.ok(overflow <= 0, `the page is ${overflow} px wider than the screen after all that`);
  assert.deepEqual(errors, []);
  const elsewhere = requests.filter(url => !url.startsWith(`file://${file}`) && url !== 'about:blank');
  assert.deepEqual(elsewhere, [], 'nothing else is loaded');
  await page.close();
}

const SCREENS = [[1280, 900, 'light'], [390, 800, 'dark'], [1280, 900, 'dark'], [390, 800, 'light']];

/** Looks at a page on all screens, and drives it on the first two, which have both widths and both schemes. */
async function checkAll(name, isFirst) {
  const file = path.resolve(name);
  const page = await browser.newPage();
  await page.goto(`file://${file}`);
  const [source, data] = await page.evaluate(() => [document.querySelector('script[type=module]').textContent, JSON.parse(document.getElementById('data').textContent)]);
  assert.ok(source.includes(`, ${BEFORE_THE_ADDRESS});`), 'the page waits before it writes its address');
  const colours = [...source.matchAll(/^ {2}\w+: \['(#[0-9a-f]{6})'/gm)].map(found => found[1]);
  const nearest = closest(colours);
  assert.ok(colours.length >= 13 && nearest.distance >= 20, `${nearest.pair}: ${nearest.distance}`);
  await page.close();
  await readsWithoutScripts(file, data);
  for (const [at, [width, height, scheme]] of SCREENS.entries()) {
    const failed = error => { throw new Error(`${name}, ${width} px, ${scheme}: ${error.message}`, { cause: error }); };
    await check(file, width, height, scheme, isFirst || at < 2).catch(failed);
  }
  console.log(`${name}: the page works`);
}

// Two pages at a time: one draws while the other waits for a frame. The first is driven on all screens.
const left = process.argv.slice(2).map((name, at) => [name, at === 0]);
const checkNext = async () => { while (left.length) await checkAll(...left.shift()); };
await Promise.all([checkNext(), checkNext()]);
await browser.close();
