// The filters, the legend, and what is in use once they apply.
const isFiltered = () => Boolean(state.search || state.stream !== '' || state.least);
let searched = new Map();

/** Whether a stack has the text that is searched for; each stack is looked at once. */
function stackMatches(name) {
  if (!state.search) return true;
  const key = `${state.run}:${name}`;
  if (!searched.has(key)) searched.set(key, framesOf(run(), name).join('\n').toLowerCase().includes(state.search));
  return searched.get(key);
}

/** Whether a block passes the filters. Its address and its tensor can be searched for, too. */
function passes(block) {
  if (state.hidden.has(block[CATEGORY]) || block[BYTES] < state.least) return false;
  if (state.stream !== '' && block[LANE] !== Number(state.stream)) return false;
  if (stackMatches(block[NAME])) return true;
  return `${block[ADDRESS] || ''} ${block[TENSOR] || ''}`.toLowerCase().includes(state.search);
}

/** Bytes by category at every moment after the filters, and the blocks of each category in the order of their birth. */
let layers = { used: [], blocks: [] };

function applyFilter() {
  searched = new Map();
  const one = run();
  const blocks = data.categories.map(() => []);
  for (const index of one.order) if (passes(one.blocks[index])) blocks[one.blocks[index][CATEGORY]].push(index);
  layers = { blocks, used: isFiltered() ? filteredUse(one, blocks) : one.moments.map(moment => shownUse(moment[2])) };
}

const shownUse = used => (state.hidden.size ? used.map((bytes, category) => (state.hidden.has(category) ? 0 : bytes)) : used);

/** Use at every moment of the blocks that pass alone: births are added, deaths taken away. */
function filteredUse(one, blocks) {
  const used = one.moments.map(() => new Array(data.categories.length).fill(0));
  blocks.forEach((list, category) => {
    const change = new Float64Array(one.moments.length + 1);
    for (const index of list) {
      const block = one.blocks[index];
      const born = block[BORN] === null ? 0 : firstMoment(one.at, block[BORN]);
      const died = block[DIED] === null ? one.moments.length : firstMoment(one.at, block[DIED]);
      change[born] += block[BYTES];
      change[died] -= block[BYTES];
    }
    let now = 0;
    for (let at = 0; at < one.moments.length; at += 1) { now += change[at]; used[at][category] = now; }
  });
  return used;
}

/** The first moment at or after an event; one past the last if there is none. */
function firstMoment(events, event) {
  const before = momentAt(events, event);
  return events[before] >= event ? before : before + 1;
}

/** The legend is a switch for each category; the key with Alt or a double click leaves it alone. */
function drawLegend() {
  const box = el('legend');
  box.replaceChildren();
  data.categories.forEach((name, category) => {
    if (!run().moments.some(moment => moment[2][category])) return;
    const button = text('button', spoken(name));
    button.type = 'button';
    button.setAttribute('aria-pressed', String(!state.hidden.has(category)));
    const dot = document.createElement('i');
    dot.style.background = colours[category];
    button.prepend(dot);
    button.addEventListener('click', () => toggleCategory(category));
    button.addEventListener('dblclick', () => onlyCategory(category));
    box.append(button);
  });
  for (const [there, mark, label] of legendLines()) if (there) box.append(lineOfLegend(mark, label));
}

function legendLines() {
  const other = data.diff && runs[1 - state.run];
  return [
    [run().reserved.some(Boolean), 'reserved', 'reserved'],
    [run().capacity, 'capacity', nameOfEnd()],
    [other, 'other', other ? other.label : ''],
  ];
}

function lineOfLegend(mark, label) {
  const line = text('span', label);
  line.prepend(text('i', '', `line ${mark}`));
  return line;
}

function toggleCategory(category) {
  if (!state.hidden.delete(category)) state.hidden.add(category);
  changed('filter');
}

function onlyCategory(category) {
  state.hidden = new Set(data.categories.map((_, other) => other).filter(other => other !== category));
  changed('filter');
}

/** Bytes from `12 MiB`, `1.5g` or `4096`; 0 if it is none of them. */
function parseSize(words) {
  const found = /^\s*([\d.]+)\s*([kmgt]?)(i?b)?\s*$/i.exec(words);
  return found ? Number(found[1]) * 1024 ** ' kmgt'.indexOf(found[2].toLowerCase() || ' ') : 0;
}

function drawStreams() {
  const box = el('stream');
  box.replaceChildren(new Option('all streams', ''), ...run().streams.map((name, lane) => new Option(name, String(lane))));
  box.value = state.stream;
  box.closest('label').hidden = run().streams.length < 2;
}

function wireFilter() {
  const read = () => {
    state.search = el('search').value.trim().toLowerCase();
    state.stream = el('stream').value;
    state.least = parseSize(el('least').value);
    changed('filter');
  };
  for (const id of ['search', 'least']) el(id).addEventListener('input', read);
  el('stream').addEventListener('change', read);
  el('unfilter').addEventListener('click', () => {
    el('search').value = '';
    el('least').value = '';
    el('stream').value = '';
    state.hidden.clear();
    read();
  });
  on('filter', () => { applyFilter(); drawLegend(); filterNote(); });
  on('run', () => { state.stream = ''; drawStreams(); applyFilter(); drawLegend(); filterNote(); });
}

function filterNote() {
  const passing = sum(layers.blocks.map(list => list.length));
  const filtered = isFiltered() || state.hidden.size > 0;
  el('unfilter').hidden = !filtered;
  el('matches').textContent = filtered ? `${count(passing)} of ${count(run().blocks.length)} blocks` : '';
}
