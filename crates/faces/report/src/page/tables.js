// The instant that is selected: its largest blocks, one of them in full, and the tables of the answer.
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

/** The tables of the answer. */
function drawTables() {
  for (const [heading, columns, rows] of run.tables) {
    const table = document.createElement('table');
    table.append(row(columns, 'th'));
    rows.forEach(cells => table.append(row(cells, 'td', [0])));
    const scroll = document.createElement('div');
    scroll.className = 'scroll';
    scroll.append(table);
    el('tables').append(text('h2', heading), scroll);
  }
}
