// The segments at the instant, and the blocks in them.
/** Segments as rows of a shelf, each as long as it is large; blocks in their colours. */
function drawSegments(live) {
  const canvas = el('segments');
  const there = run.segments.map(([address, bytes, born, died]) => ({ address: BigInt(address), bytes, born, died })).filter(s => (s.born === null || s.born <= state.at) && (s.died === null || s.died > state.at));
  canvas.hidden = !there.length;
  canvas.closest('.two').classList.toggle('bare', !there.length);
  el('segnote').textContent = there.length ? `${there.length} segments by address; empty is free memory and small blocks` : 'a prediction has no addresses: segments are in recordings only';
  if (!there.length) return;
  const { context, width, height } = surface(canvas);
  const lines = Math.max(1, Math.min(9, Math.floor(height / 24)));
  const perLine = sum(there.map(segment => segment.bytes)) / lines;
  const sorted = live.filter(block => block[ADDRESS] !== null).map(block => ({ block, address: BigInt(block[ADDRESS]) }));
  let offset = 0;
  for (const segment of there) {
    shelf(context, offset, segment.bytes, perLine, width, height / lines, css('--line'));
    for (const { block, address } of sorted) {
      if (address < segment.address || address >= segment.address + BigInt(segment.bytes)) continue;
      const shade = block === state.block ? css('--ink') : colour(run.categories[block[CATEGORY]]);
      shelf(context, offset + Number(address - segment.address), block[BYTES], perLine, width, height / lines, shade);
    }
    offset += segment.bytes;
    const x = (offset % perLine) / perLine * width;
    context.fillStyle = css('--card');
    context.fillRect(x - 1, Math.floor(offset / perLine) * height / lines, 1.5, height / lines);
  }
}

/** A range of memory, which may go over several lines. */
function shelf(context, from, bytes, perLine, width, lineHeight, shade) {
  context.fillStyle = shade;
  let left = bytes;
  while (left > 0) {
    const line = Math.floor(from / perLine + 1e-9), within = from - line * perLine;
    const part = Math.min(left, perLine - within);
    context.fillRect(within / perLine * width, line * lineHeight + 2, Math.max(part / perLine * width - 0.3, 0.3), lineHeight - 4);
    if (part <= 0) break;
    from += part;
    left -= part;
  }
}
