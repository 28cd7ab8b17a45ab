// Memory over time, with zoom and selection.
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
    context.fillStyle = colour(run.categories[category]);
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

function drawMark(context, width, floor, event, shade, label) {
  const x = toX(event, width);
  if (x < LEFT || x > width) return;
  context.fillStyle = shade;
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
