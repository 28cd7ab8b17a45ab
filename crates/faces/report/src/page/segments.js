// The segments at the instant, and the blocks in them.
/** What was drawn, for the pointer: line, x and width of each piece, with its segment and its block. */
let shelves = { pieces: [], height: 1 };

const segmentsNow = () => run().segments.filter(segment => isAlive([segment.born, segment.died], state.at));

/** Live blocks of the run by address. */
function blocksByAddress() {
  const one = run(), found = [];
  one.blocks.forEach((block, index) => { if (!Number.isNaN(one.address[index]) && isAlive(block, state.at)) found.push(index); });
  return found.sort((a, b) => one.address[a] - one.address[b]);
}

/** Segments as rows of a shelf, each as long as it is large; blocks in their colours, rounding in red. */
function drawSegments() {
  const canvas = el('segments'), there = segmentsNow();
  canvas.closest('.two').classList.toggle('bare', !there.length);
  canvas.hidden = !there.length;
  el('segnote').textContent = there.length ? `${count(there.length)} segments by address, ${size(sum(there.map(one => one.bytes)))}; red is lost to rounding, the rest without colour is free` : '';
  shelves = { pieces: [], height: 1 };
  if (!there.length) return;
  const { context, width, height } = surface(canvas);
  const lines = clamp(Math.floor(height / 24), 1, 9);
  const shelf = { context, width, lines, perLine: sum(there.map(one => one.bytes)) / lines, height: height / lines };
  shelves.height = shelf.height;
  const blocks = blocksByAddress();
  let offset = 0, next = 0;
  for (const segment of there) {
    piece(shelf, offset, segment.bytes, css('--free'), { segment, block: null });
    while (next < blocks.length && run().address[blocks[next]] < segment.address) next += 1;
    for (; next < blocks.length && run().address[blocks[next]] < segment.address + segment.bytes; next += 1) {
      drawSegmentBlock(shelf, segment, blocks[next], offset + run().address[blocks[next]] - segment.address);
    }
    offset += segment.bytes;
    separator(shelf, offset);
  }
  outlineChosen(shelf);
}

function drawSegmentBlock(shelf, segment, index, offset) {
  const block = run().blocks[index];
  shelf.context.globalAlpha = passes(block) ? 1 : 0.25;
  piece(shelf, offset, block[BYTES], colours[block[CATEGORY]], { segment, block: index });
  shelf.context.globalAlpha = 1;
  if (block[ROUNDED] > block[BYTES]) piece(shelf, offset + block[BYTES], block[ROUNDED] - block[BYTES], css('--bad'), { segment, block: index, rounding: true });
}

/** A range of memory, which may go over several lines. */
function piece(shelf, from, bytes, shade, what) {
  shelf.context.fillStyle = shade;
  let left = bytes;
  while (left > 0) {
    const line = Math.min(Math.floor(from / shelf.perLine + 1e-9), shelf.lines - 1), within = from - line * shelf.perLine;
    const part = line === shelf.lines - 1 ? left : Math.min(left, shelf.perLine - within);
    const x = within / shelf.perLine * shelf.width, width = Math.max(part / shelf.perLine * shelf.width - 0.3, 0.3);
    shelf.context.fillRect(x, line * shelf.height + 2, width, shelf.height - 4);
    shelves.pieces.push({ line, x, width, ...what });
    if (part <= 0) break;
    from += part;
    left -= part;
  }
}

function separator(shelf, offset) {
  const x = (offset % shelf.perLine) / shelf.perLine * shelf.width;
  shelf.context.fillStyle = css('--card');
  shelf.context.fillRect(x - 1, Math.floor(offset / shelf.perLine) * shelf.height, 1.5, shelf.height);
}

function outlineChosen(shelf) {
  for (const one of shelves.pieces) {
    if (one.block === null || one.block !== state.block || one.rounding) continue;
    for (const [shade, line] of [[css('--card'), 5], [css('--ink'), 2.5]]) {
      shelf.context.strokeStyle = shade;
      shelf.context.lineWidth = line;
      shelf.context.strokeRect(one.x, one.line * shelf.height + 1.5, Math.max(one.width, 3), shelf.height - 3);
    }
  }
}

/** The piece at a point: of those that lie over each other the last, which was drawn on top. */
function pieceAt(x, y) {
  const line = Math.floor(y / shelves.height);
  return shelves.pieces.findLast(one => one.line === line && x >= one.x - 0.5 && x <= one.x + one.width + 0.5);
}

function segmentLines(found) {
  const { segment } = found;
  const inSegment = `in a segment of ${size(segment.bytes)} at 0x${segment.address.toString(16)}`;
  if (found.block !== null) return [...(found.rounding ? ['lost to rounding'] : []), ...blockLines(found.block), inSegment];
  const free = segment.bytes - sum(shelvesOf(segment));
  return [`free, or blocks too small to be listed`, inSegment, `${size(free)} of it`, `segment ${lifeText([segment.born, segment.died])}`];
}

/** Bytes of the blocks of a segment. */
function shelvesOf(segment) {
  const blocks = new Set(shelves.pieces.filter(one => one.segment === segment && one.block !== null).map(one => one.block));
  return [...blocks].map(index => run().blocks[index][ROUNDED]);
}

function wireSegments() {
  const canvas = el('segments');
  canvas.addEventListener('pointermove', event => {
    const found = pieceAt(event.offsetX, event.offsetY);
    tip(found ? segmentLines(found) : [], event);
  });
  canvas.addEventListener('pointerleave', () => tip([]));
  canvas.addEventListener('click', event => {
    const found = pieceAt(event.offsetX, event.offsetY);
    if (found && found.block !== null) selectBlock(found.block);
    if (found) tip(segmentLines(found), event);
  });
}
