// The chosen instant: the chosen block in full, the blocks that are alive, and the events around it.
const AROUND = 8;

function drawInstant() {
  const one = run();
  const names = [state.at === one.peakEvent && 'the peak', one.failures.some(failure => failure.event === state.at) && 'the failed request', phaseAt(state.at)];
  el('instant').textContent = [`event ${count(state.at)}`, ...names.filter(Boolean)].join(', ');
  drawSegments();
  drawSelected();
  drawBlocks();
  drawEvents();
}

function phaseAt(event) {
  const phase = run().phases.findLast(one => one[0] <= event);
  return phase ? phaseName(phase[2]) : '';
}

function drawSelected() {
  const box = el('selected'), block = run().blocks[state.block];
  box.replaceChildren();
  if (!block) {
    box.append(text('p', 'No block is chosen. Click a block in the timeline, in a segment or in the table to see where it is from.', 'keys'));
    return;
  }
  const name = data.categories[block[CATEGORY]];
  const head = text('strong', `${size(block[BYTES])} ${spoken(name)}`);
  const dot = document.createElement('i');
  dot.style.background = colour(name);
  head.prepend(dot);
  box.append(head, facts(blockFacts(block)), stackList(stackOf(block)));
}

function blockFacts(block) {
  const born = block[BORN] === null ? 'before the first event' : `event ${count(block[BORN])}`;
  const died = block[DIED] === null ? 'not in this run' : `event ${count(block[DIED])}`;
  return [
    ['requested', `${count(block[BYTES])} bytes`],
    ['rounded to', `${count(block[ROUNDED])} bytes`],
    ['tensor', block[TENSOR]], ['address', block[ADDRESS]], ['stream', run().streams[block[LANE]]],
    ['allocated', born], ['freed', died], ['where', whereText(stackOf(block))],
  ].filter(fact => fact[1]);
}

function facts(list) {
  const box = document.createElement('dl');
  for (const [name, value] of list) {
    const pair = document.createElement('div');
    pair.append(text('dt', name), text('dd', value));
    box.append(pair);
  }
  return box;
}

/** Blocks that are alive and pass the filters; equal ones share a row with their number. */
function liveRows() {
  const rows = new Map();
  run().blocks.forEach((block, index) => {
    if (!isAlive(block, state.at) || !passes(block)) return;
    const key = `${block[CATEGORY]} ${block[BYTES]} ${block[NAME]} ${block[TENSOR]}`;
    const row = rows.get(key);
    if (row) row.all.push(index); else rows.set(key, { all: [index], block });
  });
  return [...rows.values()];
}

function drawBlocks() {
  const rows = liveRows().map(({ all, block }) => {
    return {
      cells: [block[BYTES] * all.length, all.length, block[BYTES], spoken(data.categories[block[CATEGORY]]), block[TENSOR] || '', whereText(stackOf(block))],
      chosen: all.includes(state.block), choose: () => selectBlock(nextOf(all)),
    };
  });
  const tensors = rows.some(row => row.cells[4]);
  const columnsOf = [['together', 'bytes'], ['blocks', 'number'], ['each', 'bytes'], ['for', 'word'], ['tensor', 'word', !tensors], ['where', 'text']];
  el('blocknote').textContent = listsAll(run()) ? '' : `of the ${count(run().blocks.length)} largest of ${count(run().allocations)}`;
  fillTable(el('blocks'), { key: 'blocks', columns: columnsOf, rows, first: 12, sort: 0 });
}

/** The block after the chosen one among equal ones. */
const nextOf = all => all[(all.indexOf(state.block) + 1) % all.length];

let listed = { run: -1, events: [] };

/** Events of the listed blocks, of segments, failures and phases, in the order of the run. */
function listedEvents() {
  if (listed.run === state.run) return listed.events;
  const one = run(), events = [];
  one.blocks.forEach((block, index) => {
    if (block[BORN] !== null) events.push([block[BORN], 'alloc', block[BYTES], index]);
    if (block[DIED] !== null) events.push([block[DIED], 'free', block[BYTES], index]);
  });
  for (const segment of one.segments) {
    if (segment.born !== null) events.push([segment.born, 'segment alloc', segment.bytes, null, segment.address]);
    if (segment.died !== null) events.push([segment.died, 'segment free', segment.bytes, null, segment.address]);
  }
  for (const failure of one.failures) events.push([failure.event, 'request failed', failure.tried, null]);
  if (one.predicted) for (const [at, , name] of one.phases) events.push([at, `begin ${phaseName(name)}`, null, null]);
  events.sort((a, b) => a[0] - b[0]);
  listed = { run: state.run, events };
  return events;
}

function drawEvents() {
  const events = listedEvents();
  const middle = events.findIndex(event => event[0] >= state.at);
  const from = clamp((middle < 0 ? events.length : middle) - AROUND, 0, Math.max(events.length - 2 * AROUND, 0));
  const list = el('events');
  list.replaceChildren();
  for (const [at, what, bytes, index, address] of events.slice(from, from + 2 * AROUND)) {
    const block = index === null ? null : run().blocks[index];
    const cells = [count(at), what, bytes === null ? '' : size(bytes), block ? block[ADDRESS] || block[TENSOR] || '' : address ? `0x${address.toString(16)}` : '', block ? whereOf(stackOf(block))[0] : ''];
    const line = document.createElement('tr');
    cells.forEach((cell, i) => line.append(text('td', cell, ['n', 'word', 'n', 'word', 'text'][i])));
    line.classList.toggle('on', at === state.at);
    line.classList.toggle('failed', what === 'request failed');
    line.addEventListener('click', () => goTo(at, index));
    list.append(line);
  }
  el('eventnote').textContent = listsAll(run()) ? '' : `events of the ${count(run().blocks.length)} largest blocks of ${count(run().allocations)}`;
}

/** The listed event before or after the chosen one. */
function step(direction) {
  const events = listedEvents();
  const next = direction > 0 ? events.find(event => event[0] > state.at) : events.findLast(event => event[0] < state.at);
  if (next) goTo(next[0], next[3]);
}
