// What every room uses: the data, what is shown, sizes, colours and small parts of the page.
'use strict';
const run = JSON.parse(document.getElementById('data').textContent);
const el = id => document.getElementById(id);
// Colours that people with colour blindness can tell apart, by the category's name.
const COLOURS = {
  unknown: '#9aa0a6', parameter: '#4269d0', buffer: '#6cc5b0', gradient: '#3ca951', optimizer: '#a463f2', input: '#c9b26b',
  activation: '#efb118', logits: '#ff725c', kv_cache: '#97bbf5', weight_cast: '#ff8ab7', recompute: '#9c6b4e',
  temporary: '#e07b39', kernel_buffer: '#7f7f7f',
};
/** A category that has no colour yet gets the same shade of its own on every page. */
const colour = name => COLOURS[name] || tint(name);
const [BORN, DIED, BYTES, CATEGORY, NAME, ADDRESS, TENSOR] = [0, 1, 2, 3, 4, 5, 6];

const sum = list => list.reduce((a, b) => a + b, 0);
const used = run.moments.map(moment => sum(moment[2]));
const peakMoment = used.indexOf(Math.max(...used, 0));
const peakEvent = run.moments.length ? run.moments[peakMoment][0] : 0;
const highest = Math.max(...used, ...run.moments.map(moment => moment[1]), 1);
const state = { from: 0, to: Math.max(run.events, 1), at: peakEvent, block: null, flame: [] };

function size(bytes) {
  const units = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB'];
  let unit = 0;
  while (bytes >= 1024 && unit < 4) { bytes /= 1024; unit += 1; }
  return (unit ? bytes.toFixed(2) : bytes) + ' ' + units[unit];
}

function text(tag, content, className) {
  const node = document.createElement(tag);
  node.textContent = content;
  if (className) node.className = className;
  return node;
}

const css = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const place = block => run.names[block[NAME]] || [];
const alive = (block, at) => (block[BORN] === null || block[BORN] <= at) && (block[DIED] === null || block[DIED] > at);

/** A canvas in the screen's own pixels. */
function surface(canvas) {
  const ratio = window.devicePixelRatio || 1;
  const { width, height } = canvas.getBoundingClientRect();
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  const context = canvas.getContext('2d');
  context.scale(ratio, ratio);
  context.clearRect(0, 0, width, height);
  return { context, width, height };
}

function tint(name) {
  let hash = 0;
  for (const letter of name) hash = (hash * 31 + letter.charCodeAt(0)) | 0;
  return `hsl(${30 + Math.abs(hash) % 40} 75% ${64 + Math.abs(hash >> 8) % 14}%)`;
}

function tip(content, event) {
  const box = el('tip');
  box.hidden = !content;
  if (!content) return;
  box.replaceChildren(...content.split('\n').map(line => text('div', line)));
  const { width, height } = box.getBoundingClientRect();
  box.style.left = Math.max(4, Math.min(event.clientX + 14, innerWidth - width - 8)) + 'px';
  box.style.top = Math.max(4, Math.min(event.clientY + 14, innerHeight - height - 8)) + 'px';
}
