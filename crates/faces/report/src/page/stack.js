// The picture of the timeline as numbers: which moments are drawn, how high it is, which block is where.
/** Moments on screen, one for each pixel at most: the highest of those that share a pixel. */
function columns(one, totals, width) {
  const scale = width / (state.to - state.from);
  const kept = [];
  let pixel = -Infinity;
  for (let at = momentAt(one.at, state.from); at < one.at.length && one.at[at] <= state.to; at += 1) {
    const now = Math.floor((Math.max(one.at[at], state.from) - state.from) * scale);
    if (now !== pixel) kept.push(at);
    else if (totals[at] > totals[kept[kept.length - 1]]) kept[kept.length - 1] = at;
    pixel = now;
  }
  return kept;
}

const layerTotals = () => layers.used.map(sum);

/** What was reserved, as points: the most of the moments that share a pixel. */
const reservedPoints = () => columns(run(), run().reserved, view.width).map(at => [run().at[at], run().reserved[at]]);

/** Bytes at the top of the picture: the highest on screen, and the end of the GPU if it is not far above. */
function topOf(shown, totals) {
  let top = 1;
  for (const at of shown) top = Math.max(top, totals[at]);
  if (!isFiltered() && !state.hidden.size) for (const at of columns(run(), run().reserved, 1000)) top = Math.max(top, run().reserved[at]);
  if (data.diff) for (const at of columns(runs[1 - state.run], runs[1 - state.run].totals, 1000)) top = Math.max(top, runs[1 - state.run].totals[at]);
  const end = run().capacity;
  return (end && end > top && end < top * 2.5 && !isFiltered() && !state.hidden.size ? end : top) * 1.06;
}

/** Bytes below a category at a moment. */
function below(moment, category) {
  const used = layers.used[moment];
  let bytes = 0;
  for (let lower = 0; lower < category; lower += 1) bytes += used[lower];
  return bytes;
}

/** The block that is drawn at an event and a height in bytes; null between blocks and where only small ones are. */
function blockAt(event, bytes) {
  const one = run();
  if (event < 0 || event >= one.last || bytes < 0) return null;
  const moment = momentAt(one.at, event);
  let base = 0;
  for (let category = 0; category < data.categories.length; category += 1) {
    const here = layers.used[moment][category];
    if (bytes < base + here) return blockWithin(category, one.at[moment], bytes - base);
    base += here;
  }
  return null;
}

function blockWithin(category, event, bytes) {
  const one = run();
  let base = 0;
  for (const index of layers.blocks[category]) {
    const block = one.blocks[index];
    if (block[BORN] !== null && block[BORN] > event) break;
    if (!isAlive(block, event)) continue;
    base += block[BYTES];
    if (bytes < base) return index;
  }
  return null;
}

/** The blocks that can lie below a block: those of its category that were born before it and live into its life. */
function blocksBelow(index) {
  const one = run(), block = one.blocks[index];
  const [born] = lifeOf(block);
  const list = layers.blocks[block[CATEGORY]];
  const place = list.indexOf(index);
  return place < 0 ? null : list.slice(0, place).map(other => one.blocks[other]).filter(other => other[DIED] === null || other[DIED] > born);
}

/** Where a block is drawn: event, bytes at its lower edge, for each column of its life. */
function outlineOf(index, shown) {
  const one = run(), block = one.blocks[index], lower = blocksBelow(index);
  if (!lower) return [];
  const points = [];
  for (const moment of shown) {
    const event = one.at[moment];
    if (!isAlive(block, event)) continue;
    let bytes = below(moment, block[CATEGORY]);
    for (const other of lower) if (isAlive(other, event)) bytes += other[BYTES];
    points.push([event, bytes]);
  }
  return points;
}

/** Upper edges of the blocks that are at least `least` bytes high, as runs of points: [[event, bytes], …] for each block. */
function edges(shown, least) {
  const lines = [];
  layers.blocks.forEach((list, category) => {
    if (list.length) categoryEdges(list, category, shown, least, lines);
  });
  return lines;
}

function categoryEdges(list, category, shown, least, lines) {
  const one = run();
  let next = 0, alive = [];
  const line = new Map();
  for (const moment of shown) {
    const event = one.at[moment];
    while (next < list.length && (one.blocks[list[next]][BORN] ?? -1) <= event) { alive.push(list[next]); next += 1; }
    alive = alive.filter(index => one.blocks[index][DIED] === null || one.blocks[index][DIED] > event);
    let bytes = below(moment, category);
    for (const index of alive) {
      bytes += one.blocks[index][BYTES];
      if (one.blocks[index][BYTES] < least) continue;
      if (!line.has(index)) { line.set(index, []); lines.push(line.get(index)); }
      line.get(index).push([event, bytes]);
    }
  }
}
