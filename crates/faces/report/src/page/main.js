// What is drawn once, and the start.
function toggleTheme() {
  document.documentElement.classList.toggle('dark');
  drawAll();
}

function drawStatic() {
  el('verdict').textContent = run.verdict;
  const shown = run.categories.filter((_, i) => run.moments.some(moment => moment[2][i]));
  for (const name of shown) {
    const label = text('span', name.replace('_', ' '));
    const dot = document.createElement('i');
    dot.style.background = colour(name);
    label.prepend(dot);
    el('legend').append(label);
  }
  if (run.moments.some(moment => moment[1])) el('legend').append(text('span', '— reserved'));
  drawTables();
  run.notes.forEach(note => el('notes').append(text('p', note, 'keys')));
}

function drawAll() {
  drawTimeline();
  drawInstant();
  drawFlame();
}

document.documentElement.classList.toggle('dark', matchMedia('(prefers-color-scheme: dark)').matches);
el('theme').addEventListener('click', toggleTheme);
addEventListener('resize', drawAll);
drawStatic();
wireTimeline();
drawAll();
