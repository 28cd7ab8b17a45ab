// Keys, the help, and the address of what is shown.
function toggleTheme() {
  document.documentElement.classList.toggle('dark');
  changed('view');
  changed('instant');
}

function toggleHelp() {
  const help = el('help');
  if (help.open) help.close(); else help.showModal();
}

function move(direction) {
  const span = state.to - state.from;
  show(state.from + direction * span / 5, state.from + direction * span / 5 + span);
}

const KEYS = {
  '+': () => zoom(0.5, anchor()), '=': () => zoom(0.5, anchor()), '-': () => zoom(2, anchor()), 0: () => show(0, lastEvent()),
  ArrowLeft: () => move(-1), ArrowRight: () => move(1), ',': () => step(-1), '.': () => step(1),
  p: () => goTo(run().peakEvent), f: goToFailure, d: toggleTheme, '?': toggleHelp,
  '/': () => el('search').focus(), Escape: () => selectBlock(null),
};

function wireKeyboard() {
  document.addEventListener('keydown', event => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const typing = event.target.matches('input, select, textarea');
    if (typing && event.key === 'Escape') event.target.blur();
    if (typing || (el('help').open && event.key !== '?')) return;
    const action = KEYS[event.key];
    if (!action) return;
    event.preventDefault();
    action();
  });
  el('help-open').addEventListener('click', toggleHelp);
  el('help-close').addEventListener('click', toggleHelp);
  el('theme').addEventListener('click', toggleTheme);
}

/** What is shown as the part of the address after #: the instant, the block, the run, the window. */
function address() {
  const parts = [`t=${state.at}`, state.block === null ? '' : `b=${state.block}`, runs.length > 1 ? `d=${state.run}` : ''];
  const whole = state.from === 0 && state.to === lastEvent();
  if (!whole) parts.push(`w=${Math.round(state.from)}-${Math.round(state.to)}`);
  return `#${parts.filter(Boolean).join('&')}`;
}

let writing = 0;

/** Browsers refuse an address that changes with every move, so it is written a moment later. */
function writeAddress() {
  clearTimeout(writing);
  writing = setTimeout(() => history.replaceState(null, '', address()), 150);
}

const number = (values, name, below) => {
  const value = Number.parseInt(values.get(name), 10);
  return Number.isInteger(value) && value >= 0 && value < below ? value : null;
};

/** Takes over what the address says. What it says of another page is left out. */
function readAddress() {
  const values = new URLSearchParams(location.hash.slice(1));
  chooseRun(number(values, 'd', runs.length) ?? data.first);
  const window = /^(\d+)-(\d+)$/.exec(values.get('w') || '');
  show(window ? Number(window[1]) : 0, window ? Number(window[2]) : lastEvent());
  const at = number(values, 't', run().last), block = number(values, 'b', run().blocks.length);
  if (at !== null || block !== null) select(at ?? run().peakEvent, block);
}
