// The whole run in small, with a brush for the part that the timeline shows.
const brush = () => {
  const width = el('minimap').clientWidth, scale = width / lastEvent();
  return { width, scale, from: state.from * scale, to: state.to * scale };
};

function drawMinimap() {
  const { context, width, height } = surface(el('minimap'));
  const highest = Math.max(...runs.map((one, index) => (data.diff || index === state.run ? one.totals[one.peakMoment] || 1 : 1)));
  const shapes = data.diff ? [runs[1 - state.run], run()] : [run()];
  for (const one of shapes) {
    context.fillStyle = css(one === run() ? '--map' : '--other');
    for (let pixel = 0; pixel < width; pixel += 1) {
      const from = pixel / width * lastEvent(), to = (pixel + 1) / width * lastEvent();
      if (from >= one.last) break;
      let bytes = 0;
      for (let at = momentAt(one.at, from); at < one.at.length && one.at[at] < to; at += 1) bytes = Math.max(bytes, one.totals[at]);
      context.fillRect(pixel, height - bytes / highest * (height - 4), 1, bytes / highest * (height - 4));
    }
  }
  for (const [event, shade] of [[run().failure?.event, '--bad'], [state.at, '--accent']]) {
    context.fillStyle = css(shade);
    if (event !== undefined) context.fillRect(event / lastEvent() * width - 1, 0, 2, height);
  }
  drawBrush(context, height);
}

function drawBrush(context, height) {
  const { width, from, to } = brush();
  context.fillStyle = css('--shade');
  context.fillRect(0, 0, from, height);
  context.fillRect(to, 0, width - to, height);
  context.strokeStyle = css('--accent');
  context.lineWidth = 2;
  context.strokeRect(from + 1, 1, Math.max(to - from - 2, 2), height - 2);
}

/** The brush is moved inside, resized at its ends, and drawn anew outside. */
function wireMinimap() {
  const canvas = el('minimap');
  let drag = null;
  canvas.addEventListener('pointerdown', event => {
    const { from, to, width } = brush(), x = event.offsetX;
    const whole = to - from > width - 2;
    const kind = !whole && Math.abs(x - from) < 8 ? 'from' : !whole && Math.abs(x - to) < 8 ? 'to' : !whole && x > from && x < to ? 'move' : 'new';
    drag = { kind, x, from: state.from, to: state.to };
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener('pointermove', event => {
    if (!drag) return;
    const { scale } = brush(), moved = (event.offsetX - drag.x) / scale;
    if (drag.kind === 'move') show(drag.from + moved, drag.to + moved);
    else if (drag.kind === 'from') show(Math.min(drag.from + moved, drag.to - 20), drag.to);
    else if (drag.kind === 'to') show(drag.from, Math.max(drag.to + moved, drag.from + 20));
    else if (Math.abs(event.offsetX - drag.x) > 4) show(...[drag.x / scale, event.offsetX / scale].sort((a, b) => a - b));
  });
  for (const end of ['pointerup', 'pointercancel']) canvas.addEventListener(end, () => { drag = null; });
}
