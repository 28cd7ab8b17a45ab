// Memory over time: the picture, and over it what is chosen and under the pointer.
const BOTTOM = 40, TOP = 36;
/** How the picture was drawn last: its scales, and the moments in it. */
let view = { left: 70, width: 1, height: 1, top: 1, shown: [], totals: [] };
const toX = event => view.left + (event - state.from) / (state.to - state.from) * (view.width - view.left);
const toEvent = x => state.from + (x - view.left) / (view.width - view.left) * (state.to - state.from);
const floorOf = () => view.height - BOTTOM;
const toY = bytes => floorOf() - bytes / view.top * (floorOf() - TOP);
const toBytes = y => (floorOf() - y) / (floorOf() - TOP) * view.top;
const inside = x => x >= view.left - 0.5 && x <= view.width + 0.5;

function drawTimeline() {
  const { context, width, height } = surface(el('timeline'));
  const totals = layerTotals();
  const shown = columns(run(), totals, width);
  const top = topOf(shown, totals);
  const ticks = byteTicks(top, Math.floor((height - BOTTOM - TOP) / 44));
  // The labels decide the margin, so that none is cut.
  const left = Math.ceil(Math.max(...ticks.map(tick => context.measureText(tick[1]).width))) + 16;
  view = { left, width, height, top, shown, totals, ticks };
  context.save();
  context.beginPath();
  context.rect(left, 0, width - left, height);
  context.clip();
  drawLayers(context);
  drawEdges(context);
  drawLines(context);
  context.restore();
  drawAxes(context);
  drawPhases(context);
  el('range').textContent = `events ${count(state.from)} to ${count(state.to)} of ${count(lastEvent())}`;
  drawMarks();
}

/** Points of a staircase: what is in use stays until the next moment. */
function stairs(context, points, end) {
  points.forEach(([event, bytes], at) => {
    context.lineTo(toX(event), toY(bytes));
    context.lineTo(toX(at + 1 < points.length ? points[at + 1][0] : end), toY(bytes));
  });
}

const endOfPicture = one => Math.min(state.to, one.last);

function drawLayers(context) {
  const one = run(), end = endOfPicture(one);
  const base = view.shown.map(() => 0);
  data.categories.forEach((_, category) => {
    if (!view.shown.some(at => layers.used[at][category])) return;
    const lower = view.shown.map((at, i) => [one.at[at], base[i]]);
    view.shown.forEach((at, i) => { base[i] += layers.used[at][category]; });
    const upper = view.shown.map((at, i) => [one.at[at], base[i]]);
    context.fillStyle = colours[category];
    context.beginPath();
    stairs(context, upper, end);
    for (let i = lower.length - 1; i >= 0; i -= 1) {
      const next = i + 1 < lower.length ? lower[i + 1][0] : end;
      context.lineTo(toX(next), toY(lower[i][1]));
      context.lineTo(toX(lower[i][0]), toY(lower[i][1]));
    }
    context.fill();
  });
}

/** Thin lines between blocks that are high enough to be seen one by one. */
function drawEdges(context) {
  const least = 4 / (floorOf() - TOP) * view.top;
  context.strokeStyle = css('--edge');
  context.lineWidth = 0.7;
  context.beginPath();
  for (const line of edges(view.shown, least)) {
    context.moveTo(toX(line[0][0]), toY(line[0][1]));
    line.forEach(([event, bytes], at) => {
      if (at) context.lineTo(toX(event), toY(line[at - 1][1]));
      context.lineTo(toX(event), toY(bytes));
    });
  }
  context.stroke();
}

function drawLines(context) {
  // A contour: the darkest categories would not stand out from a dark page.
  line(context, view.shown.map(at => [run().at[at], view.totals[at]]), endOfPicture(run()), css('--contour'), [], 1);
  if (!isFiltered() && !state.hidden.size && run().reserved.some(Boolean)) {
    line(context, reservedPoints(), endOfPicture(run()), css('--ink'), []);
  }
  if (isFiltered() || state.hidden.size) line(context, view.shown.map(at => [run().at[at], run().totals[at]]), endOfPicture(run()), css('--soft'), [2, 3]);
  if (data.diff) drawOther(context, runs[1 - state.run]);
  const end = run().capacity;
  if (!end) return;
  if (end <= view.top) line(context, [[state.from, end]], state.to, css('--bad'), [7, 4]);
}

/** The other run of a comparison, as a line over the one that is filled. */
function drawOther(context, other) {
  const shown = columns(other, other.totals, view.width);
  line(context, shown.map(at => [other.at[at], other.totals[at]]), endOfPicture(other), css('--card'), [], 4);
  line(context, shown.map(at => [other.at[at], other.totals[at]]), endOfPicture(other), css('--other'), [], 2);
}

function line(context, points, end, shade, dash, width = 1.5) {
  context.strokeStyle = shade;
  context.lineWidth = width;
  context.setLineDash(dash);
  context.beginPath();
  stairs(context, points, end);
  context.stroke();
  context.setLineDash([]);
}

function drawAxes(context) {
  const { left, width } = view, floor = floorOf();
  context.textAlign = 'right';
  for (const [bytes, label] of view.ticks) {
    context.fillStyle = css('--soft');
    context.fillText(label, left - 8, Math.max(toY(bytes) + 4, 12));
    context.fillStyle = css('--grid');
    context.fillRect(left, Math.round(toY(bytes)), width - left, 1);
  }
  context.textAlign = 'center';
  for (const event of eventTicks(state.from, state.to, Math.max(3, Math.floor((width - left) / 90)))) {
    const x = toX(event), half = context.measureText(count(event)).width / 2;
    context.fillStyle = css('--line');
    context.fillRect(x, floor, 1, 5);
    context.fillStyle = css('--soft');
    if (x + half <= width - 48) context.fillText(count(event), Math.max(x, left + half - 4), floor + 17);
  }
  context.textAlign = 'right';
  context.fillText('events', width - 2, floor + 17);
  drawEndOfGpu(context);
}

/** The capacity of a prediction is what the CUDA context leaves; that of a recording is what its failure shows. */
const nameOfEnd = () => (run().predicted ? 'the GPU without the CUDA context' : 'all that the GPU had');

function drawEndOfGpu(context) {
  const end = run().capacity;
  if (!end || isFiltered() || state.hidden.size) return;
  const name = nameOfEnd();
  const above = end > view.top;
  label(context, `${above ? '↑ ' : ''}${name}, ${size(end)}`, view.left + 6, above ? TOP + 12 : toY(end) + 14, css('--bad'), 'left');
}

/** A text that stays readable on whatever is below it. */
function label(context, words, x, y, shade, align) {
  context.textAlign = align;
  const width = context.measureText(words).width;
  const start = align === 'right' ? x - width : x;
  context.fillStyle = css('--veil');
  context.fillRect(start - 3, y - 11, width + 6, 15);
  context.fillStyle = shade;
  context.fillText(words, x, y);
}

/** A band under the axis: where phases begin, with their names where there is room. */
function drawPhases(context) {
  const phases = run().phases, y = view.height - 15;
  phases.forEach(([at, kind, name], index) => {
    const end = index + 1 < phases.length ? phases[index + 1][0] : run().last;
    const from = Math.max(toX(at), view.left), to = Math.min(toX(end), view.width);
    if (to <= from) return;
    context.fillStyle = css(`--phase-${kind}`) || css('--line');
    context.fillRect(from, y, Math.max(to - from - 1, 0.5), 14);
    const words = [phaseName(name), spoken(kind)].find(one => context.measureText(one).width < to - from - 8);
    context.textAlign = 'left';
    context.fillStyle = css('--ink');
    if (words) context.fillText(words, from + 4, y + 11);
  });
}

/** What lies over the picture: it is drawn anew with every move of the pointer. */
function drawMarks() {
  const { context } = surface(el('marks'));
  mark(context, run().peakEvent, css('--ink'), `peak ${size(run().totals[run().peakMoment])}`, 12, [2, 3]);
  for (const failure of run().failures) mark(context, failure.event, css('--bad'), `failed request, ${size(failure.tried)}`, 28, []);
  mark(context, state.at, css('--accent'), '', 0, []);
  if (state.hover !== null && state.hover !== state.block) drawOutline(context, state.hover, 1.5);
  if (state.block !== null) drawOutline(context, state.block, 2.5);
}

function mark(context, event, shade, words, y, dash) {
  const x = toX(event);
  if (!inside(x)) return;
  context.strokeStyle = shade;
  context.lineWidth = 1.5;
  context.setLineDash(dash);
  context.beginPath();
  context.moveTo(x, words ? y - 10 : 0);
  context.lineTo(x, floorOf());
  context.stroke();
  context.setLineDash([]);
  const room = context.measureText(words).width + 10;
  if (words) label(context, words, x + room > view.width ? x - 5 : x + 5, y, shade, x + room > view.width ? 'right' : 'left');
}

function drawOutline(context, index, width) {
  const block = run().blocks[index], lower = outlineOf(index, view.shown);
  if (!lower.length) return;
  const end = Math.min(lifeOf(block)[1], state.to);
  context.save();
  context.beginPath();
  context.rect(view.left, 0, view.width - view.left, floorOf() + 2);
  context.clip();
  for (const [shade, line] of [[css('--card'), width + 2], [css('--ink'), width]]) {
    context.strokeStyle = shade;
    context.lineWidth = line;
    context.beginPath();
    stairs(context, lower.map(([event, bytes]) => [event, bytes + block[BYTES]]), end);
    context.lineTo(toX(end), toY(lower[lower.length - 1][1]));
    for (let at = lower.length - 1; at >= 0; at -= 1) {
      context.lineTo(toX(at + 1 < lower.length ? lower[at + 1][0] : end), toY(lower[at][1]));
      context.lineTo(toX(lower[at][0]), toY(lower[at][1]));
    }
    context.closePath();
    context.stroke();
  }
  context.restore();
}
