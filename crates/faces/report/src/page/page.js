'use strict';
const run = JSON.parse(document.getElementById('data').textContent);
const el = id => document.getElementById(id);
// Colours that people with colour blindness can tell apart, by category.
const COLOURS = ['#9aa0a6', '#4269d0', '#6cc5b0', '#3ca951', '#a463f2', '#c9b26b', '#efb118', '#ff725c', '#97bbf5', '#ff8ab7', '#9c6b4e', '#e07b39', '#7f7f7f'];
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

// ---------------------------------------------------------------- timeline

const LEFT = 64, BOTTOM = 22;
const toX = (event, width) => LEFT + (event - state.from) / (state.to - state.from) * (width - LEFT);
const toEvent = (x, width) => state.from + (x - LEFT) / (width - LEFT) * (state.to - state.from);

/** The moments on screen, and one on each side. */
function visible() {
  const inside = run.moments.findIndex(moment => moment[0] >= state.from);
  const first = Math.max(0, (inside < 0 ? run.moments.length : inside) - 1);
  const past = run.moments.findIndex(moment => moment[0] > state.to);
  return run.moments.slice(first, past < 0 ? run.moments.length : past + 1);
}

function drawTimeline() {
  const { context, width, height } = surface(el('timeline'));
  const floor = height - BOTTOM;
  const y = bytes => floor - bytes / (highest * 1.05) * (floor - 8);
  const shown = visible();
  const base = shown.map(() => 0);
  run.categories.forEach((_, category) => {
    if (!shown.some(moment => moment[2][category])) return;
    context.fillStyle = COLOURS[category];
    context.beginPath();
    shown.forEach((moment, i) => context.lineTo(toX(moment[0], width), y(base[i] + moment[2][category])));
    for (let i = shown.length - 1; i >= 0; i -= 1) context.lineTo(toX(shown[i][0], width), y(base[i]));
    context.fill();
    shown.forEach((moment, i) => { base[i] += moment[2][category]; });
  });
  drawReserved(context, shown, width, y);
  drawAxis(context, width, floor, y);
  drawPhases(context, width, height, floor);
  drawMark(context, width, floor, peakEvent, css('--soft'), 'peak');
  drawMark(context, width, floor, state.at, css('--accent'), '');
  el('range').textContent = `events ${Math.round(state.from)} to ${Math.round(state.to)} of ${run.events}`;
}

function drawReserved(context, shown, width, y) {
  if (!shown.some(moment => moment[1])) return;
  context.strokeStyle = css('--ink');
  context.lineWidth = 1.5;
  context.beginPath();
  shown.forEach(moment => context.lineTo(toX(moment[0], width), y(moment[1])));
  context.stroke();
}

function drawAxis(context, width, floor, y) {
  context.fillStyle = css('--card');
  context.fillRect(0, 0, LEFT, floor + BOTTOM);
  context.font = '12px system-ui';
  context.textAlign = 'right';
  for (let part = 0; part <= 4; part += 1) {
    const bytes = highest * part / 4;
    context.fillStyle = css('--soft');
    context.fillText(size(Math.round(bytes)), LEFT - 6, y(bytes) + 4);
    context.fillStyle = css('--line');
    context.fillRect(LEFT, y(bytes), width - LEFT, part ? 0.5 : 1);
  }
}

function drawPhases(context, width, height, floor) {
  context.textAlign = 'left';
  let last = -Infinity;
  for (const [at, , name] of run.phases) {
    const x = toX(at, width);
    if (x < LEFT || x > width) continue;
    context.fillStyle = css('--line');
    context.fillRect(x, 8, 1, floor - 8);
    if (x < last) continue;
    context.fillStyle = css('--soft');
    context.fillText(name, x + 3, height - 7);
    last = x + context.measureText(name).width + 12;
  }
}

function drawMark(context, width, floor, event, colour, label) {
  const x = toX(event, width);
  if (x < LEFT || x > width) return;
  context.fillStyle = colour;
  context.fillRect(x - 0.75, 0, 1.5, floor);
  context.textAlign = x > width - 60 ? 'right' : 'left';
  if (label) context.fillText(label, x + (x > width - 60 ? -4 : 4), 11);
}

function zoom(factor, around) {
  const span = Math.min(Math.max((state.to - state.from) * factor, 20), Math.max(run.events, 1));
  const share = (around - state.from) / (state.to - state.from);
  move(around - share * span, span);
}

function move(from, span) {
  const end = Math.max(run.events, 1);
  state.from = Math.min(Math.max(from, 0), Math.max(end - span, 0));
  state.to = state.from + Math.min(span, end);
  drawTimeline();
}

function momentAt(event) {
  let found = run.moments[0];
  for (const moment of run.moments) { if (moment[0] > event) break; found = moment; }
  return found;
}

function momentTip(event) {
  const moment = momentAt(event);
  if (!moment) return '';
  const lines = run.categories.map((name, i) => [moment[2][i], name]).filter(([bytes]) => bytes).sort((a, b) => b[0] - a[0]);
  const reserved = moment[1] ? `, ${size(moment[1])} reserved` : '';
  return `event ${moment[0]}: ${size(sum(moment[2]))} in use${reserved}\n` + lines.map(([bytes, name]) => `${name} ${size(bytes)}`).join('\n');
}

function wireTimeline() {
  const canvas = el('timeline');
  let drag = null;
  canvas.addEventListener('wheel', event => {
    event.preventDefault();
    zoom(event.deltaY > 0 ? 1.25 : 0.8, toEvent(event.offsetX, canvas.clientWidth));
  }, { passive: false });
  canvas.addEventListener('pointerdown', event => { drag = { x: event.offsetX, from: state.from, moved: false }; canvas.setPointerCapture(event.pointerId); });
  canvas.addEventListener('pointermove', event => {
    tip(momentTip(toEvent(event.offsetX, canvas.clientWidth)), event);
    if (!drag) return;
    const span = state.to - state.from;
    drag.moved ||= Math.abs(event.offsetX - drag.x) > 4;
    if (drag.moved) move(drag.from - (event.offsetX - drag.x) / (canvas.clientWidth - LEFT) * span, span);
  });
  canvas.addEventListener('pointerup', event => {
    if (drag && !drag.moved) select(toEvent(event.offsetX, canvas.clientWidth));
    drag = null;
  });
  canvas.addEventListener('pointerleave', () => tip(''));
}

document.addEventListener('keydown', event => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const span = state.to - state.from, middle = (state.from + state.to) / 2;
  const actions = {
    '+': () => zoom(0.5, state.at >= state.from && state.at <= state.to ? state.at : middle), '-': () => zoom(2, middle),
    ArrowLeft: () => move(state.from - span / 5, span), ArrowRight: () => move(state.from + span / 5, span),
    0: () => move(0, Math.max(run.events, 1)), p: () => select(peakEvent), d: toggleTheme,
  };
  const action = actions[event.key === '=' ? '+' : event.key];
  if (action) { event.preventDefault(); action(); }
});

// ---------------------------------------------------------------- an instant

const MOST_ROWS = 12;

function select(event) {
  state.at = Math.min(Math.max(Math.round(event), 0), Math.max(run.events - 1, 0));
  state.block = null;
  drawTimeline();
  drawInstant();
}

function drawInstant() {
  const live = run.blocks.filter(block => alive(block, state.at));
  el('instant').textContent = `event ${state.at}${state.at === peakEvent ? ', the peak' : ''}`;
  const rows = live.slice(0, MOST_ROWS);
  if (state.block === null) state.block = rows[0] || null;
  const table = el('blocks');
  table.replaceChildren(row(['largest blocks', 'size', 'tensor', 'where'], 'th'));
  for (const block of rows) {
    const line = row([run.categories[block[CATEGORY]], size(block[BYTES]), block[TENSOR] || '', place(block)[0] || '(no stack)'], 'td', [1]);
    line.classList.toggle('on', block === state.block);
    line.addEventListener('click', () => { state.block = block; drawInstant(); });
    table.append(line);
  }
  drawSegments(live);
  drawSelected();
}

function row(cells, tag, numbers = []) {
  const line = document.createElement('tr');
  cells.forEach((cell, i) => line.append(text(tag, cell, numbers.includes(i) ? 'n' : '')));
  return line;
}

function drawSelected() {
  const box = el('selected');
  box.replaceChildren();
  const block = state.block;
  if (!block) { box.append(text('p', 'no block of the largest is alive here')); return; }
  const life = `${block[BORN] === null ? 'before the first event' : 'event ' + block[BORN]} to ${block[DIED] === null ? 'the end' : 'event ' + block[DIED]}`;
  box.append(text('strong', `${size(block[BYTES])} ${run.categories[block[CATEGORY]]}`), text('div', [block[TENSOR], life].filter(Boolean).join(' · ')));
  const frames = document.createElement('ol');
  frames.id = 'stack';
  place(block).forEach(frame => frames.append(text('li', frame)));
  box.append(frames);
}

/** Segments as rows of a shelf, each as long as it is large; blocks in their colours. */
function drawSegments(live) {
  const canvas = el('segments');
  const there = run.segments.map(([address, bytes, born, died]) => ({ address: BigInt(address), bytes, born, died })).filter(s => (s.born === null || s.born <= state.at) && (s.died === null || s.died > state.at));
  canvas.hidden = !there.length;
  canvas.closest('.two').classList.toggle('bare', !there.length);
  el('segnote').textContent = there.length ? `${there.length} segments by address; empty is free memory and small blocks` : 'a prediction has no addresses: segments are in recordings only';
  if (!there.length) return;
  const { context, width, height } = surface(canvas);
  const lines = Math.max(1, Math.min(9, Math.floor(height / 24)));
  const perLine = sum(there.map(segment => segment.bytes)) / lines;
  const sorted = live.filter(block => block[ADDRESS] !== null).map(block => ({ block, address: BigInt(block[ADDRESS]) }));
  let offset = 0;
  for (const segment of there) {
    shelf(context, offset, segment.bytes, perLine, width, height / lines, css('--line'));
    for (const { block, address } of sorted) {
      if (address < segment.address || address >= segment.address + BigInt(segment.bytes)) continue;
      const colour = block === state.block ? css('--ink') : COLOURS[block[CATEGORY]];
      shelf(context, offset + Number(address - segment.address), block[BYTES], perLine, width, height / lines, colour);
    }
    offset += segment.bytes;
    const x = (offset % perLine) / perLine * width;
    context.fillStyle = css('--card');
    context.fillRect(x - 1, Math.floor(offset / perLine) * height / lines, 1.5, height / lines);
  }
}

/** A stretch of memory that may go over several lines. */
function shelf(context, from, bytes, perLine, width, lineHeight, colour) {
  context.fillStyle = colour;
  let left = bytes;
  while (left > 0) {
    const line = Math.floor(from / perLine + 1e-9), within = from - line * perLine;
    const part = Math.min(left, perLine - within);
    context.fillRect(within / perLine * width, line * lineHeight + 2, Math.max(part / perLine * width - 0.3, 0.3), lineHeight - 4);
    if (part <= 0) break;
    from += part;
    left -= part;
  }
}

// ---------------------------------------------------------------- flame graph

const ROW = 20;

function drawFlame() {
  const box = el('flame');
  box.replaceChildren();
  const path = [run.flame];
  for (const index of state.flame) path.push(path[path.length - 1][2][index]);
  path.forEach((frame, depth) => flameFrame(box, frame, 0, 1, depth, () => { state.flame = state.flame.slice(0, depth); drawFlame(); }));
  const deepest = flameChildren(box, path[path.length - 1], 0, 1, path.length, state.flame);
  box.style.height = deepest * ROW + 'px';
}

function flameChildren(box, frame, from, width, depth, trail) {
  let deepest = depth, at = from;
  frame[2].forEach((child, index) => {
    const part = frame[1] ? child[1] / frame[1] * width : 0;
    if (part > 0.002 && depth < 60) {
      const inside = [...trail, index];
      flameFrame(box, child, at, part, depth, () => { state.flame = inside; drawFlame(); });
      deepest = Math.max(deepest, flameChildren(box, child, at, part, depth + 1, inside));
    }
    at += part;
  });
  return Math.max(deepest, depth);
}

function flameFrame(box, frame, from, width, depth, open) {
  const button = text('button', frame[0]);
  const category = run.categories.indexOf(frame[0]);
  button.type = 'button';
  button.style.cssText = `left:${from * 100}%;width:${width * 100}%;top:${depth * ROW}px;background:${category >= 0 ? COLOURS[category] : tint(frame[0])}`;
  button.addEventListener('click', open);
  button.addEventListener('pointermove', event => tip(`${frame[0]}\n${size(frame[1])}, ${(frame[1] / run.flame[1] * 100).toFixed(1)} % of the peak`, event));
  button.addEventListener('pointerleave', () => tip(''));
  box.append(button);
}

function tint(name) {
  let hash = 0;
  for (const letter of name) hash = (hash * 31 + letter.charCodeAt(0)) | 0;
  return `hsl(${30 + Math.abs(hash) % 40} 75% ${64 + Math.abs(hash >> 8) % 14}%)`;
}

// ---------------------------------------------------------------- the rest

function tip(content, event) {
  const box = el('tip');
  box.hidden = !content;
  if (!content) return;
  box.replaceChildren(...content.split('\n').map(line => text('div', line)));
  const { width, height } = box.getBoundingClientRect();
  box.style.left = Math.max(4, Math.min(event.clientX + 14, innerWidth - width - 8)) + 'px';
  box.style.top = Math.max(4, Math.min(event.clientY + 14, innerHeight - height - 8)) + 'px';
}

function toggleTheme() {
  document.documentElement.classList.toggle('dark');
  drawAll();
}

function drawStatic() {
  el('verdict').textContent = run.verdict;
  const shown = run.categories.map((name, i) => [name, i]).filter(([, i]) => run.moments.some(moment => moment[2][i]));
  for (const [name, i] of shown) {
    const label = text('span', name.replace('_', ' '));
    const dot = document.createElement('i');
    dot.style.background = COLOURS[i];
    label.prepend(dot);
    el('legend').append(label);
  }
  if (run.moments.some(moment => moment[1])) el('legend').append(text('span', '— reserved'));
  for (const [heading, columns, rows] of run.tables) {
    const table = document.createElement('table');
    table.append(row(columns, 'th'));
    rows.forEach(cells => table.append(row(cells, 'td', [0])));
    const scroll = document.createElement('div');
    scroll.className = 'scroll';
    scroll.append(table);
    el('tables').append(text('h2', heading), scroll);
  }
  run.notes.forEach(note => el('notes').append(text('p', note, 'keys')));
}

function drawAll() {
  drawTimeline();
  drawInstant();
  drawFlame();
}

document.documentElement.classList.toggle('dark', matchMedia('(prefers-color-scheme: dark)').matches);
el('theme').addEventListener('click', toggleTheme);
addEventListener('resize', drawAll);
drawStatic();
wireTimeline();
drawAll();
