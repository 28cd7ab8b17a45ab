// The runs of the page and what is shown of them.
const data = JSON.parse(document.getElementById('data').textContent);
const el = id => document.getElementById(id);
const sum = list => { let all = 0; for (const one of list) all += one; return all; };
const [BORN, DIED, BYTES, CATEGORY, NAME, ADDRESS, TENSOR, LANE, ROUNDED] = [0, 1, 2, 3, 4, 5, 6, 7, 8];

/** What is selected, filtered and on screen. `block` is a block's number in the run, `at` an event, `run` a run's number. */
const state = {
  run: data.first, from: 0, to: 1, at: 0, block: null, hover: null,
  hidden: new Set(), search: '', stream: '', least: 0, flame: [], libraries: false,
};

/** Every run with what can be derived from it once. */
const runs = data.runs.map(run => {
  const totals = Float64Array.from(run.moments, moment => sum(moment[2]));
  const reserved = Float64Array.from(run.moments, moment => moment[1]);
  const peakMoment = totals.indexOf(totals.reduce((a, b) => Math.max(a, b), 0));
  const order = run.blocks.map((_, index) => index).sort((a, b) => (run.blocks[a][BORN] ?? -1) - (run.blocks[b][BORN] ?? -1) || a - b);
  const failure = run.failures[run.failures.length - 1] || null;
  return {
    ...run, totals, reserved, peakMoment, order, failure,
    last: Math.max(run.events, 1),
    peakEvent: run.moments.length ? run.moments[peakMoment][0] : 0,
    at: Float64Array.from(run.moments, moment => moment[0]),
    segments: run.segments.map(([address, bytes, born, died]) => ({ address: Number(address), bytes, born, died })),
    address: Float64Array.from(run.blocks, block => (block[ADDRESS] === null ? NaN : Number(block[ADDRESS]))),
  };
});
const run = () => runs[state.run];
/** Both runs of a comparison have one axis, as long as the longer one. */
const lastEvent = () => (data.diff ? Math.max(...runs.map(one => one.last)) : run().last);

const isAlive = (block, at) => (block[BORN] === null || block[BORN] <= at) && (block[DIED] === null || block[DIED] > at);
const lifeOf = block => [block[BORN] ?? 0, block[DIED] ?? run().last];

/** The last moment at or before an event, by number. */
function momentAt(events, event) {
  let low = 0, high = events.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (events[middle] <= event) low = middle; else high = middle - 1;
  }
  return low;
}

const clamp = (value, least, most) => Math.min(Math.max(value, least), Math.max(most, least));

/** Functions that draw a part of the page anew, by what changed. */
const listeners = { view: [], instant: [], filter: [], run: [] };
const on = (what, listener) => listeners[what].push(listener);
const changed = what => listeners[what].forEach(listener => listener());

/** Chooses an instant, and a block: where none is named, the largest that is alive. Blocks stand in the order of their size. */
function select(event, block = null) {
  state.at = clamp(Math.round(event), 0, run().last - 1);
  state.block = block ?? largestAt(state.at);
  changed('instant');
}

function largestAt(event) {
  const index = run().blocks.findIndex(block => isAlive(block, event) && passes(block));
  return index < 0 ? null : index;
}

function selectBlock(index) {
  state.block = index;
  changed('instant');
}

function show(from, to) {
  const end = lastEvent();
  const span = clamp(to - from, Math.min(20, end), end);
  state.from = clamp(from, 0, end - span);
  state.to = state.from + span;
  changed('view');
}

function zoom(factor, around) {
  const span = state.to - state.from;
  const share = (around - state.from) / span;
  const next = clamp(span * factor, Math.min(20, lastEvent()), lastEvent());
  show(around - share * next, around - share * next + next);
}

/** Selects an instant and moves the window if it is outside of it. */
function goTo(event, block = null) {
  select(event, block);
  const span = state.to - state.from;
  if (state.at < state.from || state.at > state.to) show(state.at - span / 2, state.at + span / 2);
}

function chooseRun(index) {
  state.run = index;
  Object.assign(state, { hover: null, flame: [], at: run().peakEvent, block: largestAt(run().peakEvent) });
  if (!data.diff) Object.assign(state, { from: 0, to: run().last });
  changed('run');
}
