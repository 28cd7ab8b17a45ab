// Drives a page of `brimful open`: it loads without an error or a request, zooms, selects, and shows the stack of a
// known block. Usage: node check.mjs PAGE (Chromium at $CHROMIUM, else /usr/bin/chromium)
import assert from 'node:assert/strict';
import path from 'node:path';
import { chromium } from 'playwright-core';

const page_file = path.resolve(process.argv[2]);
const options = {
  executablePath: process.env.CHROMIUM || '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--disable-quic', '--no-first-run',
    '--disable-background-networking', '--disable-component-update', '--disable-sync'],
};
const browser = await chromium.launch(options).catch(error => {
  console.log(`no browser can be started here, the check is left out: ${String(error).split('\n')[0]}`);
  process.exit(0);
});

for (const [width, height, colorScheme] of [[1280, 900, 'light'], [390, 800, 'dark']]) {
  const page = await browser.newPage({ viewport: { width, height }, colorScheme });
  const errors = [], requests = [];
  page.on('console', message => message.type() === 'error' && errors.push(message.text()));
  page.on('pageerror', error => errors.push(String(error)));
  page.on('request', request => requests.push(request.url()));
  await page.goto('file://' + page_file);
  const run = await page.evaluate(() => JSON.parse(document.getElementById('data').textContent));

  assert.equal(await page.evaluate(() => document.documentElement.classList.contains('dark')), colorScheme === 'dark');
  assert.equal(await page.textContent('#verdict'), run.verdict);
  const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  assert.ok(overflow <= 0, `the page is ${overflow} px wider than the screen`);

  const drawn = await page.evaluate(() => {
    const canvas = document.getElementById('timeline');
    const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
    return pixels.reduce((count, value, at) => count + (at % 4 === 3 && value > 0), 0);
  });
  assert.ok(drawn > 10_000, 'the timeline is drawn');

  const range = () => page.textContent('#range');
  const whole = await range();
  await page.focus('#timeline');
  await page.keyboard.press('+');
  await page.keyboard.press('+');
  assert.notEqual(await range(), whole, 'the keyboard zooms in');
  await page.keyboard.press('0');
  assert.equal(await range(), whole, '0 shows all');
  const box = await page.locator('#timeline').boundingBox();
  await page.mouse.move(box.x + box.width / 2, box.y + box.height / 2);
  await page.mouse.wheel(0, -300);
  await page.waitForFunction(whole => document.getElementById('range').textContent !== whole, whole);
  await page.keyboard.press('0');

  await page.mouse.click(box.x + box.width * 0.8, box.y + box.height / 2);
  assert.match(await page.textContent('#instant'), /^event \d+/, 'a click selects an instant');
  await page.keyboard.press('p');
  assert.match(await page.textContent('#instant'), /the peak$/);

  // The largest block that is alive at the peak is selected, with its stack.
  const at = Number((await page.textContent('#instant')).match(/\d+/)[0]);
  const alive = run.blocks.find(block => (block[0] ?? -1) <= at && (block[1] ?? Infinity) > at);
  const shown = await page.locator('#stack li').allTextContents();
  assert.deepEqual(shown, run.names[alive[4]], 'the stack is the block\'s');

  const frames = await page.locator('#flame button').count();
  await page.locator('#flame button').nth(1).click();
  assert.notEqual(await page.locator('#flame button').count(), frames, 'the flame graph opens a frame');
  await page.locator('#flame button').first().click();
  assert.equal(await page.locator('#flame button').count(), frames, 'and goes back');

  assert.deepEqual(errors, []);
  assert.deepEqual(requests.filter(url => !url.startsWith('file://' + page_file)), [], 'nothing else is loaded');
  await page.close();
}
await browser.close();
console.log(`${process.argv[2]}: the page works`);
