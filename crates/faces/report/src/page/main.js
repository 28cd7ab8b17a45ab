// The choice of runs, and the start.
function drawRuns() {
  const box = el('runs');
  if (runs.length > 1 && !box.childElementCount) {
    box.append(...runs.map((one, index) => new Option(one.label, String(index))));
    box.addEventListener('change', () => chooseRun(Number(box.value)));
  }
  box.value = String(state.run);
  box.closest('label').hidden = runs.length < 2;
}

/** Redraws once for many changes between two pictures of the screen. */
function soon(draw) {
  let waits = false;
  return () => {
    if (waits) return;
    waits = true;
    requestAnimationFrame(() => { waits = false; draw(); });
  };
}

function start() {
  const drawInstantSoon = soon(drawInstant), drawFlameSoon = soon(drawFlame);
  wireFilter();
  wireButtons();
  on('run', () => { drawRuns(); drawAnswer(); drawTables(); });
  for (const what of ['view', 'filter', 'run']) on(what, soon(drawTimeline));
  for (const what of ['view', 'instant', 'run']) on(what, soon(drawMinimap));
  for (const what of ['instant', 'filter', 'run']) {
    on(what, drawInstantSoon);
    on(what, drawFlameSoon);
  }
  on('instant', soon(drawMarks));
  for (const what of Object.keys(listeners)) on(what, writeAddress);
  wireTimeline();
  wireMinimap();
  wireSegments();
  wireFlame();
  wireRows(el('blocks'));
  wireKeyboard();
  document.documentElement.classList.toggle('dark', matchMedia('(prefers-color-scheme: dark)').matches);
  addEventListener('resize', () => { changed('view'); changed('instant'); });
  addEventListener('hashchange', readAddress);
  readAddress();
}

start();
