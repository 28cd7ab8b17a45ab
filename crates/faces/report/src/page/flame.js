// Who holds memory at the chosen instant, as a flame graph with the root on top.
const ROW = 20, DEEPEST = 60;

/** At the peak the answer has every holder. */
const isComplete = () => state.at === run().peakEvent && !isFiltered() && !state.hidden.size;

/** The holders at the instant: bytes, category, frames outermost first. */
function holdersNow() {
  const one = run();
  if (isComplete()) {
    return one.holders.map(([bytes, category, name]) => [bytes, category, pathOf(framesOf(one, name))]);
  }
  const rows = new Map();
  one.blocks.forEach(block => {
    if (!isAlive(block, state.at) || !passes(block)) return;
    const key = `${block[CATEGORY]} ${block[NAME]}`;
    rows.set(key, [(rows.get(key)?.[0] || 0) + block[BYTES], block[CATEGORY], block[NAME]]);
  });
  const listed = [...rows.values()].map(([bytes, category, name]) => [bytes, category, pathOf(framesOf(one, name))]);
  return [...listed, ...unlistedNow()];
}

/** Whether the page lists every block of the run, or the largest alone. */
const listsAll = one => one.blocks.length === one.allocations;

/** By category: what is in use at the instant besides the listed blocks. Filters that look at single blocks leave it out. */
function unlistedNow() {
  const one = run();
  if (listsAll(one) || isFiltered() || !one.moments.length) return [];
  const moment = one.moments[momentAt(one.at, state.at)], left = [...moment[2]];
  // At the moment's own event, at which its sums were taken.
  for (const block of one.blocks) if (isAlive(block, moment[0])) left[block[CATEGORY]] -= block[BYTES];
  return left.map((bytes, category) => [bytes, category, ['smaller blocks']]).filter(([bytes, category]) => bytes > 0 && !state.hidden.has(category));
}

/** Says what the flame graph lacks. */
function flameNote() {
  const one = run(), all = `the ${count(one.blocks.length)} largest blocks of ${count(one.allocations)}`;
  if (listsAll(one) || isComplete()) return '';
  return isFiltered() ? `Only ${all} are searched.` : `Stacks are kept of ${all}; the others are together as smaller blocks.`;
}

function treeNow() {
  const root = { name: 'all', bytes: 0, category: null, children: new Map() };
  for (const [bytes, category, path] of holdersNow()) {
    let at = root;
    at.bytes += bytes;
    for (const name of [spoken(data.categories[category]), ...path]) {
      if (!at.children.has(name)) at.children.set(name, { name, bytes: 0, category, children: new Map() });
      at = at.children.get(name);
      at.bytes += bytes;
    }
  }
  return root;
}

function drawFlame() {
  const box = el('flame'), root = treeNow();
  box.replaceChildren();
  el('flame-note').textContent = flameNote();
  el('flame-at').textContent = state.at === run().peakEvent ? 'the peak' : `event ${count(state.at)}`;
  const trail = [root];
  for (const name of state.flame) {
    const child = trail[trail.length - 1].children.get(name);
    if (!child) { state.flame = state.flame.slice(0, trail.length - 1); break; }
    trail.push(child);
  }
  const least = 14 / Math.max(box.clientWidth, 1);
  const scene = { box, root, least };
  trail.forEach((frame, depth) => flameFrame(scene, frame, 0, 1, depth, state.flame.slice(0, depth)));
  const deepest = flameChildren(scene, trail[trail.length - 1], 0, 1, trail.length, state.flame);
  box.style.height = `${Math.max(deepest, trail.length) * ROW}px`;
}

/** The children from the largest on; those that are too narrow to be hit become one frame. */
function flameChildren(scene, frame, from, width, depth, trail) {
  const children = [...frame.children.values()].sort((a, b) => b.bytes - a.bytes);
  let deepest = depth, at = from;
  const narrow = [];
  for (const child of children) {
    const part = frame.bytes ? child.bytes / frame.bytes * width : 0;
    if (part < scene.least || depth >= DEEPEST) { narrow.push(child); continue; }
    flameFrame(scene, child, at, part, depth, [...trail, child.name]);
    deepest = Math.max(deepest, flameChildren(scene, child, at, part, depth + 1, [...trail, child.name]));
    at += part;
  }
  const rest = sum(narrow.map(child => child.bytes));
  const part = frame.bytes ? rest / frame.bytes * width : 0;
  if (part < scene.least / 3) return deepest;
  const name = narrow.length === 1 ? narrow[0].name : `${narrow.length} more`;
  flameFrame(scene, { name, bytes: rest, category: null }, at, part, depth, narrow.length === 1 ? [...trail, name] : trail);
  return Math.max(deepest, depth + 1);
}

function flameFrame({ box, root }, frame, from, width, depth, trail) {
  const button = text('button', depth ? frame.name : `all, ${size(frame.bytes)}`);
  button.type = 'button';
  button.tabIndex = depth ? -1 : 0;
  button.style.cssText = `left:${from * 100}%;width:${width * 100}%;top:${depth * ROW}px`;
  if (frame.category !== null) {
    const name = data.categories[frame.category];
    // Deeper frames are lighter, so that they stand apart from the frame above.
    button.style.background = depth > 1 ? `color-mix(in srgb, ${colour(name)} ${depth % 2 ? 74 : 58}%, white)` : colour(name);
    button.style.color = depth > 1 ? '#14161a' : ink(name);
  }
  button.addEventListener('click', () => { state.flame = trail; drawFlame(); });
  button.addEventListener('pointermove', event => tip([frame.name, `${size(frame.bytes)}, ${percent(frame.bytes, root.bytes)} of ${el('flame-at').textContent}`], event));
  button.addEventListener('pointerleave', () => tip([]));
  box.append(button);
}

/** One stop for the tab key; arrows go from frame to frame. */
function wireFlame() {
  el('flame').addEventListener('keydown', event => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!step) return;
    const frames = [...el('flame').children], at = frames.indexOf(document.activeElement);
    frames[clamp(at + step, 0, frames.length - 1)]?.focus();
    event.preventDefault();
    event.stopPropagation();
  });
  el('libraries').addEventListener('change', () => { state.libraries = el('libraries').checked; drawFlame(); });
}
