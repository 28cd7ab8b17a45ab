// Pointer, wheel and touch on the timeline, and the buttons above it.
/** What is said of a block beside the pointer. */
function blockLines(index) {
  const block = run().blocks[index];
  const rounded = block[ROUNDED] > block[BYTES] ? ` (${size(block[ROUNDED])} with rounding)` : '';
  return [
    `${size(block[BYTES])} ${spoken(data.categories[block[CATEGORY]])}${rounded}`,
    [block[TENSOR], block[ADDRESS], run().streams[block[LANE]]].filter(Boolean).join(' · '),
    lifeText(block),
    whereText(stackOf(block)),
  ].filter(Boolean);
}

function lifeText(block) {
  const born = block[BORN] === null ? 'from before the first event' : `from event ${count(block[BORN])}`;
  return `${born} ${block[DIED] === null ? 'to the end' : `to event ${count(block[DIED])}`}`;
}

function momentLines(event) {
  const one = run();
  if (!one.moments.length) return [];
  const moment = one.moments[momentAt(one.at, event)];
  const rows = data.categories.map((name, i) => [moment[2][i], name]).filter(row => row[0]).sort((a, b) => b[0] - a[0]);
  const reserved = moment[1] ? `, ${size(moment[1])} reserved` : '';
  return [`event ${count(moment[0])}: ${size(sum(moment[2]))} in use${reserved}`, ...rows.map(([bytes, name]) => `${spoken(name)} ${size(bytes)}`)];
}

function hover(event) {
  const index = event.offsetX < view.left ? null : blockAt(toEvent(event.offsetX), toBytes(event.offsetY));
  if (index !== state.hover) { state.hover = index; drawMarks(); }
  if (event.pointerType === 'touch' || event.offsetX < view.left) { tip([]); return; }
  tip(index === null ? momentLines(toEvent(event.offsetX)) : blockLines(index), event);
}

function wireTimeline() {
  const canvas = el('timeline');
  const pointers = new Map();
  let drag = null;
  // Without ctrl or meta the wheel scrolls the page. A pinch on a touchpad arrives as a wheel with ctrl.
  canvas.addEventListener('wheel', event => {
    if (!event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    zoom(1.002 ** clamp(event.deltaY, -300, 300), toEvent(event.offsetX));
  }, { passive: false });
  canvas.addEventListener('pointerdown', event => {
    pointers.set(event.pointerId, event.offsetX);
    canvas.setPointerCapture(event.pointerId);
    drag = { x: event.offsetX, from: state.from, to: state.to, moved: pointers.size > 1, pinch: spread(pointers) };
  });
  canvas.addEventListener('pointermove', event => {
    if (!drag || !pointers.has(event.pointerId)) { hover(event); return; }
    pointers.set(event.pointerId, event.offsetX);
    if (drag.pinch) pinch(drag, spread(pointers)); else pan(drag, event.offsetX);
  });
  const release = event => {
    const clicked = drag && !drag.moved && event.type === 'pointerup';
    pointers.delete(event.pointerId);
    drag = null;
    if (!clicked || event.offsetX < view.left) return;
    const at = toEvent(event.offsetX);
    select(at, blockAt(at, toBytes(event.offsetY)));
  };
  canvas.addEventListener('pointerup', release);
  canvas.addEventListener('pointercancel', release);
  canvas.addEventListener('pointerleave', () => { tip([]); state.hover = null; drawMarks(); });
}

/** The middle of two fingers and how far they are apart; null unless there are two. */
function spread(pointers) {
  if (pointers.size !== 2) return null;
  const [a, b] = [...pointers.values()];
  return { middle: (a + b) / 2, apart: Math.max(Math.abs(a - b), 10) };
}

function pinch(drag, now) {
  if (!now) return;
  const span = (drag.to - drag.from) * drag.pinch.apart / now.apart;
  const share = x => (x - view.left) / (view.width - view.left);
  const around = drag.from + share(drag.pinch.middle) * (drag.to - drag.from);
  show(around - share(now.middle) * span, around - share(now.middle) * span + span);
}

function pan(drag, x) {
  drag.moved ||= Math.abs(x - drag.x) > 4;
  if (!drag.moved) return;
  const moved = (x - drag.x) / (view.width - view.left) * (drag.to - drag.from);
  show(drag.from - moved, drag.to - moved);
}

/** The instant while it is on screen, else the middle: what stays in place when a key or a button zooms. */
const anchor = () => (state.at >= state.from && state.at <= state.to ? state.at : (state.from + state.to) / 2);

function wireButtons() {
  const actions = {
    'zoom-in': () => zoom(0.5, anchor()), 'zoom-out': () => zoom(2, anchor()), 'zoom-all': () => show(0, lastEvent()),
    'to-peak': () => goTo(run().peakEvent), 'to-failure': goToFailure,
  };
  for (const [id, action] of Object.entries(actions)) el(id).addEventListener('click', action);
  on('run', () => { el('to-failure').hidden = !run().failure; });
}

function goToFailure() {
  if (run().failure) goTo(run().failure.event);
}
