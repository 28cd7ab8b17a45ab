// Who holds the peak, as a flame graph.
const ROW = 20;

function drawFlame() {
  const box = el('flame');
  box.replaceChildren();
  const path = [run.flame];
  for (const index of state.flame) path.push(path[path.length - 1][2][index]);
  path.forEach((frame, depth) => flameFrame(box, frame, 0, 1, depth, () => { state.flame = state.flame.slice(0, depth); drawFlame(); }));
  const deepest = flameChildren(box, path[path.length - 1], 0, 1, path.length, state.flame);
  box.style.height = deepest * ROW + 'px';
}

function flameChildren(box, frame, from, width, depth, trail) {
  let deepest = depth, at = from;
  frame[2].forEach((child, index) => {
    const part = frame[1] ? child[1] / frame[1] * width : 0;
    if (part > 0.002 && depth < 60) {
      const inside = [...trail, index];
      flameFrame(box, child, at, part, depth, () => { state.flame = inside; drawFlame(); });
      deepest = Math.max(deepest, flameChildren(box, child, at, part, depth + 1, inside));
    }
    at += part;
  });
  return Math.max(deepest, depth);
}

function flameFrame(box, frame, from, width, depth, open) {
  const button = text('button', frame[0]);
  button.type = 'button';
  button.style.cssText = `left:${from * 100}%;width:${width * 100}%;top:${depth * ROW}px;background:${colour(frame[0])}`;
  button.addEventListener('click', open);
  button.addEventListener('pointermove', event => tip(`${frame[0]}\n${size(frame[1])}, ${(frame[1] / run.flame[1] * 100).toFixed(1)} % of the peak`, event));
  button.addEventListener('pointerleave', () => tip(''));
  box.append(button);
}
